/**
 * What a caller of the gRPC ports may have open, and have a master keep before its call is whole, by its role.
 */

import type { Socket } from 'node:net';
import { clientNetwork } from '#address/client-network.js';
import { type CallerLimits, type GuardNotice, type MethodLimits, StreamGuard } from '#http2/stream-guard.js';
import { rolesFor } from '#master/access/authorization.js';
import type { CallRates } from '#master/access/rates.js';
import { joinRequestBytesMax } from '#master/joining/join-server.js';
import { requestBytesMax } from '#master/server/api-server.js';
import type { Clock } from '#replica/ports/clock.js';
import { formatPrincipal, type Principal, type Role } from '#tls/principal.js';
import { messageBytesMax } from '#transport/peer-channel.js';
import { peerService } from '#transport/peer-service.js';

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

/**
 * A stream between masters begins with the identities of both, and is judged by that: 3 kB at most, with what a member
 * reports of itself, and in front of a snapshot with nine members.
 */
const firstPeerMessageBytes = 16 * kibibyte;
/** A master has one of each stream open; another one takes its place after a cut of the network. */
const streamsOfPeer = 4;
/** Calls that are answered at once, some of which may come together after a pause. */
const hellosOfPeer = 64;

/** Without TLS several masters may call from one address. */
function ofPeerMethods(masters: number): ReadonlyMap<string, MethodLimits> {
  const limits = (streams: number): MethodLimits => ({
    firstMessageBytes: firstPeerMessageBytes,
    streams: masters * streams,
  });
  const { hello, deliver, installSnapshot } = peerService;
  return new Map([
    [hello.path, limits(hellosOfPeer)],
    [deliver.path, limits(streamsOfPeer)],
    [installSnapshot.path, limits(streamsOfPeer)],
  ]);
}

const peerLimits: CallerLimits = { ...masterLimits, methods: ofPeerMethods(1) };
const plainPeerLimits: CallerLimits = { ...masterLimits, methods: ofPeerMethods(Number.POSITIVE_INFINITY) };

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

/**
 * A connection of an operator shows its certificate anew after an hour: it takes no more calls, and those under way have a
 * minute to end. Connections of agents and masters end with their certificates.
 */
const ageMs = 60 * 60_000;
const agingRoles: ReadonlySet<Role> = new Set(['viewer', 'operator', 'admin']);
const retirementMs = 60_000;
/** Ages differ by as much as 10 %, so that what began together does not end together. */
const ageSpread = 0.1;

export type IntakeOptions = {
  readonly clock: Pick<Clock, 'after'>;
  /** In [0, 1). */
  readonly random: () => number;
  readonly rates: Pick<CallRates, 'refusal'>;
  readonly refused: (port: string, notice: GuardNotice) => void;
};

export class Intake {
  readonly api: StreamGuard;
  readonly peer: StreamGuard;
  readonly join: StreamGuard;
  /** By identity: its open connections. */
  readonly #connections = new Map<string, number>();
  readonly #options: IntakeOptions;

  constructor(options: IntakeOptions) {
    this.#options = options;
    const { rates, refused } = options;
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
    return this.#take(this.peer, socket, principal, principal === undefined ? plainPeerLimits : peerLimits);
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
    const retire = guard.take(socket, caller, limits);
    if (agingRoles.has(principal.role)) this.#age(socket, retire);
    return true;
  }

  #age(socket: Socket, retire: () => void): void {
    const { clock, random } = this.#options;
    let cancel = clock.after(ageMs * (1 - ageSpread + 2 * ageSpread * random()), () => {
      retire();
      cancel = clock.after(retirementMs, () => socket.destroy());
    });
    socket.once('close', () => cancel());
  }
}

function isMethod(path: string): boolean {
  return rolesFor(path).length > 0;
}

function apiLimits(principal: Principal | undefined): CallerLimits {
  if (principal === undefined) return addressLimits;
  return principal.role === 'agent' ? agentLimits : operatorLimits;
}
