/** The client's side of TLS: the server must be a master, by its certificate. Its name and its address do not count. */
import type { SecureContext } from 'node:tls';
import { ChannelCredentials } from '@grpc/grpc-js';
import { principalOf } from '#tls/certificate/certificate.js';
import { formatPrincipal, PrincipalError } from '#tls/principal.js';

/**
 * What a client names in the handshake (SNI), the same for all masters: an address is not allowed there (RFC 6066), and no
 * master chooses its certificate by it.
 */
export const serverName = { 'grpc.ssl_target_name_override': 'sublet' } as const;

/** Credentials of a channel to masters. Each connection is made with what the context holds then. */
export function masterCredentials({ context }: { readonly context: SecureContext }): ChannelCredentials {
  return ChannelCredentials.createFromSecureContext(context, { checkServerIdentity: refuseOthers });
}

/** The error that ends a handshake with a server that is no master; undefined: it is one. */
export function refuseOthers(_host: string, certificate: { readonly raw: Uint8Array }): Error | undefined {
  try {
    const principal = principalOf(certificate.raw);
    if (principal.role === 'master') return undefined;
    return new PrincipalError(`the other end has the certificate of ${formatPrincipal(principal)}, not of a master`);
  } catch (error) {
    if (error instanceof PrincipalError) return error;
    throw error;
  }
}
