/**
 * Every other agent, and the network, as the watch of the masters sends them: a snapshot replaces the table when its
 * end has arrived, changes are taken in by whole revisions. Only what a host needs of a peer is kept.
 */
import type { LeaseNetwork } from '#agent/lease/lease.js';
import { leaseNetworkOf } from '#agent/lease/lease.js';
import type { WatchRequest, WatchResponse } from '#agent/master-api.js';
import {
  inflateChanges,
  inflateChunk,
  peerOfAgent,
  peerOfShort,
  WatchProtocolError,
} from '#agent/peers/peer-message.js';
import { peersMax } from '#host/desired/bounds.js';
import type { Peer } from '#host/input.js';
import { sublet } from '#proto/sublet.js';
import { incarnationsDiffer, noIncarnation } from '#replica/bootstrap/incarnation.js';

/** The whole table at one revision of one cluster. */
export type PeerPicture = {
  readonly clusterId: string;
  /** Which incarnation of the cluster; empty: not known. */
  readonly incarnation: string;
  readonly revision: number;
  /** The branch of the masters' history that the revision is of; empty: unknown. */
  readonly branch: string;
  readonly network: LeaseNetwork;
  readonly peers: readonly Peer[];
};

/** A cluster, and which incarnation of it. */
export type ClusterIncarnation = { readonly clusterId: string; readonly incarnation: string };

/** Characters of one peer as JSON: 128 overlays with both families take 15,000. */
const peerLengthMax = 16_384;

/** What a message changed. `position`: only the revision. */
export type TableChange = 'nothing' | 'position' | 'peers' | 'network';

type Staged = {
  readonly clusterId: string;
  readonly incarnation: string;
  readonly peers: Map<string, Peer>;
  network: LeaseNetwork | undefined;
  selfReachable: boolean;
};

export class PeerTable {
  readonly #self: string;
  #clusterId = '';
  #incarnation = noIncarnation;
  #revision = 0;
  #branch = '';
  #network: LeaseNetwork | undefined;
  #peers = new Map<string, Peer>();
  #staged: Staged | undefined;
  #selfReachable = true;

  /** `self` is this agent's id: it is no peer of its own. */
  constructor(self: string, picture?: PeerPicture) {
    this.#self = self;
    if (picture === undefined) return;
    this.#clusterId = picture.clusterId;
    this.#incarnation = picture.incarnation;
    this.#revision = picture.revision;
    this.#branch = picture.branch;
    this.#network = picture.network;
    for (const peer of picture.peers) this.#peers.set(peer.agentId, peer);
  }

  /** Empty before the first snapshot. */
  get clusterId(): string {
    return this.#clusterId;
  }

