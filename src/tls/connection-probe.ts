/**
 * Finds out why no connection to a master comes about, where TLS is the cause: what gRPC says of that names neither the
 * certificate nor the other end's protocol. It opens a connection of its own, and sends nothing beyond the handshake.
 */
import { connect, type TLSSocket } from 'node:tls';
import { fingerprintOf } from '#tls/certificate/certificate.js';
import { faultOf } from '#tls/certificate/certificate-fault.js';
import { type TlsMaterial, timeText } from '#tls/certificate/tls-files.js';
import { refuseOthers } from '#tls/client-credentials.js';
import { peerCertificate } from '#tls/peer-certificate.js';
import { formatPrincipal } from '#tls/principal.js';
import { plainTextCodes } from '#tls/tls-gate.js';

/** For all of it, ms. */
const probeMs = 2_000;
const addressPattern = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/;

/**
 * Why a process with this certificate (undefined: without TLS) can't talk to the master at HOST:PORT; undefined: TLS is
 * not the cause, as far as this shows.
 */
export function explainConnection(
  master: string,
  material: TlsMaterial | undefined,
  nowMs = Date.now(),
): Promise<string | undefined> {
  const [, bracketed, name, port] = addressPattern.exec(master) ?? [];
  const host = bracketed ?? name;
  if (host === undefined) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: Number(port),
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
      ...(material && { secureContext: material.context }),
    });
    let isOpen = false;
    const done = (why?: string): void => {
      clearTimeout(timer);
      resolve(why);
      socket.destroy();
    };
    const timer = setTimeout(done, probeMs);
    socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => {
      if (isOpen) done(material && refusedText(master, material));
      else done(material !== undefined && plainTextCodes.has(code) ? clearText(master) : undefined);
    });
    socket.on('close', () => done(isOpen && material !== undefined ? refusedText(master, material) : undefined));
    socket.on('secureConnect', () => {
      isOpen = true;
      const why = material === undefined ? secureText(master) : shownText(master, socket, material, nowMs);
      if (why !== undefined) done(why);
    });
    // The master's first frame: it accepts the certificate.
    socket.on('data', () => done());
  });
}

function clearText(master: string): string {
  return `the master at ${master} does not speak TLS, and this process does: set tls there too, or name the port of the API of a master that has it; nothing was sent in clear`;
}

function secureText(master: string): string {
  return `the master at ${master} speaks TLS, and this process does not: give it a certificate (--tls DIR, SUBLET_TLS, or tls in its configuration; a new host joins with --join TOKEN)`;
}

/** Of the certificate that the master shows; undefined: nothing is wrong with it. */
function shownText(master: string, socket: TLSSocket, material: TlsMaterial, nowMs: number): string | undefined {
  const certificate = peerCertificate(socket);
  if (certificate === undefined) return undefined;
  const fault = faultOf(certificate, material.authorities, nowMs);
  if (fault !== undefined) {
    return `the certificate of the master at ${master} is refused: ${fault}; nothing was sent to it`;
  }
  const other = refuseOthers('', certificate);
  return other && `what answers at ${master} is refused: ${other.message}; nothing was sent to it`;
}

/** The master has ended the connection after the handshake, before its first frame. */
function refusedText(master: string, { principal, authorities }: TlsMaterial): string {
  const dates = `valid from ${timeText(principal.beginsMs)} to ${timeText(principal.endsMs)}`;
  const trusted = `this process trusts ${authorities.map(fingerprintOf).join(' and ')}`;
  return `the master at ${master} refuses the certificate of ${formatPrincipal(principal)}, ${dates} (${trusted}): its authority, its role, its dates by the master's clock, too many connections, or the port is the one of masters among themselves (7071 by default); the log of the master says which`;
}
