/**
 * One agent: registration, keep-alives, watch, reports, and the input of the host that follows from them.
 *
 * The lease comes from three sources, best first: a master's answer in this process; the cache, when no master has
 * answered shortly after the start; nothing. A dead control plane changes nothing on the host (rule 5); only a TTL that
 * has run out, or masters that give the lease to another process, take the tunnel down.
 */

import type { AgentOptions } from '#agent/agent-options.js';
import { hostInput } from '#agent/host-input.js';
import { KeepAlive } from '#agent/lease/keep-alive.js';
import {
  asksForMore,
  heldOf,
  keyOf,
  type Lease,
  type LeaseNetwork,
  type Seen,
  without,
  withWithheld,
} from '#agent/lease/lease.js';
import { type Grant, Registration, type RegistrationContent } from '#agent/lease/lease-request.js';
import { LeaseTerm } from '#agent/lease/lease-term.js';
import { draining, drainStatuses, OverlayReturn } from '#agent/lease/overlay-return.js';
import { StatusReporter } from '#agent/lease/status-reporter.js';
import { type KeepAliveResponse, MasterError, type MasterErrorKind } from '#agent/master-api.js';
import { NodeAddressWatch } from '#agent/node-address-watch.js';
import { PeerCache } from '#agent/peers/peer-cache.js';
import { PeerTable, type TableChange } from '#agent/peers/peer-table.js';
import { PeerWatch } from '#agent/peers/peer-watch.js';
import { LeaseCache } from '#agent/state/lease-cache.js';
import { formerClustersMax } from '#agent/state/store.js';
import { ExpectedError } from '#errors/expected-error.js';
import { HostInputError } from '#host/input-check.js';
import type { CleanupReport } from '#host/reconciler-interface.js';
import { between } from '#time/backoff.js';

/** No master has answered for so long after the start: the cache is used, ms. */
export const cacheAfterMs = 3_000;
/** Changes of the table that follow one another reach the host together, ms. */
const hostGatherMs = 100;
/** All agents hear of a change of the network at once; they register again within this time, ms. */
export const networkChangeJitterMs = 30_000;
/** An agent that lacks an overlay asks again after so long for each peer there is, so that all together ask 10 times a second, ms. */
const problemRetryMs = { perPeer: 100, min: 60_000, max: 3_600_000 };

/** What the masters said no to has not happened. */
const refusals: ReadonlySet<MasterErrorKind> = new Set(['aborted', 'held', 'refused', 'invalid']);

/** `hostOnly`: the masters are not asked; the lease of this host stays on record there. */
export type LeaveOptions = { readonly hostOnly?: boolean };
/** `gaveBack`: a lease was given back; false: there was none, or the masters were not to be asked. */
export type LeaveReport = CleanupReport & { readonly gaveBack: boolean };

/** There is no lease to give back, and nothing of a former one on this host. */
export class NothingHeldError extends ExpectedError {
  override readonly name = 'NothingHeldError';
}

export type LeaseSource = 'none' | 'cache' | 'masters';

