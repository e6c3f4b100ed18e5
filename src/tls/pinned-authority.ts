/**
 * The first contact of a host that trusts nothing yet: which authority a server shows, held against the pin of a token.
 * Nothing is sent but the handshake, which shows nothing of the token.
 */

import type { X509Certificate } from 'node:crypto';
import { connect } from 'node:tls';
import { bareHostOf, portOf } from '#address/host-and-port.js';
import { tlsGroups, tlsVersion } from '#tls/certificate/tls-files.js';
import { serverName } from '#tls/client-credentials.js';
import { pinOf } from '#tls/join-token-text.js';

/** The server shows another authority: it is of another cluster, or another machine answers in its place. */
export class PinError extends Error {
  override readonly name = 'PinError';
}

/** No handshake came about. */
export class NoHandshakeError extends Error {
  override readonly name = 'NoHandshakeError';
}

/** Certificates of a chain that are looked at. */
const chainMax = 8;

/**
 * The certificate, PEM, of the authority with this pin, as the server at HOST:PORT shows it. The caller still has to verify
 * the server by it.
 * @throws PinError, NoHandshakeError
 */
export function pinnedAuthority(server: string, pin: Uint8Array, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: bareHostOf(server),
      port: portOf(server),
      servername: serverName['grpc.ssl_target_name_override'],
      minVersion: tlsVersion,
      ecdhCurve: tlsGroups,
      ALPNProtocols: ['h2'],
      // What is shown is compared with the pin. Nothing is sent on this connection.
      rejectUnauthorized: false,
    });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no handshake within ${timeoutMs / 1_000} s`)));
    socket.once('error', (error) => reject(new NoHandshakeError(error.message)));
    socket.once('close', () => reject(new NoHandshakeError('the server closed the connection')));
    socket.once('secureConnect', () => {
      const chain = chainOf(socket.getPeerX509Certificate());
      socket.destroy();
      const found = chain.find((certificate) => pinOf(certificate).equals(pin));
      if (found !== undefined) {
        resolve(found.toString());
        return;
      }
      const shown = chain.at(-1);
      const what = shown === undefined ? 'no certificate' : `pin sha256:${pinOf(shown).toString('hex').slice(0, 16)}…`;
      const expected = `sha256:${Buffer.from(pin).toString('hex').slice(0, 16)}…`;
      reject(
        new PinError(
          `the master at ${server} shows a certificate of another authority (${what}, expected ${expected}): it is of another cluster, or another machine answers in its place; nothing was sent`,
        ),
      );
    });
  });
}

function chainOf(first: X509Certificate | undefined): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let at = first; at !== undefined && chain.length < chainMax; at = at.issuerCertificate) {
    if (chain.some((known) => known.fingerprint256 === at?.fingerprint256)) break;
    chain.push(at);
  }
  return chain;
}
