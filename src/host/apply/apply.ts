/**
 * Runs steps. Neighbouring steps of one tool go through one process of it in batch mode, so that thousands of entries
 * cost no process each; every step gets its own outcome all the same. A step that depends on a failed step is skipped.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertNever } from '#errors/invariant.js';
import { errorText } from '#errors/unknown-error.js';
import { deleteCniFile, writeCniFile } from '#host/apply/cni-folder.js';
import { explain } from '#host/apply/explain.js';
import { deleteRunFile, writeRunFile } from '#host/apply/run-file.js';
import type { Step } from '#host/diff/host-step.js';
import type { IptablesFlavour } from '#host/input.js';
import { iptablesCommand } from '#host/observe/observe-firewall.js';
import type { Part } from '#host/problem.js';
import type { BatchSessions, BatchTool } from '#host/tools/batch-session.js';
import type { DockerEngine } from '#host/tools/docker-engine.js';
import { type Runner, ToolMissingError } from '#host/tools/runner.js';
import {
  chainRestore,
  fdbCommand,
  filterRuleArguments,
  ipCommands,
  ipsetCommand,
  isIpv6Rule,
} from '#host/tools/tool-command.js';

export type Tools = {
  readonly run: Runner;
  /** Not shared between two `apply` at once. */
  readonly batches: BatchSessions;
  readonly docker: DockerEngine;
  readonly iptables: IptablesFlavour;
};

export type StepOutcome =
  | { readonly kind: 'done'; readonly step: Step }
  /** `error` is one line for people. */
  | { readonly kind: 'failed'; readonly step: Step; readonly error: string }
  /** Not tried, because a step that it depends on failed. */
  | { readonly kind: 'skipped'; readonly step: Step };

/** Runs `steps` in order. Never rejects for a step that fails. */
export async function apply(steps: readonly Step[], tools: Tools): Promise<StepOutcome[]> {
  const outcomes: StepOutcome[] = [];
  const failedParts = new Set<Part>();
  const failedSteps: Step[] = [];
  const waits = (step: Step): boolean =>
    failedParts.has(step.part) || failedSteps.some((failed) => isGroundOf(failed, step));
  for (const batch of batches(steps)) {
    const runnable = batch.steps.filter((step) => !waits(step));
    const skipped = batch.steps.filter(waits);
    outcomes.push(...skipped.map((step) => ({ kind: 'skipped', step }) as const));
    for (const outcome of await runBatch(batch.tool, runnable, tools)) {
      outcomes.push(outcome);
      if (outcome.kind !== 'failed') continue;
      for (const part of dependentsOf(outcome.step)) failedParts.add(part);
      if (outcome.step.part === 'bridge') failedSteps.push(outcome.step);
    }
  }
  return outcomes;
}

/** Whether a step stands on a part of its own overlay: IPv6 on the bridge. */
export function isGroundOf(ground: Pick<Step, 'part' | 'scope'>, step: Pick<Step, 'part' | 'scope'>): boolean {
  if (ground.part !== 'bridge' || step.part !== 'bridge6') return false;
  return ground.scope.kind === 'overlay' && step.scope.kind === 'overlay' && ground.scope.name === step.scope.name;
}

/** The parts that can't be built when this step failed. Peers' entries stand each for themselves. */
export function dependentsOf({ part, scope }: Pick<Step, 'part' | 'scope'>): readonly Part[] {
  switch (part) {
    case 'device':
      return onDevice;
    case 'device6':
      return ['device6', 'peers6', 'source-route6'];
    // A host that lives by router advertisements must not forward before `accept_ra` keeps them accepted.
    case 'sysctl6':
      return ['sysctl6'];
    case 'mtu':
    case 'stale-device':
    case 'loose-filter':
    case 'sysctl':
    case 'fdb':
    case 'peers':
    case 'peers6':
    case 'source-route':
    case 'source-route6':
      return [];
    case 'masquerade':
    case 'masquerade6':
    case 'forward':
    case 'forward6':
    case 'guard':
    case 'guard6':
    case 'bridge':
    case 'bridge6':
    case 'cni':
    case 'docker':
    case 'files':
      return scope.kind === 'overlay' ? [] : [part];
    default:
      return assertNever(part);
  }
}

const onDevice: readonly Part[] = [
  ...(['device', 'device6', 'mtu', 'loose-filter', 'fdb'] as const),
  ...(['peers', 'peers6', 'source-route', 'source-route6'] as const),
];

