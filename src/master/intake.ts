/** What a caller of the gRPC ports may have a master keep before its call is whole, by its role. */
import type { Socket } from 'node:net';
import { type CallerLimits, type GuardNotice, StreamGuard } from '#http2/stream-guard.js';
import { requestBytesMax } from '#master/api-server.js';
import { joinRequestBytesMax } from '#master/join-server.js';
import { formatPrincipal, type Principal } from '#tls/principal.js';
import { messageBytesMax } from '#transport/peer-channel.js';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
/** What is kept of a message beside its bytes, in proportion. */
const slack = 1.5;

/** The largest of its messages is a status of 128 overlays, each with an error of 1,024 characters. */
const agentMessageBytes = 256 * kibibyte;
const agentLimits: CallerLimits = {
  messageBytes: agentMessageBytes,
  connectionBytes: 2 * agentMessageBytes,
  callerBytes: 2 * agentMessageBytes,
};
const operatorLimits: CallerLimits = {
  messageBytes: requestBytesMax,
  connectionBytes: 4 * requestBytesMax,
  callerBytes: 8 * requestBytesMax,
};
/** Without TLS a caller is an address, behind which there may be many agents. */
const addressLimits: CallerLimits = {
  messageBytes: requestBytesMax,
  connectionBytes: 4 * requestBytesMax,
  callerBytes: 32 * requestBytesMax,
};
const masterLimits: CallerLimits = {
  messageBytes: messageBytesMax,
  connectionBytes: slack * messageBytesMax,
  callerBytes: 3 * slack * messageBytesMax,
};

/** A host that joins sends one small message, and has shown no certificate. */
const joinLimits: CallerLimits = {
  messageBytes: joinRequestBytesMax,
  connectionBytes: 2 * joinRequestBytesMax,
  callerBytes: 8 * joinRequestBytesMax,
};

const joinTotalBytes = mebibyte;
const apiTotalBytes = 64 * mebibyte;
const peerTotalBytes = 256 * mebibyte;
/** Agents and operators send a message and wait for its answer. */
const apiMessagesPerPiece = 64;

export class Intake {
  readonly api: StreamGuard;
  readonly peer: StreamGuard;
  readonly join: StreamGuard;

  constructor(refused: (port: string, notice: GuardNotice) => void) {
    this.api = new StreamGuard({
      ...{ totalBytes: apiTotalBytes, messagesPerPiece: apiMessagesPerPiece },
      refused: (notice) => refused('api', notice),
    });
    this.peer = new StreamGuard({
      ...{ totalBytes: peerTotalBytes, messagesPerPiece: Number.POSITIVE_INFINITY },
      refused: (notice) => refused('peer', notice),
    });
    this.join = new StreamGuard({
      ...{ totalBytes: joinTotalBytes, messagesPerPiece: 1 },
      refused: (notice) => refused('join', notice),
    });
  }

  /** The caller has shown no certificate. */
  takeJoin(socket: Socket): void {
    this.join.take(socket, callerOf(socket, undefined), joinLimits);
  }

  /** `principal`: undefined without TLS. */
  takeApi(socket: Socket, principal: Principal | undefined): void {
    this.api.take(socket, callerOf(socket, principal), apiLimits(principal));
  }

  takePeer(socket: Socket, principal: Principal | undefined): void {
    this.peer.take(socket, callerOf(socket, principal), masterLimits);
  }
}

function apiLimits(principal: Principal | undefined): CallerLimits {
  if (principal === undefined) return addressLimits;
  return principal.role === 'agent' ? agentLimits : operatorLimits;
}

function callerOf({ remoteAddress = '' }: Socket, principal: Principal | undefined): string {
  return principal === undefined ? remoteAddress : formatPrincipal(principal);
}
