/** What `npm run simulate` does once the modules are loaded: seeds one after the other, or in several processes. */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Bug } from '#cluster-test/simulation/bugs.js';
import { necessaryFaults, replayCommand } from '#cluster-test/simulation/failing-seed.js';
import { addCounts, missedMarks } from '#cluster-test/simulation/marks.js';
import { type FaultChoice, type FaultKind, faultKinds } from '#cluster-test/simulation/profile.js';
import { type SimulationResult, simulate } from '#cluster-test/simulation/simulation.js';

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

/** One seed's run, as a process tells of it. */
type SeedLine = Omit<SimulationResult, 'violation' | 'counts'> & {
  readonly violation: string | undefined;
  readonly counts: readonly (readonly [string, number])[];
  readonly advice: readonly string[];
};

const seedsDefault = 20;
const jobsMax = 16;

export async function runCommand(values: CommandValues, bug: Bug | undefined): Promise<number> {
  const count = values.seed === undefined ? whole('--seeds', values.seeds ?? String(seedsDefault)) : 1;
  const first = whole('--first', values.seed ?? values.first ?? String(Math.floor(Math.random() * 2 ** 31)));
  const jobs = Math.min(count, jobsMax, whole('--jobs', values.jobs ?? String(availableParallelism())));
  const report = new Report();
  const told = (line: SeedLine): void => (values.json ? console.log(JSON.stringify(line)) : report.add(line));
  if (jobs <= 1 || values.trace || values.json) await here(values, bug, first, count, told);
  else await Promise.all(Array.from({ length: jobs }, (_, job) => elsewhere({ first, count, jobs, job }, told)));
  if (!values.json) report.end(values.seed !== undefined);
  return report.failed === 0 ? 0 : 1;
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
      if (values.mutation === undefined) {
        const { kinds, without } = await necessaryFaults(result, options);
        advice.push(`it takes: ${kinds.join(', ') || 'no fault at all'}`);
        if (without.length > 0)
          advice.push(`so: ${replayCommand(seed, events, [...extra, `--without ${without.join(',')}`])}`);
      }
    }
    told({ ...rest, violation: violation?.message, counts: [...counts], advice });
    if (violation !== undefined && values.mutation !== undefined && values.json) return;
  }
}

/** A part of the seeds in a process of its own. */
function elsewhere(
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
  const given = process.argv
    .slice(2)
    .filter((arg, at, all) => !/^--(seeds|first|jobs)/.test(arg) && !/^--(seeds|first|jobs)$/.test(all[at - 1] ?? ''));
  const args = [main, ...given, '--seeds', String(to - from), '--first', String(first + from), '--json'];
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
  if (!Number.isSafeInteger(number) || number < 0)
    throw new Error(`${name} ${text}: a whole number of 0 or more is needed`);
  return number;
}

class Report {
  readonly #beganMs = performance.now();
  readonly #counts = new Map<string, number>();
  #seeds = 0;
  #events = 0;
  #simulatedMs = 0;
  failed = 0;

  add({ seed, traceHash, events, simulatedMs, faults, violation, counts, advice }: SeedLine): void {
    this.#seeds += 1;
    this.#events += events;
    this.#simulatedMs += simulatedMs;
    addCounts(this.#counts, new Map(counts));
    const outcome = violation === undefined ? 'ok' : `FAILED ${violation}`;
    const minutes = (simulatedMs / 60_000).toFixed(1);
    console.log(`seed ${seed}: trace ${traceHash}, ${events} events, ${minutes} min [${faults.join(' ')}] ${outcome}`);
    if (violation !== undefined) this.failed += 1;
    for (const line of advice) console.log(`  ${line}`);
  }

  end(single: boolean): void {
    const seconds = (performance.now() - this.#beganMs) / 1000;
    console.log('');
    for (const [what, count] of [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)))
      console.log(`${String(count).padStart(9)}  ${what}`);
    const missed = single ? [] : missedMarks(this.#counts);
    if (missed.length > 0) console.log(`never met: ${missed.join('; ')}`);
    const hours = (this.#simulatedMs / 3_600_000).toFixed(2);
    const speed = `${(this.#seeds / seconds).toFixed(2)} seeds/s, ${Math.round(this.#events / seconds)} events/s`;
    console.log(
      `${this.#seeds} seeds, ${hours} simulated hours in ${seconds.toFixed(1)} s: ${speed}; ${this.failed} failed`,
    );
  }
}
