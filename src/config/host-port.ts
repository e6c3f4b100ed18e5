/** Where something listens or is reached: HOST:PORT, with an IPv6 address in brackets (RFC 3986 §3.2.2). */
import { AddressError } from '#address/brand.js';
import { familyOf, formatIp, parseIp } from '#address/ip.js';

export type HostPort = {
  /** A host name or an address, without brackets. */
  readonly host: string;
  /** 1 … 65535; 0, where it is allowed, lets the system choose. */
  readonly port: number;
};

const allowed = 'HOST:PORT is allowed, like 127.0.0.1:7070, [::1]:7070 or master-1.example:7070';
const name =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$/;

/**
 * Reads HOST:PORT. Addresses come out in their canonical form.
 * @throws AddressError
 */
export function parseHostPort(text: string): HostPort {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(text) ?? [];
  if (digits === undefined) throw new AddressError(text, `${missing(text)}: ${allowed}`);
  const port = Number(digits);
  if (port > 65_535) throw new AddressError(text, `has port ${port}: 1 to 65535 is allowed`);
  if (bracketed !== undefined) {
    const address = readIp(bracketed);
    if (address === undefined || familyOf(address) !== 6) {
      throw new AddressError(text, `has no IPv6 address in its brackets: ${allowed}`);
    }
    return { host: formatIp(address), port };
  }
  const host = bare ?? '';
  if (host === '') {
    throw new AddressError(text, `has no host: ${allowed} (0.0.0.0 is every IPv4 address of this machine)`);
  }
  // Digits and dots alone are an address, or a mistyped one; never a name.
  if (/^[0-9.]+$/.test(host)) {
    const address = readIp(host);
    if (address === undefined) throw new AddressError(text, `has no IPv4 address before its port: ${allowed}`);
    return { host: formatIp(address), port };
  }
  if (!name.test(host)) throw new AddressError(text, `has no host name or address before its port: ${allowed}`);
  return { host, port };
}

/** `127.0.0.1:7070`, `[::1]:7070`. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function missing(text: string): string {
  if (/^zk:\/\//.test(text)) return 'is a ZooKeeper address, and Sublet uses none: name the masters themselves';
  if (/^[a-z]+:\/\//i.test(text)) return 'is a URL: leave out what stands before the host and after the port';
  if (readIp(text) !== undefined || name.test(text)) return 'has no port';
  return 'is not HOST:PORT';
}

function readIp(text: string): ReturnType<typeof parseIp> | undefined {
  try {
    return parseIp(text);
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}
