/**
 * Whether this master is where the others look for it. They go by the address that the cluster has recorded; the
 * configuration names addresses for the first start alone, so one that was changed there has no effect by itself.
 */
import { hostOf } from '#address/host-and-port.js';
import type { MemberInfo } from '#replica/ports/membership.js';

export type AddressCheck = {
  readonly self: Pick<MemberInfo, 'name' | 'peer'>;
  /** As in force here: recorded, or set by hand. */
  readonly members: readonly Pick<MemberInfo, 'name' | 'peer'>[];
  /** As configured. Of a master that joins, itself alone, at the address where it listens. */
  readonly founders: readonly { readonly name: string; readonly peer: string }[];
  /** Whether `cluster.join` is set. */
  readonly joins: boolean;
  /** HOST:PORT as bound. */
  readonly listens: string;
};

/** What to tell an operator; undefined: it is where it is recorded, as far as the configuration says. */
export function addressProblem({ self, members, founders, joins, listens }: AddressCheck): string | undefined {
  const configured = founders.find(({ name }) => name === self.name)?.peer;
  const here = joins || configured === undefined ? listens : configured;
  if (here === self.peer || sameByPort(here, self.peer)) return undefined;
  const pairs = members.map(({ name, peer }) => `${name}=${peer}`).join(', ');
  const named = members.map(({ name }) => `${name}=${founders.find((one) => one.name === name)?.peer ?? 'HOST:PORT'}`);
  return (
    `the members are recorded at ${pairs}, but ${self.name} is configured at ${here} and listens at ${listens}: the other masters ` +
    `look for it at ${self.peer}. If something forwards that address, all is well. If masters have moved and a majority serves: ` +
    `\`sublet members move ${self.name}=${joins ? 'HOST:PORT' : here}\`. If all have: on each of them, stopped, ` +
    `\`sublet members move ${named.join(' ')} --data-dir DIR\`, then start them (docs/operations/moving.md)`
  );
}

/** Listening on all addresses, it may be reached at any with that port. */
function sameByPort(here: string, recorded: string): boolean {
  const port = (address: string): string => address.slice(address.lastIndexOf(':'));
  return ['0.0.0.0', '[::]'].includes(hostOf(here)) && port(here) === port(recorded);
}