  /** Whether it is of the cluster that a lease is of, and not of another incarnation of it. */
  isOf({ clusterId, incarnation }: ClusterIncarnation): boolean {
    return clusterId === this.#clusterId && !incarnationsDiffer(incarnation, this.#incarnation);
  }

  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#peers.size;
  }

  /** False while another agent has this one's node address, so that no peer routes to it. */
  get selfReachable(): boolean {
    return this.#selfReachable;
  }

  get network(): LeaseNetwork | undefined {
    return this.#network;
  }

  /** Undefined before the first snapshot. */
  get picture(): PeerPicture | undefined {
    if (this.#network === undefined) return undefined;
    const { clusterId, incarnation, revision, branch, network } = {
      clusterId: this.#clusterId,
      incarnation: this.#incarnation,
      revision: this.#revision,
      branch: this.#branch,
      network: this.#network,
    };
    return { clusterId, incarnation, revision, branch, network, peers: [...this.#peers.values()] };
  }

  /** The request that goes on from here. Before any snapshot it names what the lease is of: no other will do. */
  request(lease: ClusterIncarnation | undefined): WatchRequest {
    const of = this.#network === undefined ? lease : { clusterId: this.#clusterId, incarnation: this.#incarnation };
    const branch = this.#branch === '' ? {} : { branch: this.#branch };
    return {
      ...of,
      fromRevision: this.#revision,
      ...branch,
      peersOnly: true,
      peerForm: sublet.v1.PeerForm.PEER_FORM_SHORT,
    };
  }

  /** A stream begins: a snapshot that broke off with the last one is forgotten. */
  streamBegins(): void {
    this.#staged = undefined;
  }

  /** @throws WatchProtocolError */
  take(message: WatchResponse): TableChange {
    if (message.snapshotBegin) {
      this.#staged = {
        clusterId: message.snapshotBegin.clusterId ?? '',
        incarnation: message.snapshotBegin.incarnation ?? noIncarnation,
        peers: new Map(),
        network: undefined,
        selfReachable: true,
      };
      return 'nothing';
    }
    if (message.snapshotChunk) return this.#takeChunk(message.snapshotChunk);
    if (message.deflatedChunk?.length) return this.#takeChunk(inflateChunk(message.deflatedChunk));
    if (message.snapshotEnd) return this.#endSnapshot(message.snapshotEnd);
    if (message.changes) return this.#takeChanges(message.changes);
    if (message.deflatedChanges) return this.#takeChanges(inflateChanges(message.deflatedChanges));
    if (message.progress) return this.#advance(message.progress, 'position');
    return 'nothing'; // A kind of message that only a newer master knows.
  }

  #takeChunk({ network, agents, peers }: sublet.v1.SnapshotChunk.$Properties): TableChange {
    const staged = this.#staged;
    if (staged === undefined) throw new WatchProtocolError('a chunk of a snapshot came without its begin');
    if (network) staged.network = leaseNetworkOf(network);
    for (const agent of agents ?? []) {
      if (agent.agentId === this.#self) staged.selfReachable = agent.reachable ?? false;
      else put(staged.peers, agent.agentId ?? '', peerOfAgent(agent));
    }
    for (const peer of peers ?? []) {
      if (peer.agentId === this.#self) staged.selfReachable = peer.unreachable !== true;
      else put(staged.peers, peer.agentId ?? '', peerOfShort(peer, staged.network?.vtepMacOui ?? ''));
    }
    return 'nothing';
  }

  #endSnapshot({ revision, branch }: sublet.v1.SnapshotEnd.$Properties): TableChange {
    const staged = this.#staged;
    if (staged?.network === undefined) throw new WatchProtocolError('a snapshot ended without its begin or network');
    this.#staged = undefined;
    this.#clusterId = staged.clusterId;
    this.#incarnation = staged.incarnation;
    this.#revision = revision ?? 0;
    this.#branch = branch ?? '';
    this.#network = staged.network;
    this.#peers = staged.peers;
    this.#selfReachable = staged.selfReachable;
    return 'network';
  }

  #takeChanges({ changes, ...position }: sublet.v1.Changes.$Properties): TableChange {
    if (this.#staged !== undefined) throw new WatchProtocolError('changes came in the middle of a snapshot');
    if (this.#network === undefined) throw new WatchProtocolError('changes came before any snapshot');
    let change: TableChange = 'position';
    for (const one of changes ?? []) {
      if ((one.revision ?? 0) <= this.#revision) continue; // Taken in already.
      if (one.networkChanged) {
        this.#network = leaseNetworkOf(one.networkChanged);
        change = 'network';
      } else if (this.#changePeer(one) && change === 'position') {
        change = 'peers';
      }
    }
    return this.#advance(position, change);
  }

  #changePeer({ agentChanged, peerChanged, agentRemoved }: sublet.v1.Change.$Properties): boolean {
    if (agentChanged?.agentId === this.#self) {
      this.#selfReachable = agentChanged.reachable ?? false;
      return false;
    }
    if (peerChanged?.agentId === this.#self) {
      this.#selfReachable = peerChanged.unreachable !== true;
      return false;
    }
    if (agentChanged) return put(this.#peers, agentChanged.agentId ?? '', peerOfAgent(agentChanged));
    if (peerChanged) {
      return put(this.#peers, peerChanged.agentId ?? '', peerOfShort(peerChanged, this.#network?.vtepMacOui ?? ''));
    }
    return this.#peers.delete(agentRemoved ?? '');
  }

  /** A master behind the one before says less than is known; the table never goes back. */
  #advance({ revision, branch }: sublet.v1.Progress.$Properties, change: TableChange): TableChange {
    if ((revision ?? 0) <= this.#revision) return change === 'position' ? 'nothing' : change;
    this.#revision = revision ?? 0;
    this.#branch = branch ?? '';
    return change;
  }
}

/** Whether anything that a host sees has changed. @throws WatchProtocolError beyond the bounds of a table */
function put(peers: Map<string, Peer>, agentId: string, peer: Peer | undefined): boolean {
  if (peer === undefined) return peers.delete(agentId);
  const before = peers.get(agentId);
  const json = JSON.stringify(peer);
  if (before !== undefined && JSON.stringify(before) === json) return false;
  if (json.length > peerLengthMax) {
    throw new WatchProtocolError(`an agent takes ${json.length} characters: at most ${peerLengthMax} are allowed`);
  }
  if (before === undefined && peers.size >= peersMax) {
    throw new WatchProtocolError(`more than ${peersMax} agents came`);
  }
  peers.set(agentId, peer);
  return true;
}
