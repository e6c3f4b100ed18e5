/**
 * The masters as an agent reaches them, over the simulated network: the real services answer, and what they refuse
 * becomes what the agent's gRPC client makes of it. A watch gives the network and the agent itself once, and then is silent.
 */

import { status } from '@grpc/grpc-js';
import {
  type KeepAliveResponse,
  type KeepAliveStream,
  type LeaveRequest,
  type MasterApi,
  MasterError,
  type MasterErrorKind,
  type OpenStream,
  type RegisterRequest,
  type RegisterResponse,
  type ReportStatusRequest,
  type ReturnOverlaysRequest,
  type StreamEvents,
  type WatchRequest,
  type WatchResponse,
} from '#agent/master-api.js';
import type { Method } from '#api/method.js';
import { type RefusalReason, RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import type { SimulatedMaster } from '#cluster-test/simulation/world/simulated-master.js';
import type { SimulatedNetwork } from '#cluster-test/simulation/world/simulated-network.js';
import type { SimulatedProcess } from '#cluster-test/simulation/world/world.js';
import { type AgentId, parseAgentId } from '#ipam/identity.js';
import { checkIncarnation } from '#master/leader/incarnation-check.js';
import type { KeepAliveSource } from '#master/leases/stream-reports.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import { agentMessage, networkMessage } from '#master/services/plan-message.js';
import { sublet } from '#proto/sublet.js';
import { byAddress } from '#tls/caller.js';

type Work = NonNullable<SimulatedMaster['work']>;
const callTimeoutMs = 5_000;
/** How many masters a call is tried at. */
const triesMax = 3;

const kinds: Readonly<Partial<Record<RefusalReason, MasterErrorKind>>> = {
  aborted: 'aborted',
  'not-found': 'aborted',
  'invalid-argument': 'invalid',
  'already-exists': 'refused',
  'held-elsewhere': 'held',
  'failed-precondition': 'refused',
  'resource-exhausted': 'exhausted',
  overloaded: 'overloaded',
  'no-space': 'overloaded',
};

export type MasterLinkOptions = {
  readonly network: SimulatedNetwork;
  readonly process: SimulatedProcess;
  readonly masters: () => readonly SimulatedMaster[];
  /** The master that is asked first. */
  readonly first: number;
  /** HOST:PORT, as a master sees it. */
  readonly connection: () => string;
  /** The agent that a watch gives beside the network; undefined: none. */
  readonly watched?: string;
  /** The master of the keep-alive stream has died, so the others know it to be closed; the agent may not know yet. */
  readonly closed?: () => void;
};

export class MasterLink implements MasterApi {
  readonly #network: SimulatedNetwork;
  readonly #process: SimulatedProcess;
  readonly #masters: () => readonly SimulatedMaster[];
  readonly #connection: () => string;
  readonly #closed: () => void;
  readonly #watched: AgentId | undefined;
  #at: number;

  constructor({ network, process, masters, first, connection, watched, closed = () => {} }: MasterLinkOptions) {
    this.#network = network;
    this.#process = process;
    this.#masters = masters;
    this.#connection = connection;
    this.#closed = closed;
    this.#watched = watched === undefined ? undefined : parseAgentId(watched);
    this.#at = first;
  }

  get current(): string {
    return this.#master().name;
  }

  turnFrom(master: string): void {
    if (this.current === master) this.#at += 1;
  }

  /** A simulated network has no connections that outlive an address. */
  reconnect(): void {}

  register(request: RegisterRequest): Promise<RegisterResponse> {
    return this.#call(agentService.register, request);
  }

  async reportStatus(request: ReportStatusRequest): Promise<void> {
    await this.#call(agentService.reportStatus, request);
  }

  async leave(request: LeaveRequest): Promise<void> {
    await this.#call(agentService.leave, request);
  }

  async returnOverlays(request: ReturnOverlaysRequest): Promise<void> {
    await this.#call(agentService.returnOverlays, request);
  }

  keepAlive(events: StreamEvents<KeepAliveResponse>): KeepAliveStream {
    const master = this.#master();
    let over = false;
    const end = (error: MasterError): void => {
      if (over) return;
      over = true;
      events.ended(error);
    };
    // Where the stream ends: in one process of the master.
    let at: { readonly work: Work; readonly source: KeepAliveSource } | undefined;
    // The kernel closes the connections of a process that has died: a master's, and the agent's.
    const broken = (work: Work): void => {
      if (at?.work === work && !over) this.#closed();
      const lost = new RefusedError('unavailable', `${master.name} is lost`);
      this.#network.carry(master.name, this.#process.machine.name, () => {
        if (at?.work === work) this.#process.run(() => end(masterError(lost)));
      });
    };
    this.#process.onDeath(() => {
      over = true;
      this.#network.carry(this.#process.machine.name, master.name, () => {
        if (at !== undefined) at.work.process.run(() => at?.work.keepAlives.close(at.source));
      });
    });
    return {
      master: master.name,
      cancel: () => {
        over = true;
        this.#ask(master, async (work) => {
          if (at?.work === work) work.keepAlives.close(at.source);
        }).catch(() => undefined);
      },
      send: (request) => {
        this.#ask(master, async (work) => {
          const { KeepAliveResponse: Response } = sublet.v1;
          if (at?.work !== work) {
            at = { work, source: work.keepAlives.open(byAddress(this.#connection())) };
            work.process.onDeath(() => broken(work));
          }
          return new Response(await work.keepAlives.keepAlive(request, at.source));
        }).then(
          (response) => {
            if (!over) events.message(response);
          },
          (error: unknown) => end(this.#told(error)),
        );
      },
    };
  }

  watch(request: WatchRequest, events: StreamEvents<WatchResponse>): OpenStream {
    const master = this.#master();
    let over = false;
    const end = (error: unknown): void => {
      if (over) return;
      over = true;
      events.ended(masterError(error));
    };
    this.#ask(master, async (work) => {
      const { network } = work.plan;
      if (network === undefined) throw new RefusedError('unavailable', 'there is no network yet');
      checkIncarnation('watch', request, work.plan);
      const { clusterId, incarnation } = work.plan;
      const { ipam } = work.plan;
      const own = this.#watched && ipam.agent(this.#watched);
      const agents = own === undefined ? [] : [agentMessage(own, network.reclaimMs)];
      return { network: networkMessage(network), agents, revision: ipam.revision, clusterId, incarnation };
    }).then(({ network, agents, revision, clusterId, incarnation }) => {
      const { WatchResponse: Response } = sublet.v1;
      const messages: sublet.v1.WatchResponse.$Properties[] = [
        { snapshotBegin: { clusterId, revision, incarnation } },
        { snapshotChunk: { network, agents } },
        { snapshotEnd: { revision } },
      ];
      for (const message of messages) if (!over) events.message(Response.decode(Response.encode(message).finish()));
      const lost = new RefusedError('unavailable', `${master.name} is lost`);
      this.#network.whenLost(() => this.#process.run(() => end(lost)));
    }, end);
    return {
      master: master.name,
      cancel: () => {
        over = true;
      },
    };
  }

  #told(error: unknown): MasterError {
    const told = masterError(error);
    if (told.kind === 'held') this.#network.world.count('mark: a copy of a host was refused');
    return told;
  }

  #master(): SimulatedMaster {
    const masters = this.#masters();
    const master = masters[this.#at % masters.length];
    if (master === undefined) throw new Error('there are no masters');
    return master;
  }

  /** At one master after the other, with the same request. */
  async #call<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
    method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
    request: Request,
  ): Promise<ResponseDecoded> {
    const bytes = method.request.encode(request).finish();
    for (let tries = 1; ; tries += 1) {
      const master = this.#master();
      try {
        const response = await this.#ask(master, (work) => {
          const endpoint = work.endpoints.get(method.path);
          if (endpoint === undefined) throw new RefusedError('unimplemented', method.path);
          const deadline = work.process.clock.now() + callTimeoutMs;
          return work.router.serve(endpoint, bytes, {
            caller: byAddress(this.#connection()),
            deadline,
            forwarded: false,
          });
        });
        return method.response.decode(response);
      } catch (error) {
        const told = this.#told(error);
        if (told.kind !== 'unavailable' || tries === triesMax) throw told;
        this.turnFrom(master.name);
      }
    }
  }

  /** Has `handle` run in the master's process, if the request arrives; the answer comes the same way. */
  #ask<Answer>(master: SimulatedMaster, handle: (work: Work) => Promise<Answer>): Promise<Answer> {
    const here = this.#process.machine.name;
    return new Promise((resolve, reject) => {
      const answer = (settle: () => void): void => {
        this.#network.carry(master.name, here, () => this.#process.run(settle));
      };
      const unavailable = new RefusedError('unavailable', `${master.name} can't be reached`);
      this.#process.clock.after(callTimeoutMs, () => reject(unavailable));
      this.#network.carry(here, master.name, () => {
        const { work } = master;
        if (work === undefined || !work.started) {
          answer(() => reject(unavailable));
          return;
        }
        work.process.run(() => {
          handle(work).then(
            (value) => answer(() => resolve(value)),
            (error: unknown) => answer(() => reject(error)),
          );
        });
      });
    });
  }
}

function masterError(error: unknown): MasterError {
  if (error instanceof MasterError) return error;
  const refused = toRefusedError(error, (unexpected) => {
    throw unexpected;
  });
  return new MasterError(
    kinds[refused.reason] ?? 'unavailable',
    status[refused.code],
    refused.message,
    refused.details,
  );
}