export class Agent {
  readonly registration: Registration;
  readonly keepAlive: KeepAlive;
  readonly watch: PeerWatch;
  readonly table: PeerTable;
  readonly term: LeaseTerm;
  readonly #options: AgentOptions;
  readonly #cache: LeaseCache;
  readonly #peerCache: PeerCache;
  readonly #nodeAddress: NodeAddressWatch;
  readonly #reporter: StatusReporter;
  readonly #returns: OverlayReturn;
  #lease: Lease | undefined;
  /** What the masters sent since they granted it. */
  #seen: Seen | undefined;
  #source: LeaseSource = 'none';
  /** Whether what is cached may go to the host. */
  #cacheDue = false;
  /** The masters have said that the lease is not the newest. */
  #fenced = false;
  /** It was asked to leave, now or before its last start, and has got no lease since. */
  #leaving: boolean;
  #stopped = false;
  #reachable = true;
  /** Of this process. */
  #runId: string;
  /** The masters have refused it in favour of another process, in their words; empty: they have not. */
  #heldElsewhere = '';
  /** The masters have another node address for the lease, and this one; empty: they have not. */
  #otherNodeIp = '';
  #hostError = '';
  #cancelHost: (() => void) | undefined;
  #cancelCacheDue: () => void = () => {};

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#runId = options.newRunId();
    const agents = () => this.#agents;
    const { api, clock, bootClock, random, newInstanceId, log, store, agentId } = options;
    const cached = this.#ownCache();
    this.#lease = cached?.lease;
    this.#seen = cached?.seen;
    this.#leaving = cached?.leaving === true;
    this.#source = cached === undefined ? 'none' : 'cache';
    this.table = new PeerTable(agentId, store.peers);
    this.term = new LeaseTerm({ clock, bootClock, record: cached?.term, changed: () => this.#onTerm() });
    this.registration = new Registration({
      api,
      clock,
      bootClock,
      random,
      agents,
      newInstanceId,
      log,
      store,
      runId: () => this.#runId,
      compose: () => this.#compose(),
      granted: (grant) => this.#onGranted(grant),
      refused: (error) => this.#onRefused(error),
    });
    this.keepAlive = new KeepAlive({
      api,
      clock,
      bootClock,
      random,
      agents,
      answered: (response, sentAtMs) => this.#onKeptAlive(response, sentAtMs),
      held: (error) => this.#onHeld(error),
      fenced: (error) => this.#onFenced(error),
      away: (error) => {
        if (error === undefined) log.info({}, 'the masters answer again');
        else log.warn({ error: error.message }, 'no master is heard; the host stays as it is, and the agent tries on');
      },
      refused: (error) => {
        if (error === undefined) log.info({}, 'the masters keep the lease alive again');
        else log.warn({}, `the masters refuse to keep the lease alive; trying on: ${error.message}`);
      },
    });
    this.watch = new PeerWatch({
      api,
      clock,
      random,
      agents,
      log,
      table: this.table,
      lease: () => this.#lease,
      changed: (change) => this.#onTable(change),
    });
    this.#cache = new LeaseCache({ store, clock, log });
    this.#peerCache = new PeerCache({ clock, log, store, table: this.table });
    this.#returns = new OverlayReturn({
      api,
      clock,
      log,
      replaceLease: (lease) => {
        this.#lease = lease;
        this.#saveLease();
      },
      askAgain: (reason) => this.registration.begin(reason),
    });
    this.#nodeAddress = new NodeAddressWatch({
      clock,
      log,
      nodeIp: options.nodeIp,
      inUse: () => this.#nodeIpInUse,
      found: (nodeIp) => this.#onNodeIp(nodeIp),
    });
    this.#reporter = new StatusReporter({ api, clock, random, log, fenced: (error) => this.#onFenced(error) });
  }

  /** The current lease, if any. */
  get lease(): Lease | undefined {
    return this.#lease;
  }

  get leaseSource(): LeaseSource {
    return this.#source;
  }

  get options(): AgentOptions {
    return this.#options;
  }

  /** The newest picture of the network. */
  get network(): LeaseNetwork | undefined {
    const lease = this.#lease;
    const { network, revision } = this.table;
    if (lease === undefined) return network;
    return network !== undefined && this.table.isOf(lease) && revision >= lease.revision ? network : lease.network;
  }

  /** How many agents there are, this one too; undefined: not known yet. */
  get #agents(): number | undefined {
    return this.table.network === undefined ? undefined : this.table.size + 1;
  }

  /** What is wrong in the agent itself, for the status. */
  get troubles(): readonly string[] {
    const cache = (error: string): string => (error === '' ? '' : `the cache can't be written: ${error}`);
    const lost = this.#reachable ? '' : 'peers do not route here: another agent has taken node_ip over';
    const caches = [this.#cache, this.#peerCache].map(({ error }) => cache(error));
    const all = [lost, ...caches, this.#hostError, this.#nodeAddress.error];
    return all.filter((trouble) => trouble !== '');
  }

  /** Another process keeps this lease alive, in the masters' words; empty: none that is known of. */
  get heldElsewhere(): string {
    return this.#heldElsewhere;
  }

  /** The node address that the masters have for the lease, if it is not this agent's; empty: it is. */
  get otherNodeIp(): string {
    return this.#otherNodeIp;
  }

  start(): void {
    const { clock, host } = this.#options;
    host.onStatus(() => this.#onHost());
    host.start();
    if (this.#lease !== undefined && !this.#leaving) {
      this.watch.start();
      this.#cancelCacheDue = clock.after(cacheAfterMs, () => this.#useCache());
    }
    this.#nodeAddress.start();
    this.registration.begin('the agent has started');
  }

  /** Stops talking to the masters. The data plane and the lease stay as they are. */
  async stop(): Promise<void> {
    this.#quiet();
    await this.#peerCache.flush();
    await this.#options.host.stop();
  }

  /**
   * Gives everything back, takes the data plane down and stops. The masters are asked first: what they refuse has
   * changed nothing. What is given back is quarantined, so that no other agent gets it while the host is cleaned. Can
   * be repeated, until nothing is left on the host.
   * @throws MasterError when no master could be reached, or they refuse; Error when the state directory can't be
   * written.
   */
  async leave({ hostOnly = false }: LeaveOptions = {}): Promise<LeaveReport> {
    const { store, agentId, log } = this.#options;
    const lease = this.#lease;
    this.#quiet();
    const clusterIds = [
      ...new Set([...(lease === undefined ? [] : [lease.clusterId]), ...store.identity.formerClusterIds]),
    ];
    if (clusterIds.length === 0) throw new NothingHeldError('this agent holds nothing that it could give back');
    if (lease !== undefined) {
      if (!hostOnly) await this.#giveBack(lease);
      // From here on the cluster is one that may have left something on this host, and that is all.
      store.saveIdentity({ ...store.identity, formerClusterIds: clusterIds.slice(0, formerClustersMax) });
      store.saveLease(undefined);
      this.#lease = undefined;
      this.#source = 'none';
      if (!hostOnly) log.info({ agentId, epoch: lease.epoch }, 'left: the lease is given back');
    }
    const report = await this.#options.host.cleanup(clusterIds, this.#options.settings);
    if (report.left.length === 0) store.saveIdentity({ ...store.identity, formerClusterIds: [] });
    return { ...report, gaveBack: lease !== undefined && !hostOnly };
  }

  /** The note that it is leaving stays while the outcome at the masters is unknown. */
  async #giveBack(lease: Lease): Promise<void> {
    const { api, store } = this.#options;
    const before = this.#leaving;
    const note = (leaving: boolean): void =>
      store.saveLease({ lease, term: this.term.record, ...(leaving ? { leaving } : {}) });
    this.#leaving = true;
    note(true);
    try {
      await api.leave({ ...keyOf(lease), runId: this.#runId });
    } catch (error) {
      if (error instanceof MasterError && refusals.has(error.kind)) {
        this.#leaving = before;
        note(before);
      }
      throw error;
    }
  }

  #quiet(): void {
    this.#stopped = true;
    this.registration.stop();
    this.keepAlive.stop();
    this.watch.stop();
    this.#reporter.stop();
    this.#returns.stop();
    this.term.stop();
    this.#cancelHost?.();
    this.#cancelCacheDue();
    this.#nodeAddress.stop();
  }

  #ownCache(): AgentOptions['store']['lease'] {
    const { store, agentId, log } = this.#options;
    if (store.lease === undefined || store.lease.lease.agentId === agentId) return store.lease;
    log.warn({ agentId, cached: store.lease.lease.agentId }, 'the cached lease is of another agent id and is not used');
    return undefined;
  }

  async #compose(): Promise<RegistrationContent> {
    const { agentId, hostname, networkConfig, nodeIp, takeover } = this.#options;
    const lease = this.#lease;
    return {
      agentId,
      hostname,
      networkConfig,
      nodeIp: await nodeIp(this.#nodeIpInUse),
      takeover: takeover && this.#source !== 'masters',
      // What it was to give back it does not run on, and may be another's by now.
      ...(lease === undefined || this.#leaving ? {} : { held: heldOf(lease, this.#seen ?? lease) }),
    };
  }

  #onGranted({ lease, sentAtMs, ttlMs }: Grant): void {
    const { log } = this.#options;
    const { epoch, clusterId, problems } = lease;
    if (this.#source !== 'masters' || this.#lease?.epoch !== epoch) {
      log.info({ clusterId, epoch, vtepIp: lease.vxlan.vtepIp, overlays: lease.overlays.length }, 'registered');
    }
    for (const { overlay, reason } of problems) log.error({ overlay, reason }, 'an overlay was not allocated');
    this.#cache.rememberCluster(this.#lease?.clusterId, clusterId);
    const before = this.#source === 'masters' ? this.#lease : undefined;
    const same = before?.epoch === epoch && before.nodeIp === lease.nodeIp && before.clusterId === clusterId;
    this.#heldElsewhere = '';
    this.#otherNodeIp = '';
    this.#returns.granted();
    this.#lease = withWithheld(lease, this.#leaving ? undefined : this.#lease);
    this.#seen = undefined;
    this.#source = 'masters';
    this.#fenced = false;
    this.#leaving = false;
    this.#cancelCacheDue();
    this.term.heard(sentAtMs, ttlMs);
    this.#saveLease();
    const { revision, branch } = lease;
    const told = branch === '' ? {} : { revision, branch };
    this.keepAlive.start({ ...keyOf(lease), ...told, runId: this.#runId }, same);
    this.#reporter.setLease(keyOf(lease));
    this.watch.start();
    this.watch.announced(lease.revision);
    this.#updateHost();
    if (problems.length > 0) this.#askForMoreLater();
  }

  #askForMoreLater(): void {
    const { perPeer, min, max } = problemRetryMs;
    const delayMs = Math.min(max, Math.max(min, perPeer * this.table.size));
    this.registration.beginLater('an overlay is lacking', between(delayMs / 2, delayMs * 1.5, this.#options.random));
  }

  #onRefused(error: MasterError): void {
    this.#cancelCacheDue();
    this.#heldElsewhere = '';
    if (error.kind === 'held') {
      this.#lostTo(error);
      return;
    }
    if (this.#lease === undefined) {
      if (error.kind !== 'invalid') return;
      this.#quiet();
      this.#options.failed(error);
      return;
    }
    // The lease was lost and not renewed: the block may be reassigned.
    if (this.#fenced || error.idIsAnothers) this.term.revoked();
    // What was cached may have been given to others since; it is not confirmed, so it is not used for long.
    else if (this.#source === 'cache') this.term.fenced();
    this.#saveLease();
  }

  #onFenced(error: MasterError): void {
    if (this.#stopped) return;
    this.#options.log.warn({ status: error.status, error: error.message }, 'the lease is not the newest');
    this.keepAlive.stop();
    this.#reporter.setLease(undefined);
    this.#fenced = true;
    this.term.fenced();
    this.#saveLease();
    if (!this.registration.inFlight) this.registration.begin('the lease is not the newest');
  }

  /** A keep-alive was refused: another process has the lease. */
  #onHeld(error: MasterError): void {
    if (this.#stopped) return;
    this.#options.log.error({ error: error.message }, 'another process keeps the lease alive');
    this.#lostTo(error);
    if (!this.registration.inFlight) this.registration.begin('another process keeps the lease alive');
  }

  /** Where the other process is at another place, two hosts would use one lease: this one ends at once. */
  #lostTo(error: MasterError): void {
    this.keepAlive.stop();
    this.#reporter.setLease(undefined);
    this.#heldElsewhere = error.message;
    if (this.#lease === undefined) return;
    this.#source = 'cache';
    this.term.held(error.samePlace);
    this.#saveLease();
  }

  /**
   * The masters have moved the lease to another address, though this process has not asked for it. Another one may have
   * the same run_id (a copy of a running machine), so this one draws a new one, and asks which of them has it.
   */
  #checkNodeIpOf({ nodeIp }: KeepAliveResponse): void {
    const lease = this.#lease;
    // Old masters do not tell; and a request for another address may be decided and not answered.
    if (nodeIp === '' || lease === undefined || nodeIp === lease.nodeIp || this.registration.inFlight) return;
    const { log, newRunId } = this.#options;
    log.error(
      { nodeIp: lease.nodeIp, atMasters: nodeIp },
      'the masters have another node_ip for this lease; registering again',
    );
    this.#otherNodeIp = nodeIp;
    this.#runId = newRunId();
    this.keepAlive.stop();
    this.registration.begin('the masters have another node_ip');
  }

  #onKeptAlive(response: KeepAliveResponse, sentAtMs: number): void {
    const { ttlLeftMs, revision, branch } = response;
    this.#checkNodeIpOf(response);
    this.term.heard(sentAtMs, ttlLeftMs ?? undefined);
    this.#saw({ revision, branch });
    this.watch.announced(revision);
    const ttlMs = this.term.record?.ttlMs;
    if (ttlMs !== undefined && this.#cache.isDue(ttlMs)) this.#saveLease();
  }

  /** What the host has done is reported, and what it has taken down for good is given back. */
  #onHost(): void {
    const { host } = this.#options;
    const status = host.status();
    const lease = this.#lease;
    const { network } = this;
    const leaving = lease === undefined || network === undefined ? new Set<string>() : draining(lease, network);
    this.#reporter.setOverlays([...status.overlays, ...drainStatuses(leaving, status)]);
    if (lease === undefined || network === undefined || this.#source !== 'masters' || this.#fenced) return;
    this.#returns.consider(lease, network, status);
  }

  /** Cached for each new branch; a later revision of the same one says no more. */
  #saw(seen: Seen): void {
    if (seen.branch === '') return;
    const before = this.#seen ?? this.#lease;
    this.#seen = seen;
    if (before?.branch !== seen.branch) this.#saveLease();
  }

  #onTerm(): void {
    const { log } = this.#options;
    if (this.term.valid) log.info({}, 'the lease is good again: the tunnel goes up');
    else log.error({}, 'the lease has ended: the tunnel goes down');
    this.#cacheDue = true;
    this.#updateHost();
  }

  #onTable(change: Exclude<TableChange, 'nothing'>): void {
    this.#peerCache.changed(change);
    this.#checkReachable();
    if (change === 'position') return;
    this.#updateHost();
    const { network, clusterId, revision } = this.table;
    const lease = this.#lease;
    if (change !== 'network' || network === undefined || lease === undefined) return;
    if (clusterId !== lease.clusterId) {
      this.registration.begin('the cluster has another id');
    } else if (revision > lease.revision && asksForMore(lease, network)) {
      this.registration.beginLater('the network has changed', between(0, networkChangeJitterMs, this.#options.random));
    }
  }

  /** If the node address was lost, requests it; the masters return it or name the new holder. */
  #checkReachable(): void {
    const { selfReachable } = this.table;
    if (selfReachable === this.#reachable) return;
    this.#reachable = selfReachable;
    if (selfReachable || this.#source !== 'masters') return;
    this.registration.begin('another agent has taken the node address over');
  }

  #useCache(): void {
    const { log } = this.#options;
    log.warn({ epoch: this.#lease?.epoch, peers: this.table.size }, 'no master has answered: starting from the cache');
    this.#cacheDue = true;
    this.#updateHost();
  }

  #updateHost(): void {
    if (this.#stopped || this.#cancelHost !== undefined) return;
    this.#cancelHost = this.#options.clock.after(hostGatherMs, () => {
      this.#cancelHost = undefined;
      this.#tellHost();
    });
  }

  #tellHost(): void {
    const { host, settings, store, log } = this.#options;
    const lease = this.#lease;
    const { network } = this;
    const { picture } = this.table;
    if (lease === undefined || network === undefined) return;
    if (this.#source === 'cache' && (this.#leaving || !this.#cacheDue)) return;
    const peers = this.table.isOf(lease) ? picture?.peers : undefined;
    const leaseValid = this.term.valid;
    // Without a whole picture of the peers, a tunnel that is up would lose its routes. One that goes down needs none.
    if (peers === undefined && leaseValid) return;
    const { formerClusterIds } = store.identity;
    try {
      const kept = without(lease, draining(lease, network));
      host.update(hostInput({ lease: kept, leaseValid, network, peers: peers ?? [], settings, formerClusterIds }));
      this.#hostError = '';
      this.#onHost();
    } catch (error) {
      if (!(error instanceof HostInputError)) throw error;
      // A master sent what it never should; the host stays as it is.
      this.#hostError = error.message;
      log.error({ error: error.message }, 'what the masters say can not be put to the host');
    }
  }

  /** The node address that peers have of this host. */
  get #nodeIpInUse(): string | undefined {
    return this.#leaving ? undefined : this.#lease?.nodeIp;
  }

  #onNodeIp(nodeIp: string): void {
    if (this.#source !== 'masters' || nodeIp === this.#lease?.nodeIp) return;
    const { api } = this.#options;
    // Connections from an address that is gone end by a timeout alone.
    api.reconnect();
    this.registration.begin(`node_ip is ${nodeIp} now`);
  }

  #saveLease(): void {
    const lease = this.#lease;
    if (lease === undefined) return;
    const leaving = this.#leaving ? { leaving: true } : {};
    this.#cache.save({ lease, term: this.term.record, seen: this.#seen, ...leaving });
  }
}
