/** Masters that a test owns: they answer some time later by its clock, as its script says, and write down what they are asked. */
import {
  type KeepAliveRequest,
  type KeepAliveResponse,
  type KeepAliveStream,
  type LeaveRequest,
  type MasterApi,
  MasterError,
  type OpenStream,
  type RegisterRequest,
  type RegisterResponse,
  type ReportStatusRequest,
  type ReturnOverlaysRequest,
  type StreamEvents,
  type WatchRequest,
  type WatchResponse,
} from '#agent/master-api.js';
import { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';

/** A response, an error, or silence. */
export type FakeAnswer<T> = T | MasterError | 'silence';

export type FakeWatch = {
  readonly request: WatchRequest;
  readonly master: string;
  send(...messages: sublet.v1.WatchResponse.$Properties[]): void;
  end(): void;
  open: boolean;
};

export const unavailable = new MasterError('unavailable', 'UNAVAILABLE', 'no master reachable');
export const refusedAnswer = new MasterError('refused', 'ALREADY_EXISTS', 'agent "a" on node 10.0.0.9 holds it');
export const aborted = new MasterError('aborted', 'ABORTED', 'epoch 7 is not the newest');
export const overloaded = new MasterError('overloaded', 'RESOURCE_EXHAUSTED', '8192 calls are under way');
export const exhausted = new MasterError(
  'exhausted',
  'RESOURCE_EXHAUSTED',
  'vtep_subnet 44.128.0.0/28 has no free address',
);
export const invalid = new MasterError('invalid', 'INVALID_ARGUMENT', 'node_ip 9.0.0.1 lies in overlay "dcos"');

export class FakeMasters implements MasterApi {
  readonly registers: RegisterRequest[] = [];
  readonly reports: ReportStatusRequest[] = [];
  readonly leaves: LeaveRequest[] = [];
  readonly returns: ReturnOverlaysRequest[] = [];
  readonly keepAlives: KeepAliveRequest[] = [];
  readonly watches: FakeWatch[] = [];
  /** The scripts; a test replaces what it is about. */
  onRegister: (request: RegisterRequest) => FakeAnswer<RegisterResponse> = (request) => grant(request);
  onReport: (request: ReportStatusRequest) => FakeAnswer<undefined> = () => undefined;
  onLeave: (request: LeaveRequest) => FakeAnswer<undefined> = () => undefined;
  onReturn: (request: ReturnOverlaysRequest) => FakeAnswer<undefined> = () => undefined;
  onKeepAlive: (request: KeepAliveRequest) => FakeAnswer<sublet.v1.KeepAliveResponse.$Properties> = () => ({
    nextInMs: 10_000,
    revision: 100,
  });
  onWatch: (watch: FakeWatch) => void = (watch) => watch.send(...snapshot(100));
  latencyMs = 5;
  /** Times that new connections were asked for. */
  reconnects = 0;
  /** Keep-alive streams opened so far. */
  streamsOpened = 0;
  readonly #clock: Clock;
  readonly #masters: readonly string[];
  #at = 0;
  #down = false;
  readonly #open = new Set<(error: MasterError) => void>();

  constructor(clock: Clock, masters: readonly string[] = ['m1:7070', 'm2:7070', 'm3:7070']) {
    this.#clock = clock;
    this.#masters = masters;
  }

  get current(): string {
    return this.#masters[this.#at % this.#masters.length] ?? '';
  }

  turnFrom(master: string): void {
    if (this.current === master) this.#at += 1;
  }

  reconnect(): void {
    this.reconnects += 1;
  }

  /** All masters go, with their streams, or come back. */
  setDown(down: boolean): void {
    this.#down = down;
    if (!down) return;
    for (const end of [...this.#open]) end(unavailable);
  }

  register(request: RegisterRequest): Promise<RegisterResponse> {
    this.registers.push(request);
    return this.#unary(() => this.onRegister(request));
  }

  async reportStatus(request: ReportStatusRequest): Promise<void> {
    this.reports.push(request);
    await this.#unary(() => this.onReport(request));
  }

  async leave(request: LeaveRequest): Promise<void> {
    this.leaves.push(request);
    await this.#unary(() => this.onLeave(request));
  }

  async returnOverlays(request: ReturnOverlaysRequest): Promise<void> {
    this.returns.push(request);
    await this.#unary(() => this.onReturn(request));
  }

  keepAlive(events: StreamEvents<KeepAliveResponse>): KeepAliveStream {
    const stream = this.#stream(events);
    this.streamsOpened += 1;
    return {
      ...stream,
      send: (request) => {
        this.keepAlives.push(request);
        this.#clock.after(this.latencyMs, () => {
          if (this.#down) return;
          const answer = this.onKeepAlive(request);
          if (answer instanceof MasterError) stream.end(answer);
          else if (answer !== 'silence') stream.message(new sublet.v1.KeepAliveResponse(answer));
        });
      },
    };
  }

  watch(request: WatchRequest, events: StreamEvents<WatchResponse>): OpenStream {
    const stream = this.#stream(events);
    const watch: FakeWatch = {
      request,
      master: stream.master,
      open: true,
      send: (...messages) => {
        // Over the wire and back, as a real one.
        const { WatchResponse: Response } = sublet.v1;
        for (const message of messages) stream.message(Response.decode(Response.encode(message).finish()));
      },
      end: () => stream.end(unavailable),
    };
    this.watches.push(watch);
    this.#clock.after(this.latencyMs, () => {
      if (!this.#down) this.onWatch(watch);
    });
    return {
      master: stream.master,
      cancel: () => {
        watch.open = false;
        stream.cancel();
      },
    };
  }

  /** The newest watch. */
  get lastWatch(): FakeWatch {
    const last = this.watches.at(-1);
    if (last === undefined) throw new Error('there is no watch');
    return last;
  }

  #unary<T>(answer: () => FakeAnswer<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#clock.after(this.latencyMs, () => {
        const given = this.#down ? unavailable : answer();
        if (given instanceof MasterError) reject(given);
        else if (given !== 'silence') resolve(given);
      });
    });
  }

  #stream<Message>(events: StreamEvents<Message>) {
    let over = false;
    const end = (error: MasterError): void => {
      if (over) return;
      over = true;
      this.#open.delete(end);
      events.ended(error);
    };
    const message = (one: Message): void => {
      if (!over) events.message(one);
    };
    const cancel = (): void => {
      over = true;
      this.#open.delete(end);
    };
    this.#open.add(end);
    if (this.#down) this.#clock.after(this.latencyMs, () => end(unavailable));
    return { master: this.current, end, message, cancel };
  }
}

