/**
 * Who may connect. Without TLS a process listens on loopback only, since whoever reaches it may do everything;
 * anything else has to be asked for by name, `insecure`.
 */
import { z } from 'zod';
import type { ConfigDocument, Finding } from '#config/document.js';
import { formatHostPort, type HostPort, isLoopback } from '#config/host-port.js';
import { matching, refused } from '#config/reading.js';
import { badNode } from '#runtime/node-releases.js';

/** Host names under which HTTP may be asked. */
export const httpHosts = z
  .array(matching(/^(?=.{1,253}$)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/, 'a host name like master-1.example'))
  .max(64);

export const tls = refused('TLS is not there yet', 'leave tls out, and listen on loopback or set insecure');

/** What is wrong with these addresses to listen on: beyond loopback, or two of them the same. `bad`: why the Node.js must not serve. */
export function listeningFindings(
  document: ConfigDocument,
  listening: Readonly<Record<string, HostPort | undefined>>,
  bad: string | undefined = badNode(),
): readonly Finding[] {
  const findings: Finding[] = [];
  const taken = new Map<string, string>();
  for (const [key, at] of Object.entries(listening)) {
    if (at === undefined) continue;
    const text = formatHostPort(at);
    if (!isLoopback(at) && document.at('insecure') !== true) {
      const message = `"${text}" is reachable from other machines, and there is no TLS: a loopback address like 127.0.0.1:${at.port} is allowed, or set insecure (--insecure)`;
      findings.push({ path: [key], message });
    } else if (!isLoopback(at) && bad !== undefined) {
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