/** `ip` and `bridge` are sessions for the peers' entries; `device` is an `ip` of its own that stops at an error. */
type Tool = BatchTool | 'device' | 'rule6' | 'ipset' | 'one';

/** Steps that one process gets; their text is in memory at once. */
const batchStepsMax = 2_000;

function batches(steps: readonly Step[]): { tool: Tool; steps: Step[] }[] {
  const all: { tool: Tool; part: Part; steps: Step[] }[] = [];
  for (const step of steps) {
    const tool = toolOf(step);
    const last = all.at(-1);
    // A batch stays within a part, so that the device is known to stand before peers are put behind it.
    const joins =
      last !== undefined &&
      last.tool === tool &&
      last.part === step.part &&
      last.steps.length < batchStepsMax &&
      // Such a batch ends at its first error: a bridge that can't be made is its own overlay's failure.
      (tool !== 'device' || sameScope(last.steps[0], step));
    if (joins && tool !== 'one') last.steps.push(step);
    else all.push({ tool, part: step.part, steps: [step] });
  }
  return all;
}

function sameScope(a: Step | undefined, { scope: b }: Step): boolean {
  if (a === undefined || a.scope.kind === 'host' || b.kind === 'host') return a?.scope.kind === b.kind;
  return a.scope.name === b.name;
}

function toolOf(step: Step): Tool {
  switch (step.kind) {
    case 'device-create':
    case 'bridge-create':
    case 'link-delete':
    case 'link-set':
    case 'address':
      return 'device';
    case 'neighbour':
    case 'route':
      return 'ip';
    case 'rule':
      return isIpv6Rule(step) ? 'rule6' : 'ip';
    case 'fdb':
      return 'bridge';
    case 'set-create':
    case 'set-destroy':
    case 'set-entry':
      return 'ipset';
    default:
      return 'one';
  }
}

async function runBatch(tool: Tool, steps: readonly Step[], tools: Tools): Promise<StepOutcome[]> {
  if (steps.length === 0) return [];
  try {
    switch (tool) {
      case 'ip':
      case 'bridge':
        return await runSession(tool, steps, tools.batches);
      case 'device':
        return await runDevice(steps, tools);
      case 'rule6':
        return await Promise.all(steps.map((step) => runOne(step, tools)));
      case 'ipset':
        return await runIpset(steps, tools.run);
      case 'one':
        return await Promise.all(steps.map((step) => runOne(step, tools)));
      default:
        return assertNever(tool);
    }
  } catch (error) {
    return steps.map((step) => failed(step, message(error)));
  }
}

function failed(step: Step, said: string): StepOutcome {
  return { kind: 'failed', step, error: explain(step, said) };
}

async function runSession(tool: BatchTool, steps: readonly Step[], batches: BatchSessions): Promise<StepOutcome[]> {
  const { errors, ended } = await batches.run(tool, steps.flatMap(iprouteLines));
  return steps.map((step, index) => outcomeOf(step, ended ?? errors.get(index)));
}

/**
 * Each step on the device runnable on the one before, so the batch ends at the first error. The sessions end too: they
 * remember devices' indexes by name.
 */
async function runDevice(steps: readonly Step[], { run, batches }: Tools): Promise<StepOutcome[]> {
  await batches.close();
  const lines = steps.map(iprouteLines);
  const { code, stderr } = await run.run('ip', ['-batch', '-'], { input: `${lines.flat().join('\n')}\n` });
  if (code === 0) return steps.map((step) => ({ kind: 'done', step }));
  const at = /^Command failed -:(\d+)$/m.exec(stderr)?.[1];
  const error = stderr.replace(/^Command failed .*$/m, '');
  if (at === undefined) return steps.map((step) => failed(step, error));
  let last = 0;
  const broken = lines.findIndex(({ length }) => {
    last += length;
    return last >= Number(at);
  });
  return steps.map((step, index) => {
    if (index === broken) return outcomeOf(step, error);
    return { kind: index < broken ? 'done' : 'skipped', step };
  });
}

function outcomeOf(step: Step, error: string | undefined): StepOutcome {
  return error === undefined || isAlreadyGone(step, error) ? { kind: 'done', step } : failed(step, error);
}

function iprouteLines(step: Step): string[] {
  switch (step.kind) {
    case 'fdb':
      return [fdbCommand(step)];
    case 'device-create':
    case 'bridge-create':
    case 'link-delete':
    case 'link-set':
    case 'address':
    case 'neighbour':
    case 'route':
    case 'rule':
      return ipCommands(step);
    default:
      throw new Error(`${step.kind} is not a step of iproute2`);
  }
}

