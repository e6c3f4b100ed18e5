/** The Debian package on booted hosts, which takes some minutes: for `npm run soak`. */
import { type SpecSoak, soakSpec } from '#cluster-test/process/spec-soak.js';

export function packageSoak(minutes: number): SpecSoak {
  return soakSpec({ spec: 'packages/hosts.spec.js', minutesVariable: 'SUBLET_PACKAGE_SOAK_MINUTES', minutes });
}
