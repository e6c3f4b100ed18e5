/**
 * Bounds what callers have a gRPC server keep before a call is theirs: pieces of messages that are not whole, and compressed
 * messages. gRPC itself inflates all messages of a frame at once, and collects each message to its largest size, before any
 * handler or interceptor sees the call.
 *
 * The guard sees each HTTP/2 stream by a diagnostics channel of Node, reads along, and changes nothing of it until a limit is
 * passed. A stream is refused once gRPC has begun to read it, so gRPC never finds a stream answered that it was about to answer.
 */
import { subscribe } from 'node:diagnostics_channel';
import { constants, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { dropLateAnswers } from '#http2/late-answers.js';
import { MessageMeter } from '#http2/message-meter.js';

/** Bytes are those of messages that are not whole, with what their pieces cost beside. */
export type CallerLimits = {
  readonly connectionBytes: number;
  /** Of all connections of the caller. */
  readonly callerBytes: number;
  /** Of one message. */
  readonly messageBytes: number;
  /** Open at a time, of all connections of the caller. */
  readonly streams: number;
  /** By path: methods whose streams are bounded more closely. */
  readonly methods?: ReadonlyMap<string, MethodLimits>;
};

export type MethodLimits = {
  /** Of the first message of a stream, by which its caller is judged. More than a frame (16 KiB): a smaller bound is not seen. */
  readonly firstMessageBytes: number;
  /** Open at a time, of all connections of the caller. */
  readonly streams: number;
};

export type GuardRefusal =
  /** A call was refused: its messages are compressed. */
  | 'compressed'
  /** A call was refused: its message is larger than the caller may send. */
  | 'too-large'
  /** A connection was ended: too many bytes of messages that are not whole. */
  | 'unfinished-messages'
  /** A connection was ended: too many messages in one piece. */
  | 'many-messages'
  /** A connection was ended: too many open streams. */
  | 'many-streams'
  /** A connection was ended: too many calls of it were refused, or of methods that there are not. */
  | 'many-refusals'
  /** A connection was closed: the caller has too many. */
  | 'many-connections';

export const guardRefusals: readonly GuardRefusal[] = [
  'compressed',
  'too-large',
  'unfinished-messages',
  'many-messages',
  'many-streams',
  'many-refusals',
  'many-connections',
];

export type GuardNotice = { readonly refusal: GuardRefusal; readonly caller: string; readonly message: string };

export type GuardedCaller = {
  /** The same for all connections of one caller. */
  readonly caller: string;
  /** HOST:PORT, of this connection. */
  readonly from: string;
};

export type StreamGuardOptions = {
  /** Bytes of messages that are not whole, of all callers. */
  readonly totalBytes: number;
  /** Whole messages that one piece (a DATA frame, 16 KiB) may hold. */
  readonly messagesPerPiece: number;
  /** Called with the path of each call that begins, before gRPC knows of it. False: the connection has to end. */
  readonly begins?: (path: string, caller: GuardedCaller) => boolean;
  readonly refused: (notice: GuardNotice) => void;
};

/** As in the specification of gRPC. */
const unimplemented = 12;
const resourceExhausted = 8;

type Connection = GuardedCaller & {
  readonly guard: StreamGuard;
  readonly socket: Socket;
  readonly limits: CallerLimits;
  /** Undefined until its first stream. */
  session: Http2Session | undefined;
  /** Bytes kept now. */
  bytes: number;
  ended: boolean;
};

type Call = { readonly path: string; readonly encoding: string };
/** What a piece has brought: messages that are whole with it, the length of the one that is not, and how long that may be. */
type Piece = { readonly whole: number; readonly length: number; readonly largest: number };

/** By the addresses of both ends: the connections of all guards of this process. */
const connections = new Map<string, Connection>();
const bySession = new WeakMap<Http2Session, Connection>();
let subscribed = false;

export class StreamGuard {
  readonly #options: StreamGuardOptions;
  /** By caller: bytes of messages that are not whole. */
  readonly #bytes = new Map<string, number>();
  /** By caller, and by caller and path: open streams. */
  readonly #streams = new Map<string, number>();
  /** By HOST:PORT. */
  readonly #open = new Map<string, Connection>();
  readonly #refused = new Map<GuardRefusal, number>();
  #total = 0;

  constructor(options: StreamGuardOptions) {
    this.#options = options;
    if (subscribed) return;
    subscribed = true;
    dropLateAnswers();
    subscribe('http2.server.stream.created', (message) => created(message));
  }

  /** Refusals so far. */
  refused(refusal: GuardRefusal): number {
    return this.#refused.get(refusal) ?? 0;
  }

  /** Bytes kept now of messages that are not whole. */
  get bytes(): number {
    return this.#total;
  }

  /** Open streams of a caller. */
  streamsOf(caller: string): number {
    return this.#streams.get(caller) ?? 0;
  }

  /**
   * Guards a connection, which is about to be handed to a server. All connections of one caller count together. The returned
   * function has the connection take no more calls, and end when those under way have ended.
   */
  take(socket: Socket, caller: string, limits: CallerLimits): () => void {
    const key = endsOf(socket);
    const from = `${socket.remoteAddress}:${socket.remotePort}`;
    const connection: Connection = {
      guard: this,
      caller,
      from,
      socket,
      limits,
      session: undefined,
      bytes: 0,
      ended: false,
    };
    connections.set(key, connection);
    this.#open.set(from, connection);
    socket.once('close', () => {
      if (connections.get(key) === connection) connections.delete(key);
      if (this.#open.get(from) === connection) this.#open.delete(from);
    });
    return () => retire(connection);
  }

  /** Ends the open connection from HOST:PORT for the refusals that it had, once gRPC has done with what came last. */
  end(from: string): void {
    const connection = this.#open.get(from);
    if (connection !== undefined) this.#endSoon(connection, 'many-refusals', 'too many calls were refused');
  }

  /** Called as a stream begins, before gRPC knows of it. */
  begin(stream: ServerHttp2Stream, path: string, connection: Connection): void {
    const { caller, limits } = connection;
    const streams = this.#counted(stream, caller);
    const method = limits.methods?.get(path);
    const ofMethod = method === undefined ? 0 : this.#counted(stream, `${caller} ${path}`);
    if (connection.ended) return;
    if (streams > limits.streams) {
      const what = `${streams} open streams of this caller, and ${limits.streams} are allowed`;
      this.#endSoon(connection, 'many-streams', what);
    } else if (method !== undefined && ofMethod > method.streams) {
      const what = `${ofMethod} open streams ${path} of this caller, and ${method.streams} are allowed`;
      this.#endSoon(connection, 'many-streams', what);
    } else if (this.#options.begins?.(path, connection) === false) {
      this.#endSoon(connection, 'many-refusals', 'too many calls of methods that there are not');
    }
  }

  /** Counts a stream until it closes. Returns how many there are. */
  #counted(stream: ServerHttp2Stream, key: string): number {
    const streams = this.streamsOf(key) + 1;
    this.#streams.set(key, streams);
    stream.once('close', () => {
      const left = this.streamsOf(key) - 1;
      if (left === 0) this.#streams.delete(key);
      else this.#streams.set(key, left);
    });
    return streams;
  }

  /** Called once gRPC begins to read the stream. */
  read(stream: ServerHttp2Stream, { path, encoding }: Call, connection: Connection): void {
    if (stream.headersSent || stream.closed || stream.destroyed) return;
    if (encoding !== 'identity') {
      const shown = JSON.stringify(encoding.slice(0, encodingLengthMax));
      const message = `grpc-encoding ${shown}: compressed messages are not taken here`;
      refuse(stream, unimplemented, message);
      this.refuse('compressed', connection.caller, message);
      return;
    }
    const meter = new MessageMeter();
    const { messageBytes, methods } = connection.limits;
    const firstBytes = methods?.get(path)?.firstMessageBytes ?? messageBytes;
    let kept = 0;
    let messages = 0;
    const count = (now: number): void => {
      this.#count(connection, now - kept);
      kept = now;
    };
    stream.once('close', () => count(0));
    stream.on('data', (piece: Buffer) => {
      if (connection.ended || stream.closed) return;
      const whole = meter.add(piece);
      if (meter.kept !== kept) count(meter.kept);
      messages += whole;
      const largest = messages === 0 ? firstBytes : messageBytes;
      this.#check(stream, connection, { whole, length: meter.length, largest });
    });
  }

  #count(connection: Connection, change: number): void {
    if (change === 0) return;
    const { caller } = connection;
    connection.bytes += change;
    this.#total += change;
    const bytes = (this.#bytes.get(caller) ?? 0) + change;
    if (bytes === 0) this.#bytes.delete(caller);
    else this.#bytes.set(caller, bytes);
  }

  #check(stream: ServerHttp2Stream, connection: Connection, { whole, length, largest }: Piece): void {
    const { messagesPerPiece, totalBytes } = this.#options;
    const { caller, limits } = connection;
    if (whole > messagesPerPiece) {
      this.#end(connection, stream.session, 'many-messages', `${whole} messages in one piece`, messagesPerPiece);
    } else if (length > largest) {
      const which = largest === limits.messageBytes ? 'a message' : 'a first message';
      const message = `${which} of ${length} B: ${caller} may send ${largest} B at most`;
      refuse(stream, resourceExhausted, message);
      this.refuse('too-large', caller, message);
    } else if (connection.bytes > limits.connectionBytes) {
      this.#endUnfinished(connection, stream.session, 'of this connection', connection.bytes, limits.connectionBytes);
    } else if ((this.#bytes.get(caller) ?? 0) > limits.callerBytes) {
      const bytes = this.#bytes.get(caller) ?? 0;
      this.#endUnfinished(connection, stream.session, 'of this caller', bytes, limits.callerBytes);
    } else if (this.#total > totalBytes) {
      this.#endUnfinished(connection, stream.session, 'of all callers', this.#total, totalBytes);
    }
  }

  #endUnfinished(
    connection: Connection,
    session: Http2Session | undefined,
    of: string,
    bytes: number,
    limit: number,
  ): void {
    this.#end(connection, session, 'unfinished-messages', `${bytes} B kept of unfinished messages ${of}`, limit);
  }

  #end(
    connection: Connection,
    session: Http2Session | undefined,
    refusal: GuardRefusal,
    what: string,
    limit: number,
  ): void {
    this.#condemn(connection, refusal, `${what}, and ${limit} are allowed`);
    session?.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  /** gRPC would answer the streams that have just begun, and must not find them destroyed. */
  #endSoon(connection: Connection, refusal: GuardRefusal, why: string): void {
    if (connection.ended) return;
    this.#condemn(connection, refusal, why);
    setImmediate(() => connection.socket.destroy());
  }

  #condemn(connection: Connection, refusal: GuardRefusal, why: string): void {
    connection.ended = true;
    this.refuse(refusal, connection.caller, `${why}: the connection is ended`);
  }

  /** Counts a refusal that was decided elsewhere. */
  refuse(refusal: GuardRefusal, caller: string, message: string): void {
    this.#refused.set(refusal, this.refused(refusal) + 1);
    this.#options.refused({ refusal, caller, message });
  }
}

