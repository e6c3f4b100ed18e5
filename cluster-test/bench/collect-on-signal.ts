/** To be imported into a process before its program: on SIGUSR2 it collects all garbage and says so on standard error. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What is said when everything is collected. */
export const collectedWord = 'sublet-bench: collected';
/** What the first collection finalizes, the later ones free. */
const passes = 3;

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

process.on('SIGUSR2', () => {
  if (typeof collect !== 'function') throw new TypeError('this Node.js has no gc()');
  const pass = (left: number): void => {
    collect();
    if (left > 1) setImmediate(pass, left - 1);
    else process.stderr.write(`${collectedWord}\n`);
  };
  pass(passes);
});
