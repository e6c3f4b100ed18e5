/**
 * The outgoing half of a peer: one stream that carries this member's messages to it, in order. What one turn sends is
 * one frame. While there is no stream, messages are dropped and the core is notified: Raft repeats messages, and an old
 * message is worth less than the next one.
 */

import { type Client, type ClientWritableStream, type ServiceError, status } from '@grpc/grpc-js';
import type { PeerMessage } from '#raft/message.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import type { PeerRefusal } from '#replica/ports/peer-network.js';
import { type Backoff, backoffMs } from '#time/backoff.js';
import { encodeReport, type WireReport } from '#transport/membership-codec.js';
import { encodeMessage, messageBytes } from '#transport/message-codec.js';
import { type PeerChannelOptions, peerClient } from '#transport/peer-channel.js';
import { peerRefusalOf, type WireEnvelope } from '#transport/peer-gate.js';
import { type DeliverRequest, peerService } from '#transport/peer-service.js';

export type PeerLinkOptions = {
  readonly member: MemberInfo;
  readonly envelope: WireEnvelope;
  readonly channel: PeerChannelOptions;
  /** The report that this member announced last. */
  readonly report: MemberReport | undefined;
  /** A message was dropped, or the stream broke. */
  readonly unreachable: () => void;
  /** The peer will not talk to this member. */
  readonly refused: (reason: string, refusal: PeerRefusal) => void;
};

/** Messages and bytes waiting for the stream; beyond it new ones are dropped. */
const queuedMax = 4096;
const queuedBytesMax = 64 * 1024 * 1024;
/** A frame takes more messages until it has so many bytes. */
const frameBytes = 1024 * 1024;
/** Between two attempts to connect. */
const backoff: Backoff = { baseMs: 50, capMs: 1_000 };
/** The same while the peer refuses. */
const refusedRetryMs = 2000;
/** From the attempt to the peer's consent. */
const consentMs = 3000;

/** From the last message to the end of a stream that is closed. */
const closeMs = 1000;

type Stream = { readonly client: Client; readonly call: ClientWritableStream<DeliverRequest>; consented: boolean };

export class PeerLink {
  readonly #options: PeerLinkOptions;
  #stream: Stream | undefined;
  #report: MemberReport | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attempts = 0;
  #refusing = false;
  #closed = false;
  #queue: PeerMessage[] = [];
  #queuedBytes = 0;
  #flushDue = false;
  #blocked = false;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
    this.#report = options.report;
    this.#connect();
  }

  get member(): MemberInfo {
    return this.#options.member;
  }

  get connected(): boolean {
    return this.#stream?.consented === true;
  }

  send(message: PeerMessage): void {
    const bytes = messageBytes(message);
    if (
      this.#closed ||
      !this.connected ||
      this.#queue.length >= queuedMax ||
      this.#queuedBytes + bytes > queuedBytesMax
    ) {
      // Not from inside the caller's turn: it is busy with its core.
      queueMicrotask(() => this.#options.unreachable());
      return;
    }
    this.#queue.push(message);
    this.#queuedBytes += bytes;
    if (this.#flushDue || this.#blocked) return;
    this.#flushDue = true;
    queueMicrotask(() => this.#flush());
  }

  /** Sends the report to the peer, and again at the begin of each later stream. */
  announce(report: MemberReport): void {
    this.#report = report;
    this.#stream?.call.write({ messages: [], ...this.#reportPart() });
  }

  #reportPart(): { readonly report?: WireReport } {
    return this.#report === undefined ? {} : { report: encodeReport(this.#report) };
  }

  /** The peer has connected to this member: an attempt that waits is made now. */
  nudge(): void {
    if (this.#retry === undefined || this.#refusing) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#connect();
  }

  /** Sends what is queued, then no more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    const call = this.#stream?.call;
    if (call === undefined) return;
    this.#flush();
    call.end();
    // The last message may be the commit of the peer's own removal; a peer that is gone does not answer any more.
    setTimeout(() => call.cancel(), closeMs).unref();
  }

  #flush(): void {
    this.#flushDue = false;
    const call = this.#stream?.call;
    while (call !== undefined && this.#queue.length > 0 && !this.#blocked) {
      const messages = this.#takeFrame();
      this.#blocked = !call.write({ messages: messages.map(encodeMessage) });
    }
  }

  #takeFrame(): readonly PeerMessage[] {
    let count = 0;
    let bytes = 0;
    for (const message of this.#queue) {
      count += 1;
      bytes += messageBytes(message);
      if (bytes >= frameBytes) break;
    }
    this.#queuedBytes -= bytes;
    if (count === this.#queue.length) {
      const all = this.#queue;
      this.#queue = [];
      return all;
    }
    return this.#queue.splice(0, count);
  }

  #connect(): void {
    const { member, envelope, channel } = this.#options;
    const client = peerClient(member.peer, channel);
    const { path, requestSerialize, responseDeserialize } = peerService.deliver;
    const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error) =>
      this.#ended(stream, error),
    );
    const stream: Stream = { client, call, consented: false };
    this.#stream = stream;
    const timer = setTimeout(() => call.cancel(), consentMs);
    call.on('metadata', () => {
      clearTimeout(timer);
      this.#consented(stream);
    });
    call.on('status', () => clearTimeout(timer));
    call.on('drain', () => {
      this.#blocked = false;
      this.#flush();
    });
    // A report that is made before the peer's consent waits in the call.
    call.write({ envelope, messages: [], ...this.#reportPart() });
  }

  #consented(stream: Stream): void {
    stream.consented = true;
    this.#attempts = 0;
    this.#refusing = false;
  }

  #ended(stream: Stream, error: ServiceError | null): void {
    stream.client.close();
    if (this.#stream === stream) this.#stream = undefined;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#blocked = false;
    if (this.#closed) return;
    if (stream.consented) this.#options.unreachable();
    const code = error?.code ?? status.UNAVAILABLE;
    const refusal = peerRefusalOf(code);
    this.#refusing = refusal !== undefined;
    if (refusal !== undefined) this.#options.refused(error?.details ?? '', refusal);
    const delayMs = this.#refusing ? refusedRetryMs : backoffMs(backoff, this.#attempts);
    this.#attempts += 1;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#connect();
    }, delayMs);
  }
}
