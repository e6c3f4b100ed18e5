/** `sublet plan`: when which address space is full, by rates or by the history. */
import type { Command } from 'commander';
import {
  type CapacityPlan,
  type CapacitySpace,
  fileCapacity,
  liveCapacity,
  type PrefixWish,
  withPrefix,
} from '#cli/capacity/capacity-plan.js';
import { type CapacityReport, formatCapacity, reportJson } from '#cli/capacity/capacity-report.js';
import { historyFlow } from '#cli/capacity/history-flow.js';
import { usage } from '#cli/failure.js';
import { operate } from '#cli/operator/operator.js';
import { type Form, formOf, forPeople, writeValue } from '#cli/output/form.js';
import { readPlanFile } from '#cli/plan-file/apply-plan.js';
import type { Terminal } from '#cli/terminal.js';
import { count } from '#cli/words.js';
import type { HistoryFlow } from '#ipam/space/agent-flow.js';
import { type AgentFlow, forecastCapacity } from '#ipam/space/capacity.js';
import { ratesOf } from '#ipam/space/outlook.js';

export type CapacityOptions = {
  readonly file?: string;
  /** Agents a day. */
  readonly arrivals?: number;
  readonly departures?: number;
  readonly agents?: number;
  readonly days: number;
  /** How much of the history, ms. */
  readonly history: number;
  readonly prefix?: readonly PrefixWish[];
  readonly prefix6?: readonly PrefixWish[];
};

const daysMax = 3_650;
/** Steps of one space: a second or two. */
const stepsMax = 20_000_000;

/** @throws Failure for options that can't be, and for too short a history */
export async function runPlan(command: Command, options: CapacityOptions, terminal: Terminal): Promise<void> {
  if (options.days < 1 || options.days > daysMax) {
    throw usage(`--days: ${options.days} is out of range: 1 to ${daysMax} is allowed`);
  }
  if (options.file !== undefined) {
    if (options.arrivals === undefined && options.agents === undefined) {
      throw usage('-f: a file has no history: --arrivals or --agents is needed with it');
    }
    const plan = fileCapacity(readPlanFile(options.file).plan);
    show(formOf(command), reportOf(plan, givenFlow(options) ?? { arrivals: 0, departures: 0 }, options), terminal);
    return;
  }
  await operate(command, terminal, async ({ client, output }) => {
    const plan = await liveCapacity(client);
    const given = givenFlow(options);
    const found = given === undefined ? await historyFlow(client, options.history, terminal.now()) : undefined;
    const flow = given ?? (found === undefined ? { arrivals: 0, departures: 0 } : ratesOf(found));
    show(output, reportOf(plan, flow, options, found), terminal);
  });
}

/** Undefined: no rate is given. One alone is without the other. */
function givenFlow({ arrivals, departures }: CapacityOptions): AgentFlow | undefined {
  if (arrivals === undefined && departures === undefined) return undefined;
  return { arrivals: arrivals ?? 0, departures: departures ?? 0 };
}

function reportOf(
  plan: CapacityPlan,
  flow: AgentFlow,
  { agents = plan.agents, days, prefix = [], prefix6 = [] }: CapacityOptions,
  history?: HistoryFlow,
): CapacityReport {
  if (agents < plan.agents) {
    throw usage(`--agents: ${agents} is less than the ${plan.agents} agents that the plan has`);
  }
  const instead = [...prefix, ...prefix6].map((wish) => withPrefix(plan, wish));
  const overlays: readonly (readonly CapacitySpace[])[] = [...plan.overlays, ...instead];
  const newcomers = agents - plan.agents;
  const steps =
    (newcomers + (flow.arrivals + flow.departures) * days) *
    (overlays.reduce((sum, { length }) => sum + length, 0) + 1);
  if (steps > stepsMax) {
    throw usage(
      `--arrivals, --departures, --agents and --days make ${count(Math.ceil(steps))} steps over all overlays: at most ${count(stepsMax)} are allowed`,
      'Give fewer --days.',
    );
  }
  const forecast = forecastCapacity(
    {
      quarantineMs: plan.quarantineMs,
      agents: plan.agents,
      vtep: plan.vtep?.counts,
      overlays: overlays.map((families) => families.map(({ counts }) => counts)),
    },
    newcomers,
    flow,
    days,
  );
  return { plan, flow, days, newcomers, history, instead, forecast };
}

function show(output: Form, report: CapacityReport, terminal: Terminal): void {
  if (forPeople(output)) terminal.write(formatCapacity(report, terminal));
  else writeValue(output, reportJson(report), terminal);
}
