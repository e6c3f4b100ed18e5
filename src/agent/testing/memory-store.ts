/** A state directory without a disk. What it holds outlives an agent, as a disk does. */
import type { PeerPicture } from '#agent/peers/peer-table.js';
import type { AgentIdentity, AgentStore, LeaseRecord } from '#agent/state/store.js';

export class MemoryStore implements AgentStore {
  identity: AgentIdentity = { instanceId: 'instance-1', sequence: 0, formerClusterIds: [] };
  lease: LeaseRecord | undefined;
  peers: PeerPicture | undefined;
  /** While set, nothing can be written. */
  full = false;
  leaseWrites = 0;

  saveIdentity(identity: AgentIdentity): void {
    this.#check();
    this.identity = identity;
  }

  saveLease(record: LeaseRecord | undefined): void {
    this.#check();
    this.leaseWrites += 1;
    this.lease = record;
  }

  async savePeers(picture: PeerPicture): Promise<void> {
    this.#check();
    this.peers = picture;
  }

  #check(): void {
    if (this.full) throw new Error('ENOSPC: no space left on device');
  }
}
