/** The listeners of a master, each behind a door with its share of the connections, and their events. */
import type { Server as HttpServer } from 'node:http';
import type { Socket } from 'node:net';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { connectionShares, joinConnectionsMax } from '#door/connection-shares.js';
import { Door, type DoorNotice } from '#door/door.js';
import type { Intake } from '#master/leases/intake.js';
import type { MasterLog } from '#master/master-log.js';
import type { Warning } from '#master/warning.js';
import type { Clock } from '#replica/ports/clock.js';
import type { JoinGate } from '#tls/join-gate.js';
import type { Principal } from '#tls/principal.js';
import type { TlsGate } from '#tls/tls-gate.js';

export type DoorsOptions = {
  /** HOST:PORT each. */
  readonly listen: string;
  readonly peerListen: string;
  readonly httpListen: string;
  /** Undefined: there is no port for joining. */
  readonly join?: JoinDoor | undefined;
  /** RLIMIT_NOFILE; undefined: none. */
  readonly openFiles: number | undefined;
  readonly clock: Clock;
  readonly logger: MasterLog;
  /** TLS in front of the ports; undefined: there is none. */
  readonly gates?: { readonly api: TlsGate; readonly peer: TlsGate; readonly http?: TlsGate | undefined } | undefined;
  /** Sees each connection before gRPC has it. */
  readonly intake: Pick<Intake, 'takeApi' | 'takePeer' | 'takeJoin'>;
};

export type JoinDoor = {
  readonly listen: string;
  readonly gate: JoinGate;
  /** A connection of this address or network was closed, and why. */
  readonly refused: (network: string, message: string) => void;
};

type Serve = (socket: Socket, principal: Principal | undefined) => void;

export class Doors {
  readonly api: Door;
  readonly peer: Door;
  readonly http: Door;
  readonly join: Door | undefined;
  readonly #options: DoorsOptions;
  #acceptApi: (socket: Socket) => void = destroyed;
  #acceptPeer: (socket: Socket) => void = destroyed;
  #acceptHttp: (socket: Socket) => void = destroyed;

  /** @throws Error when the limit of open files is too low to serve */
  constructor(options: DoorsOptions) {
    this.#options = options;
    const { listen, peerListen, httpListen, openFiles, clock } = options;
    const shares = connectionShares(openFiles);
    const notice = (each: DoorNotice): void => this.#log(each);
    const each = { clock, notice };
    this.api = new Door({
      ...each,
      setting: 'listen',
      listen,
      connectionsMax: shares.api,
      accept: (socket) => this.#acceptApi(socket),
    });
    this.peer = new Door({
      ...each,
      setting: 'peer_listen',
      listen: peerListen,
      connectionsMax: shares.peer,
      accept: (socket) => this.#acceptPeer(socket),
    });
    this.http = new Door({
      ...each,
      setting: 'http_listen',
      listen: httpListen,
      connectionsMax: shares.http,
      halfOpen: true,
      accept: (socket) => this.#acceptHttp(socket),
    });
    const { join } = options;
    this.join =
      join &&
      new Door({
        ...each,
        setting: joinSetting,
        listen: join.listen,
        connectionsMax: joinConnectionsMax,
        shared: true,
        accept: (socket) => join.gate.take(socket),
      });
  }

  /** Resolves with the port. @throws what the system says of the address */
  openApi(server: Server): Promise<number> {
    const { gates, intake } = this.#options;
    const serve = injection(server);
    this.#acceptApi = this.#behind(gates?.api, (socket, principal) => {
      if (intake.takeApi(socket, principal)) serve(socket);
    });
    return this.api.open();
  }

  openPeer(server: Server): Promise<number> {
    const { gates, intake } = this.#options;
    const serve = injection(server);
    this.#acceptPeer = this.#behind(gates?.peer, (socket, principal) => {
      if (intake.takePeer(socket, principal)) serve(socket);
    });
    return this.peer.open();
  }

  /** Resolves with the port, undefined where there is none. */
  async openJoin(server: Server): Promise<number | undefined> {
    const { join, intake } = this.#options;
    const serve = injection(server);
    join?.gate.onSecured((socket) => {
      intake.takeJoin(socket);
      serve(socket);
    });
    return this.join?.open();
  }

  async openHttp(server: HttpServer): Promise<number> {
    this.#acceptHttp = this.#behind(this.#options.gates?.http, (socket) => {
      server.emit('connection', socket);
    });
    const port = await this.http.open();
    // It watches over the time that requests take from then on.
    server.emit('listening');
    return port;
  }

  /** For metrics: by listener. */
  all(): readonly (readonly [string, Door])[] {
    return [
      ['api', this.api],
      ['peer', this.peer],
      ['http', this.http],
      ...(this.join === undefined ? [] : ([['join', this.join]] as const)),
    ];
  }

  warnings(): readonly Warning[] {
    return this.all().flatMap(([, door]) =>
      door.full ? [{ message: this.#fullText(door.setting, door.connectionsMax), remedy: remedyOf(door.setting) }] : [],
    );
  }

  /** Sockets go to the server once their handshake is done. */
  #behind(gate: TlsGate | undefined, serve: Serve): (socket: Socket) => void {
    if (gate === undefined) return (socket) => serve(socket, undefined);
    gate.onSecured(serve);
    return (socket) => gate.take(socket);
  }

  #log(notice: DoorNotice): void {
    const { logger } = this.#options;
    const { kind, setting } = notice;
    switch (kind) {
      case 'full':
        logger.warn({ setting }, `${this.#fullText(setting, notice.connectionsMax)}: ${remedyOf(setting)}`);
        return;
      case 'crowded':
        this.#options.join?.refused(
          notice.network,
          `${joinConnectionsMax} connections are open, ${notice.held} of its network`,
        );
        return;
      case 'room': {
        const { refused } = notice;
        logger.info(
          { setting, refused },
          `${setting}: takes connections again; ${refused} were closed since the start`,
        );
        return;
      }
      case 'accept-failed':
        logger.error(
          { setting, err: notice.error },
          `${setting}: could not accept a connection: ${notice.error.message}`,
        );
    }
  }

  #fullText(setting: string, connectionsMax: number): string {
    const { openFiles } = this.#options;
    const limit =
      openFiles === undefined || setting === joinSetting
        ? ''
        : `, as many as the limit of ${openFiles} open files (RLIMIT_NOFILE) leaves it`;
    return `${setting}: ${connectionsMax} connections are open${limit}; new ones are closed`;
  }
}

const joinSetting = 'join_listen';

function remedyOf(setting: string): string {
  if (setting === joinSetting) return 'hosts that join try again; have them join at other masters, too';
  return 'raise the limit (LimitNOFILE in the unit), or have clients use other masters';
}

/** Has gRPC take sockets that another listener accepted. */
function injection(server: Server): (socket: Socket) => void {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  return (socket) => injector.injectConnection(socket);
}

function destroyed(socket: Socket): void {
  socket.destroy();
}
