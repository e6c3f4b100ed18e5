/**
 * Which addresses a process may listen on. A port without TLS stays on loopback, since every caller may do everything
 * there; `insecure` allows other addresses.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { isLoopback } from '#address/host-address.js';
import { formatHostPort, type HostPort } from '#config/host-port.js';
import type { ConfigDocument, Finding } from '#config/schema/document.js';
import { duration, matching, path, yesNo } from '#config/schema/reading.js';
import { section } from '#config/schema/section.js';
import { badNode } from '#runtime/node-releases.js';

/** Host names under which HTTP may be asked. */
export const httpHosts = z
  .array(
    matching({
      pattern: /^(?=.{1,253}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/,
      allowed: 'a host name like master-1.example',
    }),
  )
  .max(64);

/** A folder with three files, or each of them. */
const tlsParts = {
  dir: path.optional(),
  ca: path.optional(),
  cert: path.optional(),
  key: path.optional(),
  renew: yesNo.optional(),
};
export const tls = section(tlsParts);

/** And what a master that signs needs. */
export const masterTls = section({
  ...tlsParts,
  ca_key: path.optional(),
  certificate_lifetime: duration('1h', '366d').optional(),
});

/** Paths of PEM files. */
export type TlsConfig = { readonly ca: string; readonly cert: string; readonly key: string };

/** The files of `tls` as it is given: those of a folder bear the names that `sublet ca issue` writes. */
export function tlsConfig(
  given: { readonly dir?: string | undefined } & { readonly [Part in keyof TlsConfig]?: string | undefined },
): TlsConfig {
  const { dir = '', ca, cert, key } = given;
  return {
    ca: ca ?? join(dir, 'ca.pem'),
    cert: cert ?? join(dir, 'cert.pem'),
    key: key ?? join(dir, 'key.pem'),
  };
}

/** TLS and `insecure` exclude each other; a folder stands for three files, which else go together. */
export function tlsFindings(document: ConfigDocument): readonly Finding[] {
  const given = document.at('tls');
  if (given === undefined) return [];
  const findings: Finding[] = [];
  if (document.at('insecure') === true) {
    findings.push({ path: ['insecure'], message: 'can not be set beside tls: remove one of the two' });
  }
  if (typeof given !== 'object') return findings;
  const hasFolder = document.at('tls', 'dir') !== undefined;
  for (const part of ['ca', 'cert', 'key']) {
    const isGiven = document.at('tls', part) !== undefined;
    if (isGiven && hasFolder) {
      findings.push({
        path: ['tls', part],
        message: 'can not be set beside tls.dir, which has it: remove one of the two',
      });
    }
    if (!isGiven && !hasFolder) {
      findings.push({ path: ['tls', part], message: 'is missing: a path of 1 to 4096 characters is allowed' });
    }
  }
  return findings;
}

/** Whether HTTP has TLS: as `http_tls` says; else where other machines reach it, beside `tls`. */
export function httpTls(document: ConfigDocument, at: HostPort): boolean {
  const given = document.at('http_tls');
  return typeof given === 'boolean' ? given : document.at('tls') !== undefined && !isLoopback(at.host);
}

export function httpTlsFindings(document: ConfigDocument): readonly Finding[] {
  if (document.at('http_tls') !== true || document.at('tls') !== undefined) return [];
  return [{ path: ['http_tls'], message: 'goes with tls: it is the certificate of tls that HTTP shows' }];
}

/** Ports that show nothing of the plan and change nothing, and those that are never without TLS. */
const harmless: readonly string[] = ['health_listen', 'https_listen'];

/** What is wrong with these addresses to listen on: beyond loopback, or two of them the same. `secured`: keys that have TLS where it is on. `bad`: why the Node.js must not serve. */
export function listeningFindings(
  document: ConfigDocument,
  listening: Readonly<Record<string, HostPort | undefined>>,
  secured: readonly string[],
  bad: string | undefined = badNode(),
): readonly Finding[] {
  const findings: Finding[] = [];
  const taken = new Map<string, string>();
  for (const [key, at] of Object.entries(listening)) {
    if (at === undefined) continue;
    const text = formatHostPort(at);
    const isSecured = document.at('tls') !== undefined && secured.includes(key);
    if (!isLoopback(at.host) && !isSecured && !harmless.includes(key) && document.at('insecure') !== true) {
      const way = secured.includes(key)
        ? 'set tls, or insecure (--insecure) in a laboratory'
        : 'set insecure (--insecure) in a laboratory';
      const message = `"${text}" is reachable from other machines, and has no TLS: a loopback address like 127.0.0.1:${at.port} is allowed, or ${way}`;
      findings.push({ path: [key], message });
    } else if (!isLoopback(at.host) && bad !== undefined) {
      const message = `"${text}" is reachable from other machines, and ${bad}. On this one a loopback address like 127.0.0.1:${at.port} is allowed, with insecure or without`;
      findings.push({ path: [key], message });
    }
    const other = taken.get(text);
    if (other !== undefined && at.port !== 0) {
      findings.push({ path: [key], message: `"${text}" is what ${other} listens on: each needs a port of its own` });
    }
    taken.set(text, key);
  }
  return findings;
}
