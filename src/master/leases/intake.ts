/**
 * What a caller of the gRPC ports may have open, and have a master keep before its call is whole, by its role.
 */

import type { Socket } from 'node:net';
import { clientNetwork } from '#address/client-network.js';
import { type CallerLimits, type GuardNotice, StreamGuard } from '#http2/stream-guard.js';
import { rolesFor } from '#master/access/authorization.js';
import type { CallRates } from '#master/access/rates.js';
import { joinRequestBytesMax } from '#master/joining/join-server.js';
import { requestBytesMax } from '#master/server/api-server.js';
import { formatPrincipal, type Principal, type Role } from '#tls/principal.js';
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
  streams: 64,
};
/** Also of one connection. */
export const streamsOfOperator = 512;
const operatorLimits: CallerLimits = {
  messageBytes: requestBytesMax,
  connectionBytes: 4 * requestBytesMax,
  callerBytes: 8 * requestBytesMax,
  streams: streamsOfOperator,
};
/** Without TLS a caller is an address, behind which there may be many agents. */
const addressLimits: CallerLimits = {
  messageBytes: requestBytesMax,
  connectionBytes: 4 * requestBytesMax,
  callerBytes: 32 * requestBytesMax,
  streams: 65_536,
};
const masterLimits: CallerLimits = {
  messageBytes: messageBytesMax,
  connectionBytes: slack * messageBytesMax,
  callerBytes: 3 * slack * messageBytesMax,
  // A follower has so many calls on their way to the leader, and some streams.
  streams: 20_000,
};

/** A host that joins sends one small message, and has shown no certificate. */
const joinLimits: CallerLimits = {
  messageBytes: joinRequestBytesMax,
  connectionBytes: 2 * joinRequestBytesMax,
  callerBytes: 8 * joinRequestBytesMax,
  // Behind one network many hosts may wait for their turn to be signed.
  streams: 2_048,
};

const joinTotalBytes = mebibyte;
const apiTotalBytes = 64 * mebibyte;
const peerTotalBytes = 256 * mebibyte;
/** Agents and operators send a message and wait for its answer. */
const apiMessagesPerPiece = 64;

/**
 * Connections of one identity. Those that a cut of the network has left behind count until the master finds out, within 50 s.
 * One of a master is for messages, one for calls, one for a snapshot.
 */
const connectionsMax: Readonly<Record<Role, number>> = { agent: 16, viewer: 64, operator: 64, admin: 64, master: 16 };

export type IntakeOptions = {
  readonly rates: Pick<CallRates, 'refusal'>;
  readonly refused: (port: string, notice: GuardNotice) => void;
};

export class Intake {
  readonly api: StreamGuard;
  readonly peer: StreamGuard;
  readonly join: StreamGuard;
  /** By identity: its open connections. */
  readonly #connections = new Map<string, number>();

  constructor({ rates, refused }: IntakeOptions) {
    this.api = new StreamGuard({
      totalBytes: apiTotalBytes,
      messagesPerPiece: apiMessagesPerPiece,
      // Without TLS a connection counts by itself: behind its address there may be many.
      begins: (path, { caller, from }) => isMethod(path) || rates.refusal(caller.includes('/') ? caller : from),
      refused: (notice) => refused('api', notice),
    });
    this.peer = new StreamGuard({
      totalBytes: peerTotalBytes,
      messagesPerPiece: Number.POSITIVE_INFINITY,
      refused: (notice) => refused('peer', notice),
    });
    this.join = new StreamGuard({
      totalBytes: joinTotalBytes,
      messagesPerPiece: 1,
      refused: (notice) => refused('join', notice),
    });
  }

  /** The caller has shown no certificate. */
  takeJoin(socket: Socket): void {
    this.join.take(socket, clientNetwork(socket.remoteAddress ?? ''), joinLimits);
  }

  /** `principal`: undefined without TLS. False: there are too many connections, this one was closed. */
  takeApi(socket: Socket, principal: Principal | undefined): boolean {
    return this.#take(this.api, socket, principal, apiLimits(principal));
  }

  takePeer(socket: Socket, principal: Principal | undefined): boolean {
    return this.#take(this.peer, socket, principal, masterLimits);
  }

  #take(guard: StreamGuard, socket: Socket, principal: Principal | undefined, limits: CallerLimits): boolean {
    if (principal === undefined) {
      guard.take(socket, socket.remoteAddress ?? '', limits);
      return true;
    }
    const caller = formatPrincipal(principal);
    const has = this.#connections.get(caller) ?? 0;
    if (has >= connectionsMax[principal.role]) {
      socket.on('error', () => undefined);
      socket.destroy();
      guard.refuse('many-connections', caller, `${has} connections, and as many are allowed: this one is closed`);
      return false;
    }
    this.#connections.set(caller, has + 1);
    socket.once('close', () => {
      const left = (this.#connections.get(caller) ?? 1) - 1;
      if (left === 0) this.#connections.delete(caller);
      else this.#connections.set(caller, left);
    });
    guard.take(socket, caller, limits);
    return true;
  }
}

function isMethod(path: string): boolean {
  return rolesFor(path).length > 0;
}

function apiLimits(principal: Principal | undefined): CallerLimits {
  if (principal === undefined) return addressLimits;
  return principal.role === 'agent' ? agentLimits : operatorLimits;
}
