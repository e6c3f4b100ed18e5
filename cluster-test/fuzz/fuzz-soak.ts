/** The fuzz specs, made to last: for `npm run soak`. Each gets an equal share of the minutes. */
import { type SpecSoak, soakSpec } from '#cluster-test/process/spec-soak.js';

const specs = [
  'fuzz/readers.spec.js',
  'fuzz/masters.spec.js',
  'fuzz/lying-member.spec.js',
  'intrusions/renewed-master.spec.js',
  ...['../src/tls/principal.spec.js', '../src/host/desired/bounds.spec.js', '../src/cli/terminal-safety.spec.js'],
];

export function fuzzSoak(minutes: number): SpecSoak {
  const minutesVariable = 'SUBLET_FUZZ_MINUTES';
  const outcomes = specs.map((spec) => soakSpec({ spec, minutesVariable, minutes: minutes / specs.length }));
  return outcomes.includes('failed') ? 'failed' : (outcomes[0] ?? 'held');
}