/** Of a name that a caller has made up, in a message. */
const encodingLengthMax = 40;

function created(message: unknown): void {
  if (!isCreated(message)) return;
  const { stream, headers } = message;
  const connection = connectionOf(stream.session);
  if (connection === undefined) return;
  const path = headers[':path'] ?? '';
  connection.guard.begin(stream, path, connection);
  const shown = headers['grpc-encoding'] ?? 'identity';
  const encoding = Array.isArray(shown) ? shown.join() : shown;
  stream.once('resume', () => connection.guard.read(stream, { path, encoding }, connection));
}

function retire({ session, socket }: Connection): void {
  // With GOAWAY: of calls that are on their way here the caller learns that they were not begun.
  if (session === undefined || session.closed) socket.destroy();
  else session.close();
}

/** Undefined: a server of this process that has no guard. */
function connectionOf(session: Http2Session | undefined): Connection | undefined {
  if (session === undefined) return undefined;
  const known = bySession.get(session);
  if (known !== undefined) return known;
  const connection = connections.get(endsOf(session.socket));
  if (connection === undefined) return undefined;
  bySession.set(session, connection);
  connection.session = session;
  return connection;
}

type Ends = Pick<Socket, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>;

function endsOf({ localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 }: Ends): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

/** The caller gets the status, if nothing was answered yet. */
function refuse(stream: ServerHttp2Stream, code: number, message: string): void {
  if (stream.headersSent) {
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    return;
  }
  // grpc-js decodes what encodeURI encodes, and no more.
  const trailers = { 'grpc-status': String(code), 'grpc-message': encodeURI(message) };
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true });
  stream.close(constants.NGHTTP2_NO_ERROR);
}

type Created = { readonly stream: ServerHttp2Stream; readonly headers: IncomingHttpHeaders };

function isCreated(message: unknown): message is Created {
  return typeof message === 'object' && message !== null && 'stream' in message && 'headers' in message;
}
