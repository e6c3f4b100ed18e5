/** How a run of the tests is reported: mocha's `spec`, in colours on a terminal and without an escape code elsewhere. */
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import Mocha from 'mocha';

/** Of a test that sets no other: it ends a test that hangs, and is no measure of one that a busy machine slows. */
const timeoutMs = 60_000;
/** For the processes that are not this one. */
const firstSeed = fileURLToPath(new URL('first-seed.js', import.meta.url));

/** `jobs` files at a time, each in a process of its own; with one, all in this process. */
export function reportingMocha(color: boolean, jobs = 1): Mocha {
  // Mocha colours its symbols when it is loaded, by the environment (`CI` is enough) and whatever `color` says.
  const symbols: Record<string, string> = Mocha.reporters.Base.symbols;
  for (const [name, symbol] of Object.entries(symbols)) symbols[name] = stripVTControlCharacters(symbol);
  return new Mocha({ reporter: 'spec', timeout: timeoutMs, color, parallel: jobs > 1, jobs, require: [firstSeed] });
}
