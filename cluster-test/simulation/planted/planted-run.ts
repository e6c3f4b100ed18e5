/** One process that looks for one planted bug, and how many seeds and events it took. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export type PlantedRun = {
  readonly seeds: number;
  readonly events: number;
  /** What was broken, and by which seed; undefined: the bug was not found. */
  readonly caught: { readonly seed: number; readonly violation: string } | undefined;
  readonly ms: number;
};

export type PlantedRunOptions = {
  readonly mutation: string;
  /** With the faults that bring this bug out. */
  readonly aimed: boolean;
  readonly first: number;
  readonly seeds: number;
  readonly events: number;
};

/** Ends at the first seed that finds it. @throws Error when the process itself fails */
export function runPlanted({ mutation, aimed, first, seeds, events }: PlantedRunOptions): Promise<PlantedRun> {
  const main = fileURLToPath(new URL('../main.js', import.meta.url));
  const numbers = ['--first', `${first}`, '--seeds', `${seeds}`, '--events', `${events}`];
  const args = [main, '--mutation', mutation, ...(aimed ? ['--aimed'] : []), ...numbers, '--json'];
  const beganMs = performance.now();
  const run = { seeds: 0, events: 0, caught: undefined as PlantedRun['caught'] }; // Filled line by line.
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text: Buffer) => {
      said += text.toString();
    });
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line: { seed: number; events: number; violation?: string } = JSON.parse(text);
      run.seeds += 1;
      run.events += line.events;
      if (line.violation !== undefined) run.caught ??= { seed: line.seed, violation: line.violation };
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve({ ...run, ms: performance.now() - beganMs });
      else reject(new Error(`${mutation}: the process ended with ${code}: ${said}`));
    });
  });
}
