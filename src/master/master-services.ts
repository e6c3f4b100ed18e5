/**
 * Everything that a master serves, over a replicated log given to it: the address plan's services, presence and
 * leases, watchers, and calls between masters. It opens no port and no store.
 */

import type {
  ChannelCredentials,
  Server,
  ServerInterceptor,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Cidr } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import type { Ipam } from '#ipam/ipam.js';
import { accessEndpoints } from '#master/access/access-service.js';
import { Admission, type AdmissionLimits, defaultAdmissionLimits } from '#master/access/admission.js';
import { Revocations } from '#master/access/revocations.js';
import { forwardMethods } from '#master/forward/forward-method.js';
import { forwardService, forwardServiceDefinition } from '#master/forward/forward-service.js';
import { PeerLinks } from '#master/forward/peer-links.js';
import { StateComparison } from '#master/integrity/state-comparison.js';
import { StateDigests } from '#master/integrity/state-digests.js';
import type { IpamMachine, PlanOutcome } from '#master/ipam-machine.js';
import { CertificateService, type Certifying } from '#master/joining/certificate-service.js';
import { type JoinServerOptions, joinServer } from '#master/joining/join-server.js';
import { joinTokenEndpoints } from '#master/joining/join-token-service.js';
import { BranchMarker, branchValue } from '#master/leader/branch-marker.js';
import { type ConfiguredNetwork, NetworkKeeper } from '#master/leader/configured-network.js';
import { HistoryGuard } from '#master/leader/history-guard.js';
import { LeaderChanges } from '#master/leader/leader-changes.js';
import { Leadership } from '#master/leader/leadership.js';
import { OtherIncarnations } from '#master/leader/other-incarnations.js';
import { KeepAliveService } from '#master/leases/keep-alive-service.js';
import { LeaseKeeper } from '#master/leases/lease-keeper.js';
import { type Contest, contestFields } from '#master/leases/lease-processes.js';
import type { ReceivedKeepAlive } from '#master/leases/received-keep-alive.js';
import type { MasterLog } from '#master/master-log.js';
import { memberMessages } from '#master/members/member-account.js';
import { membershipEndpoints } from '#master/members/membership-service.js';
import type { ClusterControl } from '#master/members/membership-step.js';
import { MoveKeeper } from '#master/members/move-keeper.js';
import { PlanPage, type PlanPageOptions } from '#master/page/plan-page.js';
import { OutlookKeeper } from '#master/process/capacity-outlook.js';
import { endedWarnings } from '#master/process/ended-warnings.js';
import { runtimeWarnings } from '#master/process/runtime-warnings.js';
import { spaceWarnings } from '#master/process/space-warnings.js';
import { apiServer, type CallerOf, streamsPerPlainConnection } from '#master/server/api-server.js';
import { CallRouter } from '#master/server/call-router.js';
import type { Endpoint } from '#master/server/endpoint.js';
import { type CallObserver, UnaryCalls } from '#master/server/unary-call.js';
import { agentEndpoints } from '#master/services/agent-service.js';
import { clusterEndpoints } from '#master/services/cluster-service.js';
import { origin } from '#master/services/operator-parse.js';
import { operatorEndpoints } from '#master/services/operator-service.js';
import { PlanClient } from '#master/services/plan-client.js';
import { PlanEncoding } from '#master/services/plan-encoding.js';
import { recordBackupEndpoint, saveSnapshotMethod } from '#master/services/snapshot-service.js';
import type { Warning } from '#master/warning.js';
import { EventRing } from '#master/watch/event-ring.js';
import { type AgentForm, PlanSnapshots } from '#master/watch/plan-snapshot.js';
import { WatchHub } from '#master/watch/watch-hub.js';
import { watchMethod } from '#master/watch/watch-service.js';
import { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import type { Founder } from '#replica/ports/peer-network.js';
import type { ReplicaStatus, ReplicatedLog } from '#replica/ports/replicated-log.js';
import type { SignSnapshot } from '#storage/snapshots/snapshot-file.js';
import { byAddress, type Caller, noCaller } from '#tls/caller.js';
import type { Principal } from '#tls/principal.js';

export type MasterServicesOptions = {
  readonly log: ReplicatedLog<PlanOutcome>;
  /** Absent: the members of `log` are not changed through Sublet. */
  readonly control?: ClusterControl;
  /** The one that `log` applies to. */
  readonly machine: IpamMachine;
  readonly clusterId: string;
  readonly name: string;
  readonly network: ConfiguredNetwork;
  /** The masters that the configuration names, those to join too; without `control` none is asked for its identity. */
  readonly configured?: readonly Founder[];
  readonly electionTimeoutMs: number;
  /** For calls to other masters' peer ports. */
  readonly peerCredentials: ChannelCredentials;
  readonly version: string;
  readonly clock: Clock;
  /** Ms since 1970. */
  readonly wallClock: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: MasterLog;
  /** This master's plan was found to be corrupt: it must not go on. */
  readonly onCorrupt: (error: Error) => void;
  /** The caller whose connection comes from HOST:PORT; default: known by that alone. */
  readonly callerOf?: CallerOf;
  /** Has hosts join by tokens and renew their certificates; absent: without TLS. */
  readonly certifying?: Certifying;
  /** Signs backups with the certificate of this master; absent: without TLS. */
  readonly signBackup?: SignSnapshot;
  /** Where node addresses lie; default: anywhere. */
  readonly nodeIps?: readonly Cidr[] | undefined;
  /** Streams of one connection to the API's server. */
  readonly streamsPerConnection?: number;
  /** Of the open connection to the API from HOST:PORT; absent: this master runs without TLS. */
  readonly principalAt?: (from: string) => Principal | undefined;
  /** The name of the master whose connection to the peer port comes from HOST:PORT; absent: as above. */
  readonly peerNameAt?: (from: string) => string;
  /** Of the API's server. */
  readonly interceptors?: readonly ServerInterceptor[];
  /** What else an operator should look at. */
  readonly moreWarnings?: () => readonly Warning[];
  readonly limits?: Partial<ServiceLimits>;
};

/** How the callers of a server are named, and judged before their calls are read. */
export type ApiCallers = Pick<MasterServicesOptions, 'callerOf' | 'interceptors'>;

export type ServiceLimits = {
  readonly admission: AdmissionLimits;
  /** How long a call waits for a leader, in ms. */
  readonly leaderWaitMs: number;
  /** Revisions, and bytes of events, that a watcher can be behind before it gets a snapshot. */
  readonly ringCountMax: number;
  readonly ringBytesMax: number;
  /** Bytes in one message to a watcher. */
  readonly batchBytesMax: number;
};

const defaultLimits: ServiceLimits = {
  admission: defaultAdmissionLimits,
  leaderWaitMs: 5_000,
  ringCountMax: 16_384,
  ringBytesMax: 24 * 1024 * 1024,
  batchBytesMax: 256 * 1024,
};
/** Bytes of one chunk of a snapshot, message and all. */
const chunkBytesMax = 1024 * 1024;
const defaultTimeoutMs = 10_000;
/** The newest branches that masters compare. */
const branchesCompared = 16;

/** A proof that began an adoption; a restore that did is no news. */
function adoptionWarnings({ adoptionReason }: Ipam): readonly Warning[] {
  if (adoptionReason === '') return [];
  const message = `nothing fresh is granted (adoption): ${adoptionReason}`;
  const remedy =
    'find out which masters were put back from a copy (docs/operations/history.md); when all agents that run are back: sublet adoption end';
  return [{ message, remedy }];
}

/** A service for the server on the peer port. */
export type PeerService = {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
};

const starting = 'this master is starting';

export class MasterServices {
  readonly plan: PlanClient;
  readonly office: LeaseKeeper;
  readonly leadership: Leadership;
  readonly leaderChanges: LeaderChanges;
  readonly admission: Admission;
  readonly ring: EventRing;
  readonly hub: WatchHub;
  readonly comparison: StateComparison;
  readonly guard: HistoryGuard;
  readonly outlook: OutlookKeeper;
  readonly #marker: BranchMarker;
  readonly #otherIncarnations: OtherIncarnations | undefined;
  readonly #digests: StateDigests;
  readonly #options: MasterServicesOptions;
  readonly #keeper: NetworkKeeper;
  readonly #moves: MoveKeeper;
  readonly #links: PeerLinks;
  readonly #router: CallRouter;
  readonly #keepAlives: KeepAliveService;
  readonly #backups: Endpoint;
  readonly #endpoints: readonly Endpoint[];
  readonly #subscriptions: readonly (() => void)[];
  readonly #callerOf: CallerOf;
  readonly #certificates: CertificateService;
  #closed: string | undefined = starting;
  /** What keeps this master from taking part. */
  #waitsFor = '';

  constructor(options: MasterServicesOptions) {
    this.#options = options;
    this.#callerOf = options.callerOf ?? byAddress;
    const { log, machine, clusterId, clock, wallClock, random, logger, electionTimeoutMs } = options;
    const limits = { ...defaultLimits, ...options.limits };
    const report = (error: unknown): void => logger.error({ err: error }, 'an error that was not expected');
    this.plan = new PlanClient({ log, machine, clock, clusterId });
    this.leadership = new Leadership(log, clock);
    this.leaderChanges = new LeaderChanges({ log, clock, logger, electionTimeoutMs });
    const { plan, leadership } = this;
    const newValue = (): string => branchValue(random, wallClock);
    this.#marker = new BranchMarker({ log, leadership, clock, wallClock, newValue, logger, report });
    this.guard = new HistoryGuard({ log, plan, leadership, clock, wallClock, newValue, logger, report });
    const { guard } = this;
    const { control, configured = [] } = options;
    this.#otherIncarnations =
      control &&
      new OtherIncarnations({
        log,
        clusterId,
        configured,
        clock,
        logger,
        hello: (peer) => control.hello(peer),
        report: (peer) => this.#reportIncarnation(peer),
      });
    const mayGrant = (): RefusedError | undefined => this.#otherIncarnations?.refusal ?? guard.refusal;
    const claimed = (keepAlive: ReceivedKeepAlive): void => guard.checkLater(keepAlive.agentId, keepAlive);
    const contested = (contest: Contest): void =>
      logger.warn(contestFields(contest), 'two processes ask for one lease');
    const keeper = {
      log,
      machine,
      leadership,
      clock,
      wallClock,
      random,
      electionTimeoutMs,
      report,
      claimed,
      contested,
    };
    this.office = new LeaseKeeper(keeper);
    // A master that starts anew must not name its streams as before.
    const via = `${options.name}-${Math.floor(random() * 2 ** 32).toString(16)}`;
    this.admission = new Admission(limits.admission);
    const { office, admission } = this;
    this.#links = new PeerLinks({ plan, credentials: options.peerCredentials, clock });
    const peers = this.#links;
    const { leaderWaitMs } = limits;
    const closed = (): string | undefined => this.#closed;
    this.#router = new CallRouter({ leadership, peers, closed, leaderWaitMs, defaultTimeoutMs, clock, report });
    this.#backups = recordBackupEndpoint(plan, wallClock);
    this.#keepAlives = new KeepAliveService({
      office,
      plan,
      leadership,
      router: this.#router,
      admission,
      callerOf: this.#callerOf,
      clock,
      via,
      report,
      foreign: (agentId, claimed) => {
        if (guard.isOther(agentId, claimed)) this.#claim({ agentId, incarnation: claimed.incarnation ?? '' });
      },
    });

    const { certifying } = options;
    const certificates = { certifying, log, plan, router: this.#router, peers, clock, wallClock, logger };
    this.#certificates = new CertificateService(certificates);

    const encoding = new PlanEncoding();
    const { ringCountMax, ringBytesMax, batchBytesMax } = limits;
    const branchAt = (revision: number): string => machine.ipam.branchAt(revision);
    this.ring = new EventRing({ encoding, countMax: ringCountMax, bytesMax: ringBytesMax, batchBytesMax, branchAt });
    const { ring } = this;
    const snapshotsOf = (form: AgentForm): PlanSnapshots =>
      new PlanSnapshots({ machine, ring, encoding, plan, clock, chunkBytesMax, form });
    const snapshots = { whole: snapshotsOf('whole'), short: snapshotsOf('short') };
    const appliedIndex = (): number => log.status().appliedIndex;
    this.hub = new WatchHub({
      ring,
      snapshots,
      clusterId,
      clock,
      appliedIndex,
      branchAt,
      report,
      hasBranch: (branch, revision) => machine.ipam.hasBranch(branch, revision),
      isBeyond: (revision) => guard.isBeyond(revision),
      untrue: ({ fromRevision, branch, agentId }) =>
        this.#claim({ revision: fromRevision, branch, agentId: agentId ?? null }),
    });

    this.#digests = new StateDigests(machine);
    const branches = (revision: number): readonly string[] =>
      machine.ipam.branchesUpTo(revision).slice(-branchesCompared);
    const compared = {
      log,
      digests: this.#digests,
      branches,
      leadership,
      peers,
      clock,
      logger,
      version: options.version,
    };
    this.comparison = new StateComparison({ ...compared, fail: options.onCorrupt, report });
    const { network, name, version } = options;
    this.#keeper = new NetworkKeeper({ log, machine, leadership, network, name, wallClock, logger });
    const nodeAddresses = {
      allowed: options.nodeIps,
      masters: () => log.status().membership.members.map(({ peer }) => peer),
    };
    const warnings = (): readonly Warning[] => this.warnings();
    this.outlook = new OutlookKeeper({ plan, clock, wallClock });
    const { outlook } = this;
    const cluster = { log, leadership, peers, clusterId, clock, wallClock, electionTimeoutMs };
    const checksIdentities = options.principalAt !== undefined;
    const membership = { ...cluster, plan, logger, control: options.control, checksIdentities };
    this.#moves = new MoveKeeper({ ...membership, report });
    this.#endpoints = [
      ...agentEndpoints({ plan, office, guard, mayGrant, encoding, wallClock, nodeAddresses }),
      ...operatorEndpoints({ plan, office, wallClock }),
      ...clusterEndpoints({ ...cluster, plan, office, version, warnings, outlook }),
      ...accessEndpoints({ log, plan, name, wallClock, principalAt: options.principalAt }),
      ...membershipEndpoints(membership),
      ...joinTokenEndpoints({ plan, wallClock }),
      this.#certificates.renew,
    ];
    this.#subscriptions = [this.#followLog(), this.#followLeader()];
  }

  /** The log is at work and the plan is loaded: from here on it may be asked for. */
  open(): void {
    this.hub.restored(this.#options.machine.ipam.revision, this.#options.log.status().appliedIndex);
    this.#closed = undefined;
    this.#waitsFor = '';
    this.#otherIncarnations?.start();
  }

  /** Takes no part yet, and why: shown to callers that ask for the plan, and in the status. */
  waits(problem: string): void {
    if (!this.#closed?.startsWith(starting)) return;
    this.#waitsFor = problem;
    this.#closed = `${starting}: ${problem}`;
  }

  /** The page of the plan, for callers that `callers` admits. */
  page(callers: PlanPageOptions['callers']): PlanPage {
    const { plan, hub, admission } = this;
    return new PlanPage({ plan, hub, admission, callers, closed: () => this.#closed });
  }

  /** Calls of the API for a front end beside its gRPC server. */
  unaryCalls(observe: CallObserver): UnaryCalls {
    const { clock, logger } = this.#options;
    const report = (error: unknown): void => logger.error({ err: error }, 'an error that was not expected');
    return new UnaryCalls(this.#endpoints, { router: this.#router, admission: this.admission, observe, report }, clock);
  }

  /** Carries out a call of this master's own by its path. @throws RefusedError */
  async call(path: string, request: Uint8Array, caller: Caller, timeoutMs: number): Promise<Uint8Array> {
    const endpoint = this.#endpoints.find((each) => each.path === path);
    if (endpoint === undefined) throw new RefusedError('unimplemented', `this master has no method ${path}`);
    const deadline = this.#options.clock.now() + timeoutMs;
    return this.#router.serve(endpoint, request, { caller, deadline, forwarded: false });
  }

  /** Why this master is not ready, though it answers; undefined: nothing is known. */
  get unfit(): string | undefined {
    return this.#otherIncarnations?.problem;
  }

  /** Why the plan can't be asked for; undefined: it can. */
  get closed(): string | undefined {
    return this.#closed;
  }

  /** Refuses calls from now on, but goes on to take part. */
  close(why: string): void {
    this.#closed = why;
    this.leadership.letGo();
  }

  /** What an operator should look at, as this master sees it. */
  warnings(): readonly Warning[] {
    return [
      ...(this.#waitsFor === '' ? [] : [{ message: this.#waitsFor, remedy: '' }]),
      ...runtimeWarnings(),
      ...(this.#options.moreWarnings?.() ?? []),
      ...spaceWarnings(this.#options.log.status()),
      ...endedWarnings(this.#options.log.status()),
      ...(this.#otherIncarnations?.warnings() ?? []),
      ...adoptionWarnings(this.plan.ipam),
      ...this.comparison.warnings(),
      ...this.#keeper.warnings(),
      ...this.#fullOverlays(),
    ];
  }

  /** Masters that vote, by the leader's account; none on any other master. */
  voters(status: ReplicaStatus): { readonly up: number; readonly down: number } {
    if (status.role !== 'leader') return { up: 0, down: 0 };
    const voters = memberMessages(status, this.#options).filter(
      ({ role }) => role !== sublet.v1.MemberRole.MEMBER_ROLE_LEARNER,
    );
    const up = voters.filter(({ alive }) => alive !== false).length;
    return { up, down: voters.length - up };
  }

  /** A gRPC server of the API, not bound yet. `callers`: how its callers are named and judged; default: as of the port. */
  apiServer(observe: CallObserver, callers: ApiCallers = this.#options): Server {
    const { logger } = this.#options;
    const { admission, hub } = this;
    const report = (error: unknown): void => logger.error({ err: error }, 'an error that was not expected');
    const closed = (): string | undefined => this.#closed;
    const { control, name, version, clock, wallClock, signBackup: sign } = this.#options;
    const { callerOf = byAddress, interceptors = [] } = callers;
    const { streamsPerConnection = streamsPerPlainConnection } = this.#options;
    const streams = [
      this.#keepAlives.method,
      watchMethod({ hub, plan: this.plan, admission, callerOf, closed, report }),
      saveSnapshotMethod({
        control,
        name,
        version,
        clock,
        wallClock,
        sign,
        admission,
        callerOf,
        closed,
        report,
        record: (caller) => this.#recordBackup(caller),
      }),
    ];
    return apiServer({
      endpoints: this.#endpoints,
      streams,
      router: this.#router,
      admission,
      callerOf,
      interceptors,
      streamsPerConnection,
      clock,
      wallClock,
      observe,
      report,
    });
  }

  /** The gRPC server of the port for joining, not bound yet. */
  joinServer(observe: CallObserver, refused: JoinServerOptions['refused']): Server {
    const { clock, logger } = this.#options;
    const report = (error: unknown): void => logger.error({ err: error }, 'an error that was not expected');
    return joinServer({ endpoint: this.#certificates.join, router: this.#router, clock, observe, refused, report });
  }

  /** What this master serves on its peer port, to other masters only. */
  peerService(): PeerService {
    const { clock, logger } = this.#options;
    const report = (error: unknown): void => logger.error({ err: error }, 'an error that was not expected');
    const endpoints = new Map(
      [
        ...[...this.#endpoints, ...this.#keepAlives.endpoints, this.comparison.endpoint, this.guard.endpoint],
        ...[this.#certificates.join, this.#certificates.useToken, this.#backups],
        ...(this.#otherIncarnations === undefined ? [] : [this.#otherIncarnations.endpoint]),
      ].map((each) => [each.path, each] as const),
    );
    const revocations = new Revocations(() => this.plan.ipam);
    const { plan } = this;
    const members = () => this.#options.log.status().membership.members;
    const nameAt = this.#options.peerNameAt;
    const implementation = forwardService({
      plan,
      router: this.#router,
      endpoints,
      revocations,
      nameAt,
      members,
      clock,
      report,
    });
    return { definition: forwardServiceDefinition, implementation };
  }

  /** Ends watches and keep-alives, so that agents turn to other masters. */
  endStreams(): void {
    this.hub.stop();
    this.#keepAlives.stop();
  }

  /** Ends watches and whatever waits. The log is not stopped. */
  stop(): void {
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    this.#marker.stop();
    this.#otherIncarnations?.stop();
    this.guard.stop();
    this.#keeper.stop();
    this.#moves.stop();
    this.comparison.stop();
    this.hub.stop();
    this.#keepAlives.stop();
    this.office.stop();
    this.leaderChanges.stop();
    this.leadership.stop();
    this.#links.close();
  }

  #recordBackup(caller: Caller): Promise<Uint8Array> {
    const { clock, wallClock, name: master } = this.#options;
    const { by } = origin(caller, 0, wallClock());
    const bytes = forwardMethods.recordBackup.request.encode({ by, master }).finish();
    const deadline = clock.now() + defaultTimeoutMs;
    return this.#router.serve(this.#backups, bytes, { caller: noCaller, deadline, forwarded: false });
  }

  #followLog(): () => void {
    const { log, machine } = this.#options;
    const restored = (index: number): void => this.hub.restored(machine.ipam.revision, index);
    const unsubscribe = [
      log.onApplied((applied) => {
        this.#digests.applied();
        this.hub.applied(applied, machine.network?.reclaimMs);
      }),
      log.onRestored((index) => {
        this.#digests.restored();
        restored(index);
      }),
    ];
    return () => {
      for (const each of unsubscribe) each();
    };
  }

  /** Has the leader compare what a caller has seen with its log. */
  #claim(claim: sublet.peer.v1.CheckClaimRequest.$Properties): void {
    this.#callLeader(this.guard.endpoint, forwardMethods.checkClaim.request.encode(claim).finish());
  }

  /** Has the leader look at the address where this master has found another incarnation. */
  #reportIncarnation(peer: string): void {
    const others = this.#otherIncarnations;
    if (others === undefined || this.leadership.seat.kind !== 'member') return;
    this.#callLeader(others.endpoint, forwardMethods.reportIncarnation.request.encode({ peer }).finish());
  }

  #callLeader(to: Endpoint, bytes: Uint8Array): void {
    const { clock, logger } = this.#options;
    const context = { caller: noCaller, deadline: clock.now() + defaultTimeoutMs, forwarded: false };
    this.#router.serve(to, bytes, context).catch((error: unknown) => {
      // What was found is found again; a leader of an earlier release does not know the call.
      logger.debug({ err: error, path: to.path }, 'the leader did not get what this master has found');
    });
  }

  #followLeader(): () => void {
    const { log } = this.#options;
    return this.leadership.onChange(({ seat }) => {
      if (seat.kind === 'member') this.#links.leaderIs(seat.member);
      else if (seat.kind !== 'none') this.#links.leaderIs(log.status().self);
    });
  }

  #fullOverlays(): readonly Warning[] {
    const usage = this.plan.ipam.usage(this.plan.time);
    if (usage === undefined) return [];
    const full: Warning[] = [];
    for (const { overlay, v4, v6 } of usage.overlays) {
      for (const [family, pool, option] of [
        ['IPv4', v4, '--subnet'],
        ['IPv6', v6, '--subnet6'],
      ] as const) {
        if (pool === undefined || pool.free > 0n || !overlay.enabled) continue;
        full.push({
          message: `overlay ${overlay.name} has no free ${family} block: ${pool.held} of ${pool.total} are held, ${pool.quarantined} quarantined`,
          remedy: `grow it (sublet overlay grow ${overlay.name} ${option} CIDR) or release agents that are gone (sublet agents --silent)`,
        });
      }
    }
    if (usage.vtep.free === 0n) {
      full.push({
        message: `the VTEP subnet has no free address: ${usage.vtep.held} of ${usage.vtep.total} are held`,
        remedy:
          'grow it (sublet network grow --vtep-subnet CIDR) or release agents that are gone (sublet agents --silent)',
      });
    }
    return full;
  }
}
