/** Hashes of the plan at its last revisions, so that masters can compare theirs at one and the same. */
import type { IpamMachine } from '#master/ipam-machine.js';

export type StateDigest = { readonly revision: number; readonly hash: string };

/** Revisions that are kept: seconds of the heaviest load. */
const keptMax = 4_096;

export class StateDigests {
  readonly #machine: Pick<IpamMachine, 'ipam'>;
  /** In ascending order of revision. */
  readonly #hashes = new Map<number, string>();

  constructor(machine: Pick<IpamMachine, 'ipam'>) {
    this.#machine = machine;
  }

  /** To be called after each command. */
  applied(): void {
    const { ipam } = this.#machine;
    if (this.#hashes.has(ipam.revision)) return;
    this.#hashes.set(ipam.revision, ipam.hash());
    if (this.#hashes.size <= keptMax) return;
    for (const oldest of this.#hashes.keys()) {
      this.#hashes.delete(oldest);
      return;
    }
  }

  /** The state was replaced: what was noted of the former one is void. */
  restored(): void {
    this.#hashes.clear();
  }

  /** Of the state as it is. */
  get latest(): StateDigest {
    const { ipam } = this.#machine;
    return { revision: ipam.revision, hash: ipam.hash() };
  }

  /** undefined: this master has not been at that revision, or not lately. */
  at(revision: number): string | undefined {
    const { latest } = this;
    return latest.revision === revision ? latest.hash : this.#hashes.get(revision);
  }
}
