/** Where other machines reach a master without TLS, which `insecure` alone allows. */

import { isLoopback } from '#address/host-address.js';
import { hostOf } from '#address/host-and-port.js';
import type { Warning } from '#master/warning.js';

export type Listening = {
  /** HOST:PORT each. */
  readonly listen: string;
  readonly peerListen: string;
  readonly httpListen: string;
  /** Undefined: without TLS. */
  readonly tls?: object | undefined;
  /** Whether HTTP has TLS, too. */
  readonly httpTls?: boolean | undefined;
};

export type OpenAddress = { readonly option: string; readonly address: string };

export function openAddresses({ listen, peerListen, httpListen, tls, httpTls }: Listening): readonly OpenAddress[] {
  const secured = tls === undefined ? { listen, peerListen } : {};
  const plain = { ...secured, ...(tls !== undefined && httpTls === true ? {} : { httpListen }) };
  return Object.entries(plain).flatMap(([option, address]) =>
    isLoopback(hostOf(address)) ? [] : [{ option, address }],
  );
}

export function openWarnings(open: readonly OpenAddress[]): readonly Warning[] {
  if (open.length === 0) return [];
  const addresses = open.map(({ address }) => address).join(', ');
  return [
    {
      message: `other machines reach ${addresses} without TLS (insecure): every caller may read and change everything there`,
      remedy: 'for a laboratory alone: else set tls in place of insecure (docs/security.md)',
    },
  ];
}
