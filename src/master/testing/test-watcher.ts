/**
 * A watcher for specs: keeps a copy of the plan from what it is sent, as an agent would, and checks on the way that
 * nothing comes twice, goes back, or is split.
 */
import assert from 'node:assert/strict';
import { inflateRawSync } from 'node:zlib';
import type { RefusedError } from '#api/refusal.js';
import type { IpamMachine } from '#master/ipam-machine.js';
import { agentMessage, networkMessage } from '#master/services/plan-message.js';
import type { WatchSink } from '#master/watch/watch-hub.js';
import { sublet } from '#proto/sublet.js';

const { Agent, Changes, Network, Peer, SnapshotChunk, WatchResponse } = sublet.v1;

export class TestWatcher implements WatchSink {
  readonly messages: sublet.v1.WatchResponse[] = [];
  readonly bytes: Buffer[] = [];
  /** By agent id, encoded: an Agent, or in the short form a Peer. */
  agents = new Map<string, string>();
  network: string | undefined;
  clusterId = '';
  /** The last revision seen, and its branch; 0 and empty: none. */
  revision = 0;
  branch = '';
  snapshots = 0;
  progresses = 0;
  ended: RefusedError | undefined;
  /** While false, messages pile up unread: at most one is under way. */
  reads = true;
  /** What it has seen is of another history. */
  forgets = false;
  #staged: { readonly agents: Map<string, string>; network: string | undefined; readonly begun: number } | undefined;
  #unread: (() => void) | undefined;

  /** Goes on from what another one has seen. */
  static resume(from: TestWatcher): TestWatcher {
    const watcher = new TestWatcher();
    watcher.agents = new Map(from.agents);
    watcher.network = from.network;
    watcher.clusterId = from.clusterId;
    watcher.revision = from.revision;
    watcher.branch = from.branch;
    return watcher;
  }

  /** Messages with changes so far. */
  get batches(): number {
    return this.messages.filter(({ changes, deflatedChanges }) => changes ?? deflatedChanges).length;
  }

