/** The stream on which followers hand calls to the leader, as both ends use it. */
import { method, toBuffer } from '#api/method.js';
import { isRefusalReason, type RefusalDetails, RefusedError } from '#api/refusal.js';
import { sublet } from '#proto/sublet.js';
import type { Caller } from '#tls/caller.js';
import { roles } from '#tls/principal.js';

const { ForwardRequest, ForwardResponse, KeepAlivesRequest, KeepAlivesResponse } = sublet.peer.v1;
const { ReportStreamsRequest, ReportStreamsResponse } = sublet.peer.v1;
const { RecordBackupRequest, RecordBackupResponse, UseTokenRequest, UseTokenResponse } = sublet.peer.v1;
const { CheckClaimRequest, CheckClaimResponse, CompareStateRequest, CompareStateResponse } = sublet.peer.v1;
const { ReportIncarnationRequest, ReportIncarnationResponse } = sublet.peer.v1;

export const forwardMethods = {
  forward: method('/sublet.peer.v1.ForwardService/Forward', ForwardRequest, ForwardResponse, {
    requestStream: true,
    responseStream: true,
  }),
  keepAlives: method('/sublet.peer.v1.ForwardService/KeepAlives', KeepAlivesRequest, KeepAlivesResponse),
  reportStreams: method('/sublet.peer.v1.ForwardService/ReportStreams', ReportStreamsRequest, ReportStreamsResponse),
  checkClaim: method('/sublet.peer.v1.ForwardService/CheckClaim', CheckClaimRequest, CheckClaimResponse),
  reportIncarnation: method(
    '/sublet.peer.v1.ForwardService/ReportIncarnation',
    ReportIncarnationRequest,
    ReportIncarnationResponse,
  ),
  useToken: method('/sublet.peer.v1.ForwardService/UseToken', UseTokenRequest, UseTokenResponse),
  recordBackup: method('/sublet.peer.v1.ForwardService/RecordBackup', RecordBackupRequest, RecordBackupResponse),
  compareState: method('/sublet.peer.v1.ForwardService/CompareState', CompareStateRequest, CompareStateResponse),
};

/** Calls, or answers, in one message of the stream. */
export const forwardCountMax = 512;
/** Bytes of requests, or responses, in one message, unless a single one is larger. */
export const forwardBytesMax = 512 * 1024;
/** Largest message that an end takes: one call of the largest size, with room for its envelope. */
export const forwardMessageBytesMax = 4 * 1024 * 1024;
/** Calls under way on one link; beyond it a call is refused. */
export const forwardPendingMax = 16_384;

/** The metadata key that carries the cluster's id: a master of another cluster is refused. */
export const clusterIdKey = 'sublet-cluster-id';
/** And which incarnation of it; absent from a master of an earlier release. */
export const incarnationKey = 'sublet-incarnation';

/** As grpc-js takes it; both ends read decoded messages. */
export const forwardDefinition = {
  path: forwardMethods.forward.path,
  originalName: 'Forward',
  requestStream: true,
  responseStream: true,
  requestSerialize: (message: sublet.peer.v1.ForwardRequest.$Properties) =>
    toBuffer(ForwardRequest.encode(message).finish()),
  requestDeserialize: (bytes: Buffer) => ForwardRequest.decode(bytes),
  responseSerialize: (message: sublet.peer.v1.ForwardResponse.$Properties) =>
    toBuffer(ForwardResponse.encode(message).finish()),
  responseDeserialize: (bytes: Buffer) => ForwardResponse.decode(bytes),
};

/** A caller as it goes to the leader; undefined: the master calls for itself. */
export function callerMessage({ address, principal }: Caller): sublet.peer.v1.Caller.$Properties | null {
  if (principal === undefined) return address === '' ? null : { address };
  const { role, id, beginsMs } = principal;
  return { address, identity: { role, id }, ...(beginsMs !== undefined && { certificateBeginsMs: beginsMs }) };
}

/** Of a certificate, of the bearer of a token, or of the admin socket; none of a connection that has ended. */
const idForm = /^[A-Za-z0-9._:/-]{0,253}$/;
/** Of HOST:PORT, and of a master's name with a port: it stands in the history. */
const addressLengthMax = 128;

/** @throws RefusedError for what no master makes of a caller */
export function callerOfMessage(message: sublet.peer.v1.Caller.$Properties | null | undefined): Caller {
  const { identity, certificateBeginsMs: beginsMs } = message ?? {};
  const address = message?.address ?? '';
  if (address.length > addressLengthMax) {
    const limit = `${addressLengthMax} at most are allowed`;
    throw new RefusedError('invalid-argument', `caller.address has ${address.length} characters: ${limit}`);
  }
  if (identity == null) return { address, principal: undefined };
  const role = roles.find((each) => each === identity.role);
  if (role === undefined) {
    throw new RefusedError('permission-denied', `there is no role ${JSON.stringify(identity.role?.slice(0, 64))}`);
  }
  const principal = { role, id: identity.id ?? '' };
  if (!idForm.test(principal.id)) {
    const shown = JSON.stringify(principal.id.slice(0, 64));
    throw new RefusedError(
      'invalid-argument',
      `caller.identity.id ${shown}: 253 characters of [A-Za-z0-9._:/-] at most`,
    );
  }
  return { address, principal: beginsMs == null ? principal : { ...principal, beginsMs } };
}

/** The refusal that another master sent. A reason of a newer version counts as a bug here. */
export function refusedByPeer(reason: string, message: string, details: RefusalDetails): RefusedError {
  return new RefusedError(isRefusalReason(reason) ? reason : 'internal', message, details);
}
