/** `sublet plan`: a forecast of the capacity. */
import { InvalidArgumentError, Option } from 'commander';
import type { PrefixWish } from '#cli/capacity/capacity-plan.js';
import type { CapacityOptions } from '#cli/capacity/run-plan.js';
import { connects, type Define, examples, outputOption, wholeNumber } from '#cli/command-kit.js';
import { parseDuration } from '#text/duration.js';

const dayMs = 86_400_000;

export const define: Define = (command, terminal) => {
  connects(command.addOption(outputOption('an object of this command')))
    .description(
      'Says when which overlay, or the VTEP subnet, is full: a simulation of the allocator with agents that arrive and depart. Quarantine, reservations and exclusions count. Without rates it takes those of the last 30 days of the history. Changes nothing.',
    )
    .option('-f, --file <FILE>', 'a plan file in place of the plan of the masters, which are not asked')
    .option('--arrivals <RATE>', 'new agents: 20/day, or by hour or week', rateOf)
    .option('--departures <RATE>', 'agents that go for good: those that are there the longest', rateOf)
    .option('--agents <N>', 'how many agents to begin with; those that the plan has not arrive at once', agentNumber)
    .addOption(new Option('--days <N>', 'how far ahead (1 to 3650)').default(365).argParser(wholeNumber))
    .addOption(
      new Option('--history <TIME>', 'without rates: how far back to look (1d to 366d)')
        .default(30 * dayMs, '30d')
        .argParser(historyTime),
    )
    .option('--prefix <OVERLAY=N>', 'what other pieces would change: dcos=25; may be repeated', prefixes(4))
    .option('--prefix6 <OVERLAY=N>', 'the same for IPv6', prefixes(6));
  examples(
    command,
    ['sublet plan', 'by the history'],
    ['sublet plan --arrivals 20/day --departures 5/day', 'by rates'],
    ['sublet plan --arrivals 20/day --prefix dcos=25', 'what smaller pieces would change'],
    ['sublet plan -f plan.yaml --agents 3000 --arrivals 100/week', 'before there is a cluster'],
  );
  command.action(async (options: CapacityOptions) => {
    const { runPlan } = await import('#cli/capacity/run-plan.js');
    await runPlan(command, options, terminal);
  });
};

const perDay: Readonly<Record<string, number>> = { hour: 24, day: 1, week: 1 / 7 };
const rateMax = 1_000_000;

/** For commander: agents a day. */
function rateOf(text: string): number {
  const [, number, unit] = /^([0-9]{1,7}(?:\.[0-9]{1,3})?)\/(hour|day|week)$/.exec(text) ?? [];
  const rate = Number(number) * (perDay[unit ?? ''] ?? Number.NaN);
  if (!(rate <= rateMax)) {
    throw new InvalidArgumentError('a number by hour, day or week is allowed, like 20/day; at most 1000000/day.');
  }
  return rate;
}

const agentsMax = 1_000_000;

function agentNumber(text: string): number {
  const number = wholeNumber(text);
  if (number > agentsMax) throw new InvalidArgumentError(`at most ${agentsMax} is allowed.`);
  return number;
}

function historyTime(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < dayMs || ms > 366 * dayMs) {
    throw new InvalidArgumentError('a length of time from 1d to 366d is allowed, like 30d.');
  }
  return ms;
}

function prefixes(family: 4 | 6): (text: string, before?: readonly PrefixWish[]) => readonly PrefixWish[] {
  return (text, before = []) => {
    const [, overlay = '', prefix] = /^([a-z0-9-]{1,13})=([0-9]{1,3})$/.exec(text) ?? [];
    if (prefix === undefined) {
      throw new InvalidArgumentError('the name of an overlay and a length are allowed, like dcos=25.');
    }
    return [...before, { overlay, prefix: Number(prefix), family }];
  };
}
