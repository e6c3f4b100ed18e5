/** A log store that says how long its writes take, and how large it is; everything else it leaves to the real one. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode } from '#errors/unknown-error.js';
import type { LogIndex, MemberId } from '#raft/log/entry.js';
import type {
  LoadedLog,
  LogStore,
  LogWrite,
  SnapshotSink,
  SnapshotSource,
  StoreError,
  StoreIdentity,
  StoreSpace,
} from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import type { StoreFact } from '#replica/ports/store-claim.js';

export class StoreMeter implements LogStore {
  /** Called with the ms that each write took, sync included, whether it came through or not. */
  onWrite: (milliseconds: number) => void = () => undefined;
  readonly #store: LogStore;
  readonly #folder: string;

  /** `folder` is where `store` keeps its files. */
  constructor(store: LogStore, folder: string) {
    this.#store = store;
    this.#folder = folder;
  }

  get identity(): StoreIdentity {
    return this.#store.identity;
  }

  get loaded(): LoadedLog {
    return this.#store.loaded;
  }

  get peerFacts(): ReadonlyMap<string, StoreFact> {
    return this.#store.peerFacts;
  }

  keepPeerFacts(facts: ReadonlyMap<string, StoreFact>): void {
    this.#store.keepPeerFacts(facts);
  }

  /** Bytes of all files, the ballast included. One that is deleted meanwhile counts as none. */
  async bytes(): Promise<number> {
    const names = await readdir(this.#folder, { recursive: true });
    const sizes = names.map((name) => stat(join(this.#folder, name)).then(({ size }) => size, gone));
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  }

  async write(write: LogWrite): Promise<void> {
    const begin = performance.now();
    try {
      await this.#store.write(write);
    } finally {
      this.onWrite(performance.now() - begin);
    }
  }

  get poisoned(): Promise<StoreError> {
    return this.#store.poisoned;
  }

  bootstrap(memberId: MemberId, meta: AppliedMeta): Promise<void> {
    return this.#store.bootstrap(memberId, meta);
  }

  compact(through: LogIndex): Promise<void> {
    return this.#store.compact(through);
  }

  records(): AsyncIterable<readonly StateRecord[]> {
    return this.#store.records();
  }

  openSnapshot(): Promise<SnapshotSource> {
    return this.#store.openSnapshot();
  }

  stageSnapshot(meta: AppliedMeta): Promise<SnapshotSink> {
    return this.#store.stageSnapshot(meta);
  }

  space(): StoreSpace {
    return this.#store.space();
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

function gone(error: unknown): number {
  if (errorCode(error) === 'ENOENT') return 0;
  throw error;
}
