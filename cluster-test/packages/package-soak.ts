/** The Debian package on booted hosts, by hand and by Ansible, which takes some minutes each: for `npm run soak`. */
import { type SpecSoak, soakOutcome, soakSpec } from '#cluster-test/process/spec-soak.js';
import { command } from '#cluster-test/requirement.js';

const minutesVariable = 'SUBLET_PACKAGE_SOAK_MINUTES';

export function packageSoak(minutes: number): SpecSoak {
  const byHand = soakSpec({ spec: 'packages/hosts.spec.js', minutesVariable, minutes });
  if (byHand !== 'held') return byHand;
  const missing = ['ansible-playbook', 'ssh', 'ssh-keygen'].flatMap((name) => command(name).missing ?? []);
  const byAnsible = soakSpec({ spec: 'packages/ansible.spec.js', minutesVariable, minutes, missing });
  if (typeof byAnsible !== 'object') return byAnsible;
  console.log(`packages by Ansible: ${soakOutcome(byAnsible)}`);
  return byHand;
}
