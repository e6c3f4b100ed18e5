/**
 * The leader's end of the stream on which followers hand calls on. It carries each call out as if it had come
 * directly, but never hands it on again, and gives back whatever answers have come together in one message.
 */

import {
  type handleBidiStreamingCall,
  Metadata,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { clusterService } from '#api/services.js';
import { authorize, rolesFor } from '#master/access/authorization.js';
import type { Revocations } from '#master/access/revocations.js';
import {
  callerOfMessage,
  clusterIdKey,
  forwardBytesMax,
  forwardCountMax,
  forwardDefinition,
  forwardPendingMax,
  incarnationKey,
} from '#master/forward/forward-method.js';
import { TurnBatch } from '#master/forward/turn-batch.js';
import type { OwnIncarnation } from '#master/leader/incarnation-check.js';
import type { CallRouter } from '#master/server/call-router.js';
import type { Endpoint } from '#master/server/endpoint.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import type { sublet } from '#proto/sublet.js';
import { incarnationsDiffer } from '#replica/bootstrap/incarnation.js';
import type { Clock } from '#replica/ports/clock.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import type { Caller } from '#tls/caller.js';
import { formatPrincipal } from '#tls/principal.js';

type Answer = sublet.peer.v1.ForwardedAnswer.$Properties;
type Stream = ServerDuplexStream<sublet.peer.v1.ForwardRequest, sublet.peer.v1.ForwardResponse.$Properties>;

export type ForwardServiceOptions = {
  readonly plan: OwnIncarnation;
  readonly router: Pick<CallRouter, 'serve'>;
  /** By path: everything that may be handed on. */
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  readonly revocations: Revocations;
  /** The name of the master whose connection to the peer port comes from HOST:PORT; undefined: without TLS. */
  readonly nameAt: ((from: string) => string) | undefined;
  /** The masters of the cluster, as this one knows them; none before it has been bootstrapped. */
  readonly members: () => readonly Pick<MemberInfo, 'name'>[];
  readonly clock: Pick<Clock, 'now'>;
  readonly report: (error: unknown) => void;
};

/** Methods of the table of roles that a follower also calls for itself: it adds the leader's account to its own. */
const askedByMasters: ReadonlySet<string> = new Set([clusterService.getStatus.path, clusterService.listMembers.path]);

export const forwardServiceDefinition: ServiceDefinition = { Forward: forwardDefinition };

/** To be added to the server on the peer port. */
export function forwardService(options: ForwardServiceOptions): UntypedServiceImplementation {
  const handle: handleBidiStreamingCall<sublet.peer.v1.ForwardRequest, sublet.peer.v1.ForwardResponse.$Properties> = (
    stream,
  ) => accept(stream, options);
  return { Forward: handle };
}

function accept(stream: Stream, options: ForwardServiceOptions): void {
  const name = options.nameAt?.(stream.getPeer());
  const stranger = strangerText(stream.metadata, options.plan) ?? outsiderText(name, options);
  if (stranger !== undefined) {
    stream.emit('error', { code: status.FAILED_PRECONDITION, details: stranger });
    return;
  }
  let open = true;
  let inFlight = 0;
  const answers = new TurnBatch<Answer>({
    countMax: forwardCountMax,
    bytesMax: forwardBytesMax,
    bytesOf: ({ response }) => response?.length ?? 0,
    deliver: (items, done) => {
      if (open) stream.write({ answers: [...items] }, done);
    },
  });
  stream.on('data', ({ calls }: sublet.peer.v1.ForwardRequest) => {
    for (const call of calls) {
      const id = call.id ?? 0;
      const answer = (content: Answer): void => {
        inFlight -= 1;
        answers.add(content);
      };
      inFlight += 1;
      const outcome = inFlight > forwardPendingMax ? tooMany() : carryOut(call, name, options);
      outcome.then(
        (response) => answer({ id, response }),
        (error: unknown) => {
          const { reason, message, details } = toRefusedError(error, options.report);
          answer({ id, reason, message, details });
        },
      );
    }
  });
  const ended = (): void => {
    open = false;
  };
  stream.on('cancelled', ended);
  stream.on('error', ended);
  stream.on('end', () => {
    ended();
    stream.end();
  });
  // Shows the other end that it is accepted: it sends nothing before.
  stream.sendMetadata(new Metadata());
}

/** Why a master that calls is none of this cluster; undefined: it is one. */
function strangerText(metadata: Metadata, plan: ForwardServiceOptions['plan']): string | undefined {
  const [clusterId] = metadata.get(clusterIdKey);
  if (clusterId !== plan.clusterId) {
    return `this master is of cluster "${plan.clusterId}", the caller of "${String(clusterId)}"`;
  }
  const [incarnation] = metadata.get(incarnationKey).map(String);
  if (incarnation === undefined || !incarnationsDiffer(incarnation, plan.incarnation)) return undefined;
  return `this master is of incarnation ${plan.incarnation} of cluster "${clusterId}", the caller of incarnation ${incarnation}`;
}

/** Why the certificate of a master that calls is not enough; undefined: it is. One that has just been added calls again. */
function outsiderText(name: string | undefined, { members }: ForwardServiceOptions): string | undefined {
  const known = members();
  if (name === undefined || known.length === 0 || known.some((member) => member.name === name)) return undefined;
  return `${formatPrincipal({ role: 'master', id: name })} is not a member of this cluster, as this master knows it`;
}

/** @param by the name in the certificate of the master that has handed it on; undefined: without TLS */
async function carryOut(
  call: sublet.peer.v1.ForwardedCall.$Properties,
  by: string | undefined,
  options: ForwardServiceOptions,
): Promise<Uint8Array> {
  const path = call.method ?? '';
  const endpoint = options.endpoints.get(path);
  if (endpoint === undefined) throw new RefusedError('unimplemented', `this master has no method ${path}`);
  const caller = callerOfMessage(call.caller);
  judge(caller, path, by, options);
  return options.router.serve(endpoint, call.request ?? new Uint8Array(0), {
    caller,
    deadline: options.clock.now() + (call.timeoutMs ?? 0),
    forwarded: true,
  });
}

/**
 * The master that handed the call on has checked this; a leader checks what it carries out itself, by its own revocations.
 * A master calls for itself and for those who call it, and no master calls another one: a certificate in the name of another
 * one would be worth that one's vote.
 * @throws RefusedError
 */
function judge(
  { principal, address }: Caller,
  path: string,
  by: string | undefined,
  { revocations }: ForwardServiceOptions,
): void {
  if (principal !== undefined) {
    revocations.check(principal);
    authorize(principal, path);
    if (by === undefined || principal.role !== 'master' || principal.id === by) return;
    const other = `master/${by} has handed on a call in the name of ${formatPrincipal(principal)}`;
    throw new RefusedError('permission-denied', `${path}: ${other}: a master calls in its own name alone`);
  }
  if (by === undefined) return;
  // Joining, and most of what masters call for themselves, is in no row of the table of roles.
  if (rolesFor(path).length === 0 || (address === '' && askedByMasters.has(path))) return;
  throw new RefusedError('permission-denied', `${path}: the call was handed on without the identity of its caller`);
}

function tooMany(): Promise<Uint8Array> {
  return Promise.reject(
    new RefusedError('overloaded', `more than ${forwardPendingMax} calls of one master are under way`),
  );
}