  send(message: Buffer, sent: () => void): void {
    assert.equal(this.#unread, undefined, 'a message is sent only when the last was taken');
    this.bytes.push(message);
    this.take(message);
    if (this.reads) queueMicrotask(sent);
    else this.#unread = sent;
  }

  end(refused: RefusedError): void {
    this.ended = refused;
  }

  /** Takes one message, wherever it came from. */
  take(message: Uint8Array): void {
    const response = WatchResponse.decode(message);
    this.messages.push(response);
    const { snapshotBegin, snapshotChunk, deflatedChunk, snapshotEnd, changes, deflatedChanges, progress } = response;
    if (snapshotBegin) this.#begin(snapshotBegin);
    if (snapshotChunk) this.#chunk(snapshotChunk);
    if (deflatedChunk?.length) this.#chunk(SnapshotChunk.decode(inflateRawSync(deflatedChunk)));
    if (snapshotEnd) this.#end(snapshotEnd);
    if (changes) this.#changes(changes);
    if (deflatedChanges) {
      const { changes: list, revision, branch } = deflatedChanges;
      this.#changes({
        changes: Changes.decode(inflateRawSync(list ?? '')).changes,
        revision: revision ?? 0,
        branch: branch ?? '',
      });
    }
    if (progress) this.#progress(progress);
  }

  /** Reads what was left lying, and goes on reading. */
  readOn(): void {
    this.reads = true;
    const sent = this.#unread;
    this.#unread = undefined;
    sent?.();
  }

  /**
   * Its copy is the plan of this machine. What agents' messages repeat of the network is compared only on demand: a
   * change of the network is one event, not one for each agent.
   */
  assertSameAs({ ipam, network }: IpamMachine, { repeated = false } = {}): void {
    assert.equal(
      this.network,
      network === undefined ? undefined : watcherText(Network.encode(networkMessage(network)).finish()),
    );
    const expected = ipam.agentsAfter(undefined, ipam.agentCount + 1).map((agent) => {
      const bytes = watcherText(Agent.encode(agentMessage(agent, network?.reclaimMs)).finish());
      return [`${agent.agentId}`, repeated ? bytes : withoutNetwork(bytes)] as const;
    });
    const copied = [...this.agents].map(([id, bytes]) => [id, repeated ? bytes : withoutNetwork(bytes)] as const);
    assert.deepEqual(new Map(copied.sort(byKey)), new Map(expected));
  }

  #begin({ clusterId, revision }: sublet.v1.SnapshotBegin.$Properties): void {
    assert.equal(this.#staged, undefined, 'a snapshot begins within another');
    const sameHistory = this.clusterId === clusterId && this.branch !== '' && !this.forgets;
    if (sameHistory) assert.ok((revision ?? 0) >= this.revision, `a snapshot of ${revision} after ${this.revision}`);
    this.clusterId = clusterId ?? '';
    this.#staged = { agents: new Map(), network: undefined, begun: revision ?? 0 };
  }

  #chunk({ network, agents, peers }: sublet.v1.SnapshotChunk.$Properties): void {
    assert.ok(this.#staged, 'a chunk outside of a snapshot');
    if (network) this.#staged.network = watcherText(Network.encode(network).finish());
    for (const agent of agents ?? []) {
      const id = agent.agentId ?? '';
      assert.ok(!this.#staged.agents.has(id), `${id} is in the snapshot twice`);
      this.#staged.agents.set(id, watcherText(Agent.encode(agent).finish()));
    }
    for (const peer of peers ?? []) {
      this.#staged.agents.set(peer.agentId ?? '', watcherText(Peer.encode(peer).finish()));
    }
  }

  #end({ revision, branch }: sublet.v1.SnapshotEnd.$Properties): void {
    assert.ok(this.#staged, 'an end without a begin');
    assert.equal(revision, this.#staged.begun);
    this.agents = this.#staged.agents;
    this.network = this.#staged.network;
    this.revision = revision ?? 0;
    this.branch = branch ?? '';
    this.#staged = undefined;
    this.snapshots += 1;
  }

  #changes({ changes, revision, branch }: sublet.v1.Changes.$Properties): void {
    assert.equal(this.#staged, undefined, 'changes within a snapshot');
    let last = this.revision;
    for (const change of changes ?? []) {
      const at = change.revision ?? 0;
      // A revision that was in an earlier message is either repeated or was split.
      assert.ok(at > this.revision, `revision ${at} after ${this.revision}`);
      assert.ok(at >= last, `revision ${at} after ${last}`);
      last = at;
      if (change.agentChanged) {
        this.agents.set(change.agentChanged.agentId ?? '', watcherText(Agent.encode(change.agentChanged).finish()));
      }
      if (change.peerChanged) {
        this.agents.set(change.peerChanged.agentId ?? '', watcherText(Peer.encode(change.peerChanged).finish()));
      }
      if (change.agentRemoved != null) this.agents.delete(change.agentRemoved);
      if (change.networkChanged) this.network = watcherText(Network.encode(change.networkChanged).finish());
    }
    assert.ok((revision ?? 0) >= last);
    this.revision = revision ?? 0;
    this.branch = branch ?? '';
  }

  #progress({ revision, branch }: sublet.v1.Progress.$Properties): void {
    assert.ok((revision ?? 0) > this.revision, `progress to ${revision} after ${this.revision}`);
    this.revision = revision ?? 0;
    this.branch = branch ?? '';
    this.progresses += 1;
  }
}

function withoutNetwork(bytes: string): string {
  const agent = Agent.decode(Buffer.from(bytes, 'base64'));
  for (const overlay of agent.overlays) overlay.info = { name: overlay.info?.name ?? '' };
  return watcherText(Agent.encode(agent).finish());
}

export function watcherText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function byKey([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
