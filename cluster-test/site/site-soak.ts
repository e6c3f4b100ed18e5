/** The storm of clones, masters put back, and restores on real processes, made to last: for `npm run soak`. */
import { type SpecSoak, soakSpec } from '#cluster-test/process/spec-soak.js';

export function siteSoak(minutes: number): SpecSoak {
  return soakSpec({ spec: 'site/site.spec.js', minutesVariable: 'SUBLET_SITE_SOAK_MINUTES', minutes });
}