export const exampleNetwork: sublet.v1.Network.$Properties = {
  vtepSubnet: '44.128.0.0/20',
  vtepMacOui: '70:b3:d5:00:00:00',
  vni: 1024,
  vtepName: 'vtep1024',
  vxlanPort: 64000,
  overlays: [{ name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true }],
};

/** Agent `number` of the worked example, counted from 1, as the masters show it. */
export function exampleAgent(agentId: string, number: number, epoch = 7): sublet.v1.Agent.$Properties {
  const third = number - 1;
  return {
    agentId,
    instanceId: `instance-of-${agentId}`,
    nodeIp: `10.0.0.${number}`,
    hostname: agentId,
    reachable: true,
    vxlan: {
      vni: 1024,
      vtepName: 'vtep1024',
      vtepIp: `44.128.0.${number}/20`,
      vtepMac: `70:b3:d5:80:00:${number.toString(16).padStart(2, '0')}`,
      vxlanPort: 64000,
    },
    overlays: [
      {
        info: exampleNetwork.overlays?.[0] ?? null,
        subnet: `9.0.${third}.0/24`,
        mesosBridge: { name: 'm-dcos', ip: `9.0.${third}.0/25` },
        dockerBridge: { name: 'd-dcos', ip: `9.0.${third}.128/25` },
      },
    ],
    lease: { epoch },
  };
}

export type GrantParts = {
  readonly epoch?: number;
  readonly ttlSeconds?: number;
  readonly clusterId?: string;
  readonly incarnation?: string;
  readonly revision?: number;
  readonly network?: sublet.v1.Network.$Properties;
  readonly problems?: sublet.v1.OverlayProblem.$Properties[];
};

/** A master's answer that leases the first subnet to the caller. */
export function grant(request: RegisterRequest, parts: GrantParts = {}): RegisterResponse {
  const {
    epoch = 7,
    ttlSeconds = 0,
    clusterId = 'cluster-1',
    incarnation = 'f1',
    revision = 100,
    problems = [],
  } = parts;
  const { RegisterResponse: Response } = sublet.v1;
  const agent = exampleAgent(request.agentId ?? '', 1, epoch);
  const message: sublet.v1.RegisterResponse.$Properties = {
    agent: { ...agent, instanceId: request.instanceId ?? '', nodeIp: request.nodeIp ?? '' },
    lease: { epoch, ttlSeconds },
    network: parts.network ?? exampleNetwork,
    problems,
    revision,
    clusterId,
    incarnation,
  };
  return Response.decode(Response.encode(message).finish());
}

/** A whole plan with agent "a" (number 1) and these others. */
export function snapshot(
  revision: number,
  others: readonly sublet.v1.Agent.$Properties[] = [exampleAgent('b', 2)],
  clusterId = 'cluster-1',
  incarnation = 'f1',
): sublet.v1.WatchResponse.$Properties[] {
  return [
    { snapshotBegin: { clusterId, revision, incarnation } },
    { snapshotChunk: { network: exampleNetwork, agents: [exampleAgent('a', 1)] } },
    { snapshotChunk: { agents: [...others] } },
    { snapshotEnd: { revision } },
  ];
}

/** One revision with these changes. */
export function changes(
  revision: number,
  ...what: readonly Omit<sublet.v1.Change.$Properties, 'revision'>[]
): sublet.v1.WatchResponse.$Properties {
  return { changes: { revision, changes: what.map((one) => ({ ...one, revision })) } };
}
