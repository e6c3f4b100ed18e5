/**
 * A master at work: its store, its part in the replicated log, its services and the ports they are on. It is all
 * put together here, and taken apart in good order.
 */

import type { Server as HttpServer } from 'node:http';
import { credentials, type Server, ServerCredentials } from '@grpc/grpc-js';
import { clientNetwork } from '#address/client-network.js';
import { bareHostOf, hostOf, portOf } from '#address/host-and-port.js';
import type { Cidr } from '#address/ip.js';
import { certificateService } from '#api/services.js';
import { connectionShares, openFilesLimit } from '#door/connection-shares.js';
import { addressesOf } from '#door/door.js';
import { ExpectedError } from '#errors/expected-error.js';
import { makePrivateFolder } from '#files/private-folder.js';
import { type AccessRules, Token } from '#http/access.js';
import { listenForHealth } from '#http/health-server.js';
import { checkNetwork } from '#ipam/changes/network-check.js';
import { commandKindOf, commandKinds, laterCommandKinds } from '#ipam/commands/command-kind.js';
import { AdminSocket, adminCallerOf, adminInterceptors } from '#master/access/admin-socket.js';
import { HttpCallers } from '#master/access/http-callers.js';
import { MasterTls } from '#master/access/master-tls.js';
import { CallRates } from '#master/access/rates.js';
import { Revocations } from '#master/access/revocations.js';
import { IpamMachine, type PlanOutcome } from '#master/ipam-machine.js';
import type { JoiningOptions } from '#master/joining/joining-options.js';
import { MasterJoining } from '#master/joining/master-joining.js';
import type { ConfiguredNetwork } from '#master/leader/configured-network.js';
import { Readiness } from '#master/leader/readiness.js';
import { Intake, streamsOfOperator } from '#master/leases/intake.js';
import type { MasterLog } from '#master/master-log.js';
import { MasterServices, type ServiceLimits } from '#master/master-services.js';
import type { ClusterControl } from '#master/members/membership-step.js';
import { MovedAddresses } from '#master/members/moved-addresses.js';
import { clientNameProblem, ownNameProblem } from '#master/members/own-name.js';
import type { AddressCheck } from '#master/members/recorded-address.js';
import { Metrics } from '#master/process/metrics.js';
import { openAddresses, openWarnings } from '#master/process/open-addresses.js';
import { reportReplicaEvent } from '#master/process/replica-report.js';
import { StoreMeter } from '#master/process/store-meter.js';
import { Doors } from '#master/server/doors.js';
import { Health } from '#master/server/health.js';
import { httpServer } from '#master/server/http-server.js';
import { advertised } from '#master/server/listen-address.js';
import { addReflection } from '#master/server/reflection.js';
import { RefusalLog } from '#master/server/refusal-log.js';
import type { CallObserver } from '#master/server/unary-call.js';
import { refuseApi } from '#master/server/wrong-port.js';
import { storePlace } from '#master/store-place.js';
import type { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import type { Founder } from '#replica/ports/peer-network.js';
import type { ReplicaStatus } from '#replica/ports/replicated-log.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { Replica } from '#replica/replica.js';
import type { ReplicaEvent } from '#replica/replica-event.js';
import { defaultReplicaLimits, type ReplicaTiming } from '#replica/replica-options.js';
import { openLevelStore } from '#storage/level-store.js';
import type { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { signDocument } from '#tls/certificate/document-signature.js';
import type { TlsFiles } from '#tls/certificate/tls-files.js';
import { callerAddress } from '#tls/handshakes.js';
import { GrpcPeerNetwork } from '#transport/grpc-peer-network.js';

export type MasterOptions = {
  /** This member's name in the cluster. */
  readonly name: string;
  readonly clusterId: string;
  /** The first members, this one among them; asked for at the very first start only. */
  readonly founders: readonly Founder[];
  /** HOST:PORT of peers of an existing cluster to join, instead of bootstrapping one; for the very first start, too. */
  readonly join?: readonly string[];
  /** `sublet/` is made inside. */
  readonly dataDir: string;
  /** HOST:PORT each; port 0 takes any free one. An IPv6 host stands in brackets. */
  readonly listen: string;
  readonly peerListen: string;
  readonly httpListen: string;
  /** Names under which HTTP is asked, besides those of loopback, of this machine and of `httpListen`. */
  readonly httpHosts?: readonly string[];
  readonly network: ConfiguredNetwork;
  readonly timing: ReplicaTiming;
  /** Log entries that compaction leaves behind the applied position. */
  readonly retainEntries: number;
  /** Allows addresses that other machines reach, without TLS. */
  readonly insecure: boolean;
  /** Mutual TLS on the API and the peer port. */
  readonly tls?: TlsFiles | undefined;
  /** Where the node addresses of agents lie; undefined: anywhere. */
  readonly nodeIps?: readonly Cidr[] | undefined;
  /** Whether HTTP has TLS, too; for `tls` alone. */
  readonly httpTls?: boolean;
  /** A file with the token that HTTP is read with. */
  readonly httpTokenFile?: string | undefined;
  /** HOST:PORT of a port with `/healthz` and `/readyz` alone. */
  readonly healthListen?: string | undefined;
  /** Has hosts join by tokens, with `tls` alone. */
  readonly joining?: JoiningOptions | undefined;
  readonly version: string;
  readonly logger: MasterLog;
  /** The master can not go on (its store failed, it was removed): end the process with an error. Called once at most. */
  readonly onFatal: (error: Error) => void;
  readonly limits?: Partial<ServiceLimits>;
};

/** A renewal may wait for its turn at the master that signs. */
const renewMs = 30_000;
/** How often health is looked at, in ms, besides each change of the leader. */
const healthEveryMs = 500;
/** How long calls that are under way may take when the master stops, in ms. */
const drainMs = 1_000;

/** What the options of a master ask for can not be. The message names the option and says why. */
export class StartError extends ExpectedError {
  override readonly name = 'StartError';
}

/**
 * Starts a master. Resolves when its store is open, its ports are bound and it takes part, or waits to: `ready` tells
 * when it serves.
 * @throws StoreError, ConfigurationMismatchError, TlsFileError, FolderError; an ExpectedError for what the operator has to mend: StartError
 *     and what the parts say of their files and limits; errors of the system for a port that is taken
 */
export async function startMaster(options: MasterOptions): Promise<Master> {
  checkAddresses(options);
  checkInitialNetwork(options.network);
  await checkOwnName(options);
  const openFiles = openFilesLimit();
  connectionShares(openFiles);
  const clock = systemClock;
  const folder = storePlace(options.dataDir);
  for (const place of [options.dataDir, folder]) {
    const warning = makePrivateFolder(place);
    if (warning !== undefined) options.logger.warn({ data_dir: place }, warning);
  }
  const store = await openLevelStore(folder, { clock });
  let master: Master;
  try {
    const addresses = await MovedAddresses.read(folder);
    master = new Master(options, new StoreMeter(store, folder), clock, { openFiles, addresses });
  } catch (error) {
    await store.close();
    throw error;
  }
  try {
    await master.start();
  } catch (error) {
    await master.stop({ transfer: false });
    throw error;
  }
  return master;
}

/** What is found before a master is made. */
type MasterStart = {
  /** RLIMIT_NOFILE; undefined: none. */
  readonly openFiles: number | undefined;
  readonly addresses: MovedAddresses;
};

/** Made by `startMaster`. */
export class Master {
  readonly services: MasterServices;
  readonly #options: MasterOptions;
  readonly #store: StoreMeter;
  readonly #clock: Clock;
  readonly #replica: Replica<PlanOutcome>;
  readonly #machine = new IpamMachine();
  readonly #peers: GrpcPeerNetwork;
  /** Resolves once the peer port is bound. */
  readonly #listens: Promise<void>;
  readonly #api: Server;
  readonly #http: HttpServer;
  #healthHttp: HttpServer | undefined;
  readonly #join: Server;
  readonly #joining: MasterJoining | undefined;
  readonly #health: Health;
  readonly #readiness: Readiness;
  readonly #doors: Doors;
  readonly #tls: MasterTls | undefined;
  readonly #adminSocket: AdminSocket | undefined;
  readonly #moved: MovedAddresses;
  #apiPort = 0;
  #httpPort = 0;
  #joinPort: number | undefined;
  #cancelHealth: () => void = () => undefined;
  #readyWaiters: (() => void)[] = [];
  #stopping: Promise<void> | undefined;
  #failed = false;

  constructor(options: MasterOptions, store: StoreMeter, clock: Clock, { openFiles, addresses }: MasterStart) {
    this.#options = options;
    this.#store = store;
    this.#clock = clock;
    const { name, clusterId, founders, join = [], timing, retainEntries, logger, version, network } = options;
    const { listen, peerListen, httpListen } = options;
    const open = openAddresses(options);
    const refusals = new RefusalLog(clock, logger);
    const rates = new CallRates(clock);
    const intake = new Intake({
      rates,
      clock,
      random: Math.random,
      refused: (port, { refusal, caller, message }) =>
        refusals.note(`${port} ${refusal} ${caller}`, { port, refusal, caller }, `${port}: ${caller}: ${message}`),
    });
    const tls =
      options.tls &&
      new MasterTls({
        files: options.tls,
        name,
        clock,
        wallClock: Date.now,
        logger,
        refusals,
        rates,
        revocations: new Revocations(() => this.#machine.ipam),
        http: options.httpTls ?? false,
        end: (from) => intake.api.end(from),
        observe: (path, refused) => metrics.observe(path, 0, refused),
      });
    const joining = tls && options.joining && new MasterJoining(tls, options.joining, refusals, clock, Date.now);
    this.#joining = joining;
    const ports = { listen, peerListen, httpListen, join: joining?.door };
    const doors = new Doors({ ...ports, openFiles, clock, logger, gates: tls, intake });
    const peerCredentials = tls?.credentials ?? credentials.createInsecure();
    this.#doors = doors;
    this.#tls = tls;
    this.#moved = addresses;
    let listening = (): void => undefined;
    this.#listens = new Promise((resolve) => {
      listening = resolve;
    });
    this.#peers = new GrpcPeerNetwork({
      listen: peerListen,
      listening,
      port: { open: (server) => doors.openPeer(server), close: () => doors.peer.close() },
      credentials: { server: ServerCredentials.createInsecure(), client: peerCredentials },
      ...(tls && { nameAt: tls.peerNameAt, revoked: tls.revokedMaster, interceptors: tls.peerInterceptors }),
      addServices: (server) => {
        const { definition, implementation } = this.services.peerService();
        server.addService(definition, implementation);
        refuseApi(server, name, () => advertised(this.addresses.api, this.addresses.peer));
      },
    });
    const compaction = { ...defaultReplicaLimits.compaction, entriesKept: retainEntries };
    this.#replica = new Replica({
      name,
      clusterId,
      founders,
      join,
      store,
      machine: this.#machine,
      commandKinds,
      clock,
      timing,
      moved: addresses.moved,
      laterCommands: { kinds: laterCommandKinds, kindOf: commandKindOf },
      network: this.#peers,
      serves: ({ peer }) => advertised(this.addresses.api, peer),
      limits: { compaction },
      defer: setImmediate,
      random: (below) => Math.floor(Math.random() * below),
      observe: (event) => {
        if (event.kind === 'bootstrap-problem') this.services.waits(event.problem.message);
        this.#noteHandover(event);
        if (event.kind === 'membership') addresses.settle(this.#replica.status(), logger);
        reportReplicaEvent(event, logger, (error) => this.#fail(error));
      },
    });
    this.services = new MasterServices({
      log: this.#replica,
      machine: this.#machine,
      clusterId,
      name,
      network,
      version,
      clock,
      logger,
      control: this.#control(),
      configured: [...founders, ...join.map((peer) => ({ name: '', peer }))],
      onCorrupt: (error) => {
        this.#replica.ending(error.message);
        this.#fail(error);
      },
      moreWarnings: () => [
        ...openWarnings(open),
        ...doors.warnings(),
        ...(tls?.warnings() ?? []),
        ...addresses.warnings(this.#replica.status(), this.#configuredAddresses()),
      ],
      nodeIps: options.nodeIps,
      electionTimeoutMs: timing.electionMs,
      peerCredentials,
      ...(tls && { callerOf: tls.callerOf, principalAt: tls.principalAt, interceptors: tls.interceptors }),
      ...(tls && { peerNameAt: tls.peerNameAt }),
      ...(tls && { streamsPerConnection: streamsOfOperator }),
      ...(joining && { certifying: joining }),
      ...(tls && { signBackup: (statement: string) => signDocument(tls.certificate.material, statement) }),
      wallClock: Date.now,
      random: Math.random,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
    this.#replica.onApplied(() => tls?.planChanged());
    this.#replica.onRestored(() => tls?.planChanged());
    const status = (): ReplicaStatus => this.#replica.status();
    const metrics = new Metrics({
      services: this.services,
      status,
      storeBytes: () => store.bytes(),
      version,
      doors: () => doors.all(),
      rates,
      insecure: open.length > 0,
      guards: [
        ['api', intake.api],
        ['peer', intake.peer],
        ['join', intake.join],
      ],
      ...(tls === undefined ? {} : { certificate: tls.certificate }),
    });
    store.onWrite = (milliseconds) => metrics.observeWrite(milliseconds);
    this.#api = this.services.apiServer((path, ms, refused) => metrics.observe(path, ms, refused));
    this.#join = this.services.joinServer(
      (path, ms, refused) => metrics.observe(path, ms, refused),
      (from, { reason, message }) =>
        refusals.note(
          `join ${reason} ${hostOf(from)}`,
          { port: 'join', refusal: reason, from },
          `join: ${from}: ${message}`,
        ),
    );
    addReflection(this.#api, this.services.admission, tls?.callerOf);
    this.#health = new Health(this.services.admission, tls?.callerOf);
    this.#health.addTo(this.#api);
    if (tls !== undefined) {
      this.#adminSocket = this.#makeAdminSocket((path, ms, refused) => metrics.observe(path, ms, refused));
    }
    this.#readiness = new Readiness({
      log: this.#replica,
      leadership: this.services.leadership,
      clock,
      closed: () => this.services.closed ?? this.services.unfit,
      changed: () => this.#lookAtHealth(),
      report: (error) => logger.error({ err: error }, 'an error that was not expected'),
    });
    const access = httpAccess(options, tls, refusals);
    const revocations = new Revocations(() => this.#machine.ipam);
    const callers = new HttpCallers({ rules: access, rates, revocations, tls: tls?.httpCalls });
    this.#http = httpServer({
      plan: this.services.plan,
      metrics,
      calls: this.services.unaryCalls((path, ms, refused) => metrics.observe(path, ms, refused)),
      notReady: () => this.#readiness.why(),
      limits: { connections: doors.http.connectionsMax },
      hosts: [...(options.httpHosts ?? []), hostOf(options.httpListen)],
      access,
      callers,
      page: this.services.page(callers),
      report: (error) => logger.error({ err: error }, 'an error that was not expected'),
    });
  }

  /** HOST:PORT of the API, of the peer port and of HTTP, as bound. */
  get addresses(): { readonly api: string; readonly peer: string; readonly http: string } {
    const { listen, peerListen, httpListen } = this.#options;
    return {
      api: `${hostOf(listen)}:${this.#apiPort}`,
      peer: `${hostOf(peerListen)}:${this.#peers.port}`,
      http: `${hostOf(httpListen)}:${this.#httpPort}`,
    };
  }

  /** HOST:PORT where hosts join, as bound; undefined: not here. */
  get joinAddress(): string | undefined {
    const listen = this.#options.joining?.listen;
    return listen === undefined || this.#joinPort === undefined ? undefined : `${hostOf(listen)}:${this.#joinPort}`;
  }

  /** Undefined: without TLS. */
  get certificate(): CertificateReloader | undefined {
    return this.#tls?.certificate;
  }

  /** Has a key certified for this master, here or at another one. @throws RefusedError */
  async renewCertificate(csr: Uint8Array): Promise<sublet.v1.RenewResponse> {
    const { name: id } = this.#options;
    const { path, request, response } = certificateService.renew;
    const bytes = request.encode({ csr, role: 'master', subject: id }).finish();
    const principal = this.#tls?.certificate.material.principal ?? ({ role: 'master', id } as const);
    const caller = { principal, address: this.addresses.peer };
    return response.decode(await this.services.call(path, bytes, caller, renewMs));
  }

  /** To be called once, by `startMaster`. */
  async start(): Promise<void> {
    this.#apiPort = await this.#doors.openApi(this.#api);
    await this.#adminSocket?.open();
    this.#httpPort = await this.#doors.openHttp(this.#http);
    const { healthListen } = this.#options;
    if (healthListen !== undefined) {
      const listen = { host: bareHostOf(healthListen), port: portOf(healthListen) };
      this.#healthHttp = await listenForHealth({ listen, ready: () => this.#readiness.why() === undefined });
    }
    this.#joinPort = await this.#doors.openJoin(this.#join);
    this.#lookAtHealth();
    const begun = this.#replica.start();
    // What begins after that may take long: the others have to come, too.
    await Promise.race([this.#listens, begun]);
    begun.then(
      () => this.#begun(),
      (error: unknown) => this.#fail(error instanceof Error ? error : new Error(String(error))),
    );
  }

  /** Resolves when this master serves: it knows a leader, and has caught up with it. */
  ready(): Promise<void> {
    if (this.#readiness.why() === undefined) return Promise.resolve();
    return new Promise((resolve) => this.#readyWaiters.push(resolve));
  }

  /** Why it does not serve yet, or no longer; undefined: it does. */
  unready(): string | undefined {
    return this.#readiness.why();
  }

  /** Ends watches, hands leadership over (if `transfer`), waits for calls, and closes everything. Idempotent. */
  stop({ transfer = true }: { readonly transfer?: boolean } = {}): Promise<void> {
    this.#stopping ??= this.#stop(transfer);
    return this.#stopping;
  }

  async #stop(transfer: boolean): Promise<void> {
    this.#cancelHealth();
    this.#readiness.stop();
    this.#health.serving(false);
    this.services.endStreams();
    await this.#replica.stop({ transfer: transfer && !this.#failed });
    // What waits for a leader that this master will not see any more is better asked elsewhere; what was handed on to the
    // next leader comes to its answer, so the links stay until then.
    this.services.close('this master is stopping');
    this.#doors.api.close();
    this.#doors.join?.close();
    this.#joining?.close();
    this.#join.forceShutdown();
    await drained(this.#api, this.#clock);
    this.#adminSocket?.close();
    this.services.stop();
    this.#tls?.stop();
    this.#doors.http.close();
    for (const server of [this.#http, this.#healthHttp]) server?.closeAllConnections();
    this.#healthHttp?.close();
    await new Promise((resolve) => this.#http.close(resolve));
    await this.#store.close();
  }

  /** With TLS alone: without it every caller is an admin. */
  #makeAdminSocket(observe: CallObserver): AdminSocket {
    const { name, dataDir, logger } = this.#options;
    const server = this.services.apiServer(observe, {
      callerOf: adminCallerOf(name),
      interceptors: adminInterceptors(),
    });
    return new AdminSocket({ dataDir, name, server, logger });
  }

  #control(): ClusterControl {
    return {
      commandKinds,
      changeMembership: (change) => this.#replica.changeMembership(change),
      transferLeadership: (to) => {
        this.services.leaderChanges.handsOver('an operator asked for it');
        return this.#replica.transferLeadership(to);
      },
      openSnapshot: (options) => this.#replica.openSnapshot(options),
      hello: (peer) => this.#peers.hello(peer),
    };
  }

  /** A leader hands over by itself when its disk can't take writes. */
  #noteHandover(event: ReplicaEvent): void {
    if (event.kind !== 'disk-hangs' && event.kind !== 'space-low') return;
    if (event.handsOverTo === undefined) return;
    this.services.leaderChanges.handsOver(event.kind === 'disk-hangs' ? 'its disk hangs' : 'its disk is nearly full');
  }

  #begun(): void {
    if (this.#stopping !== undefined) return;
    this.services.open();
    this.#tls?.planChanged();
    this.#moved.begun(this.#replica.status(), this.#configuredAddresses(), this.#options.logger);
    this.#lookAtHealth();
  }

  #configuredAddresses(): Pick<AddressCheck, 'founders' | 'joins' | 'listens'> {
    const { founders, join = [] } = this.#options;
    return { founders, joins: join.length > 0, listens: this.addresses.peer };
  }

  #lookAtHealth(): void {
    if (this.#stopping !== undefined) return;
    this.#cancelHealth();
    this.#cancelHealth = this.#clock.after(healthEveryMs, () => this.#lookAtHealth());
    const ready = this.#readiness.why() === undefined;
    this.#health.serving(ready);
    if (!ready) return;
    const waiters = this.#readyWaiters;
    this.#readyWaiters = [];
    for (const resolve of waiters) resolve();
  }

  #fail(error: Error): void {
    if (this.#failed || this.#stopping !== undefined) return;
    this.#failed = true;
    this.services.close(`this master has failed: ${error.message}`);
    this.#options.onFatal(error);
  }
}

/** With TLS a change needs a certificate; reading needs one, or the token, where the port has TLS or there is a token. */
function httpAccess(
  { httpTokenFile, httpTls }: MasterOptions,
  tls: MasterTls | undefined,
  refusals: RefusalLog,
): AccessRules {
  const token = httpTokenFile === undefined ? undefined : Token.read('http_token_file', httpTokenFile);
  const openWithout = tls === undefined ? 'change' : 'read';
  return {
    open: token !== undefined || (tls !== undefined && httpTls === true) ? 'nothing' : openWithout,
    token,
    ...(tls?.http && { byCertificate: tls.httpAccess }),
    advice: tls === undefined ? 'send the token of http_token_file' : 'show the certificate of a viewer or an operator',
    wrongToken: (socket) => {
      const from = callerAddress(socket);
      const message = `http: ${from} has sent another token than that of http_token_file`;
      refusals.note(`http token ${clientNetwork(hostOf(from))}`, { port: 'http', from }, message);
    },
  };
}

function checkAddresses(options: MasterOptions): void {
  const [open] = openAddresses(options);
  if (open === undefined) return;
  const { option, address } = open;
  if (!options.insecure) {
    throw new StartError(
      `${option} ${address} can be reached from other machines, and there is no TLS: use a loopback address, or set insecure`,
    );
  }
  for (const { message, remedy } of openWarnings(openAddresses(options))) {
    options.logger.warn({}, `${message}; ${remedy}`);
  }
}

/** @throws StartError when the other masters can't reach this one by its name */
async function checkOwnName(options: MasterOptions): Promise<void> {
  const { name, founders, join = [], peerListen, listen, httpListen, logger } = options;
  const others = join.length > 0 ? join : founders.flatMap((founder) => (founder.name === name ? [] : [founder.peer]));
  const problem = await ownNameProblem({ peerListen, others, lookup: addressesOf, clock: systemClock });
  if (problem?.kind === 'elsewhere') throw new StartError(problem.message);
  if (problem !== undefined) logger.warn({}, problem.message);
  for (const [setting, address] of Object.entries({ listen, http_listen: httpListen })) {
    const said = await clientNameProblem(setting, address, { lookup: addressesOf, clock: systemClock });
    if (said !== undefined) logger.warn({}, said);
  }
}

function checkInitialNetwork({ initial }: ConfiguredNetwork): void {
  const wrong = checkNetwork(initial.settings, initial.overlays);
  if (wrong !== undefined) throw new StartError(wrong.message);
}

/** Waits for calls in flight, for a moment. */
function drained(server: Server, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(drainMs, () => {
      server.forceShutdown();
      resolve();
    });
    server.tryShutdown(() => {
      cancel();
      resolve();
    });
  });
}
