/** Hosts that move from flannel, back and again, made to last: for `npm run soak`. */
import { cniTools } from '#cluster-test/host/requirements.js';
import { type SpecSoak, soakSpec } from '#cluster-test/process/spec-soak.js';

export const moveSoakMinutes = 'SUBLET_MOVE_SOAK_MINUTES';

export function moveSoak(minutes: number): SpecSoak {
  const missing = cniTools.flatMap(({ missing: tool }) => tool ?? []);
  return soakSpec({ spec: 'host/import.spec.js', minutesVariable: moveSoakMinutes, minutes, missing });
}
