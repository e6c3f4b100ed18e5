/** What `npm run simulate` does once the modules are loaded: seeds one after the other, or in several processes. */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { necessaryFaults, replayCommand } from '#cluster-test/simulation/failing-seed.js';
import { type FaultChoice, type FaultKind, faultKinds } from '#cluster-test/simulation/faults/profile.js';
import type { Bug } from '#cluster-test/simulation/planted/bug.js';
import { Report, type SeedLine } from '#cluster-test/simulation/report.js';
import { simulate } from '#cluster-test/simulation/simulation.js';

export type CommandValues = {
  readonly seeds?: string | undefined;
  readonly seed?: string | undefined;
  /** The first of `seeds`; any when left out. */
  readonly first?: string | undefined;
  readonly events: string;
  readonly mutation?: string | undefined;
  readonly aimed: boolean;
  readonly jobs?: string | undefined;
  readonly without?: string | undefined;
  readonly only?: string | undefined;
  readonly trace: boolean;
  /** A line of JSON for each seed: how processes talk to the one that started them. */
  readonly json: boolean;
};

const seedsDefault = 20;
const jobsMax = 16;

/** Adds to `report`, if there is one to go on with. Returns the exit code. */
export async function runCommand(
  values: CommandValues,
  bug: Bug | undefined,
  report: Report = new Report(),
): Promise<number> {
  const count = values.seed === undefined ? whole('--seeds', values.seeds ?? String(seedsDefault)) : 1;
  const first = whole('--first', values.seed ?? values.first ?? String(Math.floor(Math.random() * 2 ** 31)));
  const jobs = Math.min(count, jobsMax, whole('--jobs', values.jobs ?? String(availableParallelism())));
  const told = (line: SeedLine): void => (values.json ? console.log(JSON.stringify(line)) : report.add(line));
  if (jobs <= 1 || values.trace || values.json) await here(values, bug, first, count, told);
  else {
    await Promise.all(Array.from({ length: jobs }, (_, job) => elsewhere(values, { first, count, jobs, job }, told)));
  }
  if (values.json) return 0;
  const anything =
    values.seed === undefined &&
    values.mutation === undefined &&
    values.only === undefined &&
    values.without === undefined;
  console.log(report.text({ anything }));
  return report.failed === 0 && !(anything && report.marksMissing) ? 0 : 1;
}

async function here(
  values: CommandValues,
  bug: Bug | undefined,
  first: number,
  count: number,
  told: (line: SeedLine) => void,
): Promise<void> {
  const events = whole('--events', values.events);
  const choice = choiceOf(values, bug);
  const log = values.trace ? (line: string) => console.log(line) : undefined;
  for (let seed = first; seed < first + count; seed += 1) {
    const options = { seed, events, choice, log };
    const result = await simulate(options);
    const { violation, counts, ...rest } = result;
    const advice: string[] = [];
    if (violation !== undefined && !values.trace) {
      const planted = values.mutation === undefined ? [] : [`--mutation ${values.mutation}`];
      const extra = [...planted, ...(values.aimed ? ['--aimed'] : [])];
      advice.push(`again: ${replayCommand(seed, events, extra)} --trace`);
      // Processes that look for a bug only tell that it was found.
      if (values.mutation === undefined || !values.json) {
        const { kinds, without } = await necessaryFaults(result, options);
        advice.push(`it takes: ${kinds.join(', ') || 'no fault at all'}`);
        if (without.length > 0) {
          advice.push(`so: ${replayCommand(seed, events, [...extra, `--without ${without.join(',')}`])}`);
        }
      }
    }
    told({ ...rest, violation: violation?.message, counts: [...counts], advice });
    if (violation !== undefined && values.mutation !== undefined && values.json) return;
  }
}

/** A part of the seeds in a process of its own. */
function elsewhere(
  values: CommandValues,
  {
    first,
    count,
    jobs,
    job,
  }: { readonly first: number; readonly count: number; readonly jobs: number; readonly job: number },
  told: (line: SeedLine) => void,
): Promise<void> {
  const from = Math.floor((count * job) / jobs);
  const to = Math.floor((count * (job + 1)) / jobs);
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const { events, mutation, aimed, without, only } = values;
  const given = Object.entries({ events, mutation, without, only }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  const part = ['--seeds', String(to - from), '--first', String(first + from), '--json'];
  const args = [main, ...given, ...(aimed ? ['--aimed'] : []), ...part];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: child.stdout }).on('line', (line) => told(JSON.parse(line)));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`a simulating process ended with ${code}`)),
    );
  });
}

function choiceOf({ without, only, aimed }: CommandValues, bug: Bug | undefined): FaultChoice {
  const left = kindsIn('--without', without);
  if (aimed && bug !== undefined) return { only: bug.aim.faults, shape: bug.aim.shape, without: left };
  return { without: left, only: only === undefined ? undefined : kindsIn('--only', only) };
}

function kindsIn(name: string, text = ''): readonly FaultKind[] {
  const kinds = text.split(',').filter((kind) => kind !== '');
  return kinds.map((kind) => {
    const known = faultKinds.find((each) => each === kind);
    if (known === undefined) throw new Error(`${name} ${kind}: no such fault; there are ${faultKinds.join(', ')}`);
    return known;
  });
}

function whole(name: string, text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) {
    throw new Error(`${name} ${text}: a whole number of 0 or more is needed`);
  }
  return number;
}
