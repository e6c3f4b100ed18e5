/** `npm run simulate`. */
import { simulate } from '#cluster-test/simulation/simulation.js';

const args = process.argv.slice(2);
function value(name: string): number | undefined {
  const at = args.indexOf(name);
  return at < 0 ? undefined : Number(args[at + 1]);
}
const events = value('--events') ?? 20_000;
const seed = value('--seed');
const seeds = seed === undefined ? Array.from({ length: value('--seeds') ?? 10 }, (_, at) => at + 1) : [seed];
const log = args.includes('--trace') ? (line: string) => console.log(line) : undefined;
const began = Date.now();
let total = 0;
for (const each of seeds) {
  const result = await simulate({ seed: each, events, log });
  total += result.events;
  const { violation } = result;
  console.log(
    `seed ${each} ${result.traceHash} ${result.events} events ${(result.simulatedMs / 1000).toFixed(1)} s [${result.faults.join(' ')}]${violation ? ` ${violation.message}` : ''}`,
  );
  if (seed !== undefined) console.log(Object.fromEntries([...result.counts].sort()));
}
const s = (Date.now() - began) / 1000;
console.log(
  `${seeds.length} seeds in ${s.toFixed(1)} s: ${(total / s).toFixed(0)} events/s, ${(seeds.length / s).toFixed(2)} seeds/s`,
);
