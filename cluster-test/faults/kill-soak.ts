/** The storm of random kills on real processes, made to last: for `npm run soak`. */
import { faultTools } from '#cluster-test/faults/fault-cluster.js';
import { type SpecSoak, soakSpec } from '#cluster-test/process/spec-soak.js';

export function killSoak(minutes: number): SpecSoak {
  const missing = faultTools.flatMap(({ missing: tool }) => tool ?? []);
  const minutesVariable = 'SUBLET_FAULT_SOAK_MINUTES';
  return soakSpec({ spec: 'faults/random-kills.spec.js', minutesVariable, minutes, missing });
}
