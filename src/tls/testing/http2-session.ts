/** HTTP/2 behind TLS as Node.js speaks it, without a gRPC library: for callers that no library would be. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

export type SessionIdentity = {
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
};

/** Takes a certificate of any name. @param address HOST:PORT, with an IPv4 address or a name */
export function http2Options(address: string, { ca, cert, key }: SessionIdentity): ConnectionOptions {
  const [host = '', port = ''] = address.split(':');
  return { host, port: Number(port), ca, cert, key, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined };
}

/** An error of the connection ends the session, and its streams with an error. */
export function openSession(address: string, identity: SessionIdentity): ClientHttp2Session {
  const createConnection = () => connectTls(http2Options(address, identity));
  return connect(`https://${address}`, { createConnection }).on('error', () => undefined);
}

/** A gRPC call with one message, which is written whole. */
export function callOn(session: ClientHttp2Session, path: string, message: Uint8Array): ClientHttp2Stream {
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request(headers);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([head, message]));
  return stream;
}
