/**
 * The certificate that the other end of a connection has shown, read so that it is freed with the connection.
 *
 * `getPeerX509Certificate` of Node.js 24 takes the rest of the chain out of the connection of a server, and never frees it:
 * 4.5 kB for each certificate of the chain, which the other end may make as long as 100 kB. A server of Node.js calls it by
 * itself at the end of each handshake with a verified certificate, where it is only asked whether there is one.
 */
import { X509Certificate } from 'node:crypto';
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** Without its issuers. Undefined: none was shown, or none that can be read. */
export function peerCertificate(socket: TLSSocket): X509Certificate | undefined {
  try {
    // An empty object when none was shown, null when the connection has ended.
    const shown: Partial<ReturnType<TLSSocket['getPeerCertificate']>> | null = socket.getPeerCertificate();
    return shown?.raw === undefined ? undefined : new X509Certificate(shown.raw);
  } catch {
    return undefined;
  }
}

type Handle = {
  getPeerX509Certificate(): unknown;
  /** The certificate alone when `abbreviated`, else with its issuers. */
  getPeerCertificate(abbreviated: boolean): unknown;
};

let kept = false;

/**
 * From here on the servers of this process leave the chains of their callers whole at the end of a handshake. A direct call of
 * a socket's `getPeerX509Certificate` answers as before.
 */
export function keepPeerChains(): void {
  if (kept) return;
  kept = true;
  // Node.js does not export the class of the handles.
  const handles = handlesOf(new TLSSocket(new Socket(), { isServer: true }));
  if (handles === undefined) return;
  const { getPeerX509Certificate: ofHandle } = handles;
  const { getPeerX509Certificate: ofSocket } = TLSSocket.prototype;
  let asked = false;
  handles.getPeerX509Certificate = function (this: Handle): unknown {
    return asked ? ofHandle.call(this) : this.getPeerCertificate(true);
  };
  TLSSocket.prototype.getPeerX509Certificate = function (this: TLSSocket): X509Certificate | undefined {
    asked = true;
    try {
      return ofSocket.call(this);
    } finally {
      asked = false;
    }
  };
}

/** Undefined: this Node.js has other handles. */
function handlesOf(socket: TLSSocket): Handle | undefined {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined;
  socket.destroy();
  const handles: unknown = typeof handle === 'object' && handle !== null ? Object.getPrototypeOf(handle) : undefined;
  return isHandle(handles) ? handles : undefined;
}

function isHandle(handles: unknown): handles is Handle {
  return (
    typeof handles === 'object' &&
    handles !== null &&
    'getPeerX509Certificate' in handles &&
    'getPeerCertificate' in handles
  );
}