/** A removal of what is not there has succeeded: another program, or the kernel, was faster. */
function isAlreadyGone(step: Step, error: string): boolean {
  const goes = step.kind === 'link-delete' || ('action' in step && step.action === 'del');
  return (
    goes && /No such (process|file or directory|device)|Cannot (find|assign)|not found|does not exist/i.test(error)
  );
}

/** `ipset restore` stops at the first line that fails; then each is run alone, to know which. */
async function runIpset(steps: readonly Step[], run: Runner): Promise<StepOutcome[]> {
  const lines = steps.map(ipsetLine);
  const together = await run.run('ipset', ['restore'], { input: `${lines.join('\n')}\n` });
  if (together.code === 0) return steps.map((step) => ({ kind: 'done', step }));
  const outcomes: StepOutcome[] = [];
  for (const step of steps) {
    const alone = await run.run('ipset', ['-exist', ...ipsetLine(step).replace(' -exist', '').split(' ')]);
    outcomes.push(alone.code === 0 ? { kind: 'done', step } : failed(step, alone.stderr));
    if (alone.code !== 0 && step.kind === 'set-create') break;
  }
  return [...outcomes, ...steps.slice(outcomes.length).map((step) => ({ kind: 'skipped', step }) as const)];
}

function ipsetLine(step: Step): string {
  if (step.kind === 'set-create' || step.kind === 'set-destroy' || step.kind === 'set-entry') return ipsetCommand(step);
  throw new Error(`${step.kind} is not a step of ipset`);
}

async function runOne(step: Step, tools: Tools): Promise<StepOutcome> {
  try {
    if (step.kind === 'sysctl') return { kind: (await setSysctl(step.path, step.value)) ? 'done' : 'skipped', step };
    const error = await perform(step, tools);
    return error === undefined ? { kind: 'done', step } : failed(step, error);
  } catch (error) {
    return failed(step, message(error));
  }
}

/** Undefined when it worked, else what the tool said. */
async function perform(step: Step, { run, docker, iptables }: Tools): Promise<string | undefined> {
  switch (step.kind) {
    case 'filter-rule':
      return errorOf(
        await run.run(iptablesCommand(iptables, step.family), [...lockWait, ...filterRuleArguments(step)]),
      );
    case 'chain-set': {
      const restore = `${iptablesCommand(iptables, step.family)}-restore`;
      return errorOf(await run.run(restore, [...lockWait, '--noflush'], { input: chainRestore(step) }));
    }
    case 'chain-delete': {
      const command = iptablesCommand(iptables, step.family);
      const table = [...lockWait, '-t', step.table];
      const flushed = errorOf(await run.run(command, [...table, '-F', step.chain]));
      return flushed ?? errorOf(await run.run(command, [...table, '-X', step.chain]));
    }
    case 'rule':
      return errorOf(await run.run('ip', ['-6', ...ipCommands(step).join(' ').split(' ')]));
    case 'cni-write':
      await writeCniFile(step.dir, step.name, step.content);
      return undefined;
    case 'cni-delete':
      await deleteCniFile(step.dir, step.name);
      return undefined;
    case 'file-write':
      await writeRunFile(step.path, step.content);
      return undefined;
    case 'file-delete':
      await deleteRunFile(step.path);
      return undefined;
    case 'docker-create':
      await docker.create(step.request);
      return undefined;
    case 'docker-delete':
      await docker.remove(step.id);
      return undefined;
    default:
      throw new Error(`${step.kind} runs in a batch`);
  }
}
/** Seconds to wait for another program's hold on the tables. */
const lockWait = ['-w', '5'];

/** Whether it was set. A device that is not there, any more or yet, has no setting. */
async function setSysctl(path: string, value: string): Promise<boolean> {
  const file = join('/proc/sys', path);
  const exists = await readFile(file, 'utf8').then(
    () => true,
    () => false,
  );
  if (!exists && path.includes('/conf/')) return false;
  await writeFile(file, value);
  return true;
}

function errorOf({ code, stderr }: { code: number | null; stderr: string }): string | undefined {
  return code === 0 ? undefined : stderr.trim() || (code === null ? 'it took too long' : `exit code ${code}`);
}

function message(error: unknown): string {
  if (error instanceof ToolMissingError) return error.message;
  return errorText(error);
}
