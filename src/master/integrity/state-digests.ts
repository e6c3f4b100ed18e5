/** Hashes of the plan at its last revisions, so that masters can compare theirs at one and the same. */
import { formatHash, type HashWords } from '#ipam/codec/record-hash.js';
import type { IpamMachine } from '#master/ipam-machine.js';

export type StateDigest = { readonly revision: number; readonly hash: string };

/** Revisions that are kept: seconds of the heaviest load. */
const keptMax = 4_096;

export class StateDigests {
  readonly #machine: Pick<IpamMachine, 'ipam'>;
  /** A ring: the newest is before `#next`. Revisions rise along it; 0 where nothing is yet. */
  readonly #revisions = new Float64Array(keptMax);
  readonly #hashes: (HashWords | undefined)[] = new Array<HashWords | undefined>(keptMax).fill(undefined);
  #next = 0;

  constructor(machine: Pick<IpamMachine, 'ipam'>) {
    this.#machine = machine;
  }

  /** To be called after each command. */
  applied(): void {
    const { ipam } = this.#machine;
    const newest = (this.#next + keptMax - 1) % keptMax;
    if (this.#revisions[newest] === ipam.revision) return;
    this.#revisions[this.#next] = ipam.revision;
    this.#hashes[this.#next] = ipam.hashWords;
    this.#next = (this.#next + 1) % keptMax;
  }

  /** The state was replaced: what was noted of the former one is void. */
  restored(): void {
    this.#revisions.fill(0);
  }

  /** Of the state as it is. */
  get latest(): StateDigest {
    const { ipam } = this.#machine;
    return { revision: ipam.revision, hash: ipam.hash() };
  }

  /** undefined: this master has not been at that revision, or not lately. */
  at(revision: number): string | undefined {
    const { latest } = this;
    if (latest.revision === revision) return latest.hash;
    const slot = revision === 0 ? -1 : this.#revisions.indexOf(revision);
    const words = this.#hashes[slot];
    return words === undefined ? undefined : formatHash(words);
  }
}
