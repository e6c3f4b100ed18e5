/** Watch streams: the gRPC side of the hub. Messages are sent as the hub hands them over, already encoded. */

import type { ServerWritableStream, UntypedHandleCall } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import { parseAgentId } from '#ipam/identity.js';
import type { Admission } from '#master/access/admission.js';
import { checkIncarnation, type OwnIncarnation } from '#master/leader/incarnation-check.js';
import { type CallerOf, type StreamMethod, streamError } from '#master/server/api-server.js';
import { decode } from '#master/server/endpoint.js';
import {
  parseBranchText,
  parseClusterIdText,
  parseField,
  safeInteger,
  toRefusedError,
} from '#master/server/refusal-mapping.js';
import type { WatchView } from '#master/watch/event-ring.js';
import type { WatchHub, WatchStart } from '#master/watch/watch-hub.js';
import { sublet } from '#proto/sublet.js';
import { byAddress, type Caller } from '#tls/caller.js';
import { formatPrincipal } from '#tls/principal.js';

const { PeerForm } = sublet.v1;

type Stream = ServerWritableStream<Buffer, Uint8Array>;

export type WatchServiceOptions = {
  readonly hub: WatchHub;
  readonly plan: OwnIncarnation;
  readonly admission: Admission;
  readonly callerOf?: CallerOf;
  /** Why this master can not answer for the plan yet; undefined: it can. */
  readonly closed: () => string | undefined;
  readonly report: (error: unknown) => void;
};

export function watchMethod(options: WatchServiceOptions): StreamMethod {
  const handle: UntypedHandleCall = (stream: Stream) => accept(stream, options);
  return { path: agentService.watch.path, requestStream: false, handle };
}

function accept(
  stream: Stream,
  { hub, plan, admission, callerOf = byAddress, closed, report }: WatchServiceOptions,
): void {
  const caller = callerOf(stream.getPeer());
  const fail = (error: unknown): void => {
    stream.emit('error', streamError(toRefusedError(error, report)));
  };
  let start: WatchStart;
  try {
    const request = decode(agentService.watch.path, agentService.watch.request, stream.request);
    start = { ...parseWatch(request), ...witnessOf(caller) };
    checkView(caller, start);
    const why = closed();
    if (why !== undefined) throw new RefusedError('unavailable', why);
    checkIncarnation('watch', request, plan);
    admission.enter('stream', caller);
  } catch (error) {
    fail(error);
    return;
  }
  let open = true;
  const unwatch = hub.watch(start, {
    send: (message, sent) => {
      if (open) stream.write(message, sent);
    },
    end: (refused) => {
      if (open) fail(refused);
    },
  });
  const close = (): void => {
    if (!open) return;
    open = false;
    unwatch();
    admission.leave('stream', caller);
  };
  stream.on('cancelled', close);
  stream.on('close', close);
}

/**
 * What an agent has seen may prove that the plan went back (`leader/history-guard.ts`). Viewers, operators and admins read
 * here. Without TLS nothing tells them apart.
 */
function witnessOf({ principal }: Caller): Pick<WatchStart, 'testifies' | 'agentId'> {
  if (principal === undefined) return { testifies: true };
  if (principal.role !== 'agent') return { testifies: false };
  return { testifies: true, agentId: parseField('agent_id', principal.id, parseAgentId) };
}

/** An agent needs its peers, and gets no more. @throws RefusedError `permission-denied` */
function checkView({ principal }: Caller, { view }: WatchStart): void {
  if (principal?.role !== 'agent' || view !== 'all') return;
  throw new RefusedError('permission-denied', `watch: ${formatPrincipal(principal)} may watch with peers_only alone`);
}

function parseWatch(request: sublet.v1.WatchRequest): Omit<WatchStart, 'testifies'> {
  const { clusterId, fromRevision, branch } = request;
  const revision = safeInteger('from_revision', fromRevision);
  return {
    clusterId: parseClusterIdText(clusterId),
    fromRevision: revision,
    branch: parseBranchText(branch),
    view: viewOf(request),
  };
}

/** @throws RefusedError `invalid-argument` */
function viewOf({ peersOnly, peerForm }: sublet.v1.WatchRequest): WatchView {
  switch (peerForm) {
    case PeerForm.PEER_FORM_UNSPECIFIED:
      return peersOnly ? 'peers' : 'all';
    case PeerForm.PEER_FORM_SHORT:
      if (peersOnly) return 'short';
      throw new RefusedError('invalid-argument', 'peer_form is PEER_FORM_SHORT: it needs peers_only');
    default:
      throw new RefusedError('invalid-argument', `peer_form is ${peerForm}: 0 and 1 are allowed`);
  }
}
