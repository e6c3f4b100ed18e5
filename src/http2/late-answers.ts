/**
 * Keeps an answer to a stream that has ended from ending the process. grpc-js answers a call of an unknown method, and one of
 * another content type, as soon as Node announces its stream. A caller that has cancelled the call in the same flight of bytes
 * has ended the stream by then; Node throws for that answer, and what a listener throws ends the process.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { OutgoingHttpHeaders, ServerHttp2Stream, ServerStreamResponseOptions } from 'node:http2';

const channel = 'http2.server.stream.created';
let begun = false;

/** From the first HTTP/2 stream of this process on, an answer to a stream that has ended is dropped. */
export function dropLateAnswers(): void {
  if (begun) return;
  begun = true;
  // Node does not export the class of the streams.
  const first = (message: unknown): void => {
    if (!hasStream(message)) return;
    unsubscribe(channel, first);
    patch(Object.getPrototypeOf(message.stream));
  };
  subscribe(channel, first);
}

function patch(streams: ServerHttp2Stream): void {
  const { respond } = streams;
  streams.respond = function (
    this: ServerHttp2Stream,
    headers?: OutgoingHttpHeaders | readonly string[],
    options?: ServerStreamResponseOptions,
  ): void {
    if (this.destroyed || this.closed) return;
    respond.call(this, headers, options);
  };
}

function hasStream(message: unknown): message is { readonly stream: ServerHttp2Stream } {
  return typeof message === 'object' && message !== null && 'stream' in message;
}
