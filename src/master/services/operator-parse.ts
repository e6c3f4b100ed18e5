/** Fields that operators' requests share, parsed. */

import { type Cidr4, parseCidr4 } from '#address/cidr4.js';
import { type Cidr6, parseCidr6 } from '#address/cidr6.js';
import { hostOf } from '#address/host-and-port.js';
import { type Cidr, parseCidr, parseIp } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import { type TimestampMessage, timestampMs } from '#api/timestamp.js';
import type { CommandOrigin } from '#ipam/commands/command.js';
import { parseAgentId } from '#ipam/identity.js';
import { releasedAtOnceMax } from '#ipam/limits.js';
import type { Overlay, Space4, Space6 } from '#ipam/network.js';
import { parseNodeIp } from '#ipam/registration-fields.js';
import type { ReservedFor } from '#ipam/space/usage.js';
import { historyWords } from '#ipam/view/history.js';
import { parseField, safeInteger } from '#master/server/refusal-mapping.js';
import type { sublet } from '#proto/sublet.js';
import type { Caller } from '#tls/caller.js';
import { formatPrincipal } from '#tls/principal.js';

/** By certificate and address; without TLS an operator is known by the address that calls. */
export function origin({ principal, address }: Caller, expectedRevision: number, wallTime: number): CommandOrigin {
  const expected = safeInteger('expected_revision', expectedRevision);
  const who = principal === undefined ? 'operator' : formatPrincipal(principal);
  const by = `${who}@${hostOf(address)}`;
  return { wallTime, by, expectedRevision: expected === 0 ? undefined : expected };
}

export function parseOptional4(field: string, text: string | null | undefined): Cidr4 | undefined {
  return text ? parseField(field, text, parseCidr4) : undefined;
}

export function parseOptional6(field: string, text: string | null | undefined): Cidr6 | undefined {
  return text ? parseField(field, text, parseCidr6) : undefined;
}

export function parseOptionalMs(field: string, value: number | null | undefined): number | undefined {
  return value == null ? undefined : safeInteger(field, value);
}

/** A block or range; `overlay` empty: of the VTEP subnet. */
export function parseRange(request: { readonly overlay: string; readonly subnet: string }): {
  readonly overlay: string | undefined;
  readonly subnet: Cidr;
} {
  return {
    overlay: request.overlay === '' ? undefined : request.overlay,
    subnet: parseField('subnet', request.subnet, parseCidr),
  };
}

/** What a reservation is for; undefined: the range is to be excluded. @throws RefusedError where both are named */
export function parseReservedFor(request: {
  readonly agentId: string;
  readonly nodeIp: string;
}): ReservedFor | undefined {
  const { agentId, nodeIp } = request;
  if (agentId !== '' && nodeIp !== '') {
    const message = `node_ip "${nodeIp}" beside agent_id "${agentId}": a block is reserved for one of them`;
    throw new RefusedError('invalid-argument', message);
  }
  if (agentId !== '') return { agentId: parseField('agent_id', agentId, parseAgentId) };
  return nodeIp === '' ? undefined : { nodeIp: parseField('node_ip', nodeIp, (text) => parseNodeIp(parseIp(text))) };
}

/** What makes an overlay sound is for the plan to say; here it is only read. */
export function parseOverlay(overlay: sublet.v1.Overlay.$Properties | null | undefined): Overlay {
  if (overlay == null) throw new RefusedError('invalid-argument', 'overlay is missing');
  return {
    name: overlay.name ?? '',
    v4: parseSpace4(overlay),
    v6: parseSpace6(overlay),
    enabled: overlay.enabled ?? false,
  };
}

/** What a history is asked for; undefined: for everything. */
export function parseHistoryWords(words: readonly string[]): ReadonlySet<string> | undefined {
  const unknown = words.find((word) => !historyWords.some((each) => each === word));
  if (unknown !== undefined) {
    throw new RefusedError('invalid-argument', `what: "${unknown}": one of ${historyWords.join(', ')} is allowed`);
  }
  return words.length === 0 ? undefined : new Set(words);
}

export function parseAgentIds(ids: readonly string[]): readonly ReturnType<typeof parseAgentId>[] {
  if (ids.length === 0) throw new RefusedError('invalid-argument', 'agent_ids is empty: name at least one');
  if (ids.length > releasedAtOnceMax) {
    throw new RefusedError(
      'invalid-argument',
      `agent_ids has ${ids.length} entries: ${releasedAtOnceMax} at most are allowed`,
    );
  }
  return ids.map((id) => parseField('agent_ids', id, parseAgentId));
}

/** `value`, or `fallback` for 0. @throws RefusedError above `max` */
export function pageSize(field: string, value: number, fallback: number, max: number): number {
  if (value > max) throw new RefusedError('invalid-argument', `${field} is ${value}: ${max} at most is allowed`);
  return value === 0 ? fallback : value;
}

function parseSpace4({ subnet, prefix }: sublet.v1.Overlay.$Properties): Space4 | undefined {
  const parsed = parseOptional4('overlay.subnet', subnet);
  if (parsed !== undefined) return { subnet: parsed, prefix: prefix ?? 0 };
  if (prefix) throw new RefusedError('invalid-argument', `overlay.prefix is ${prefix}, but overlay.subnet is empty`);
  return undefined;
}

function parseSpace6({ subnet6, prefix6 }: sublet.v1.Overlay.$Properties): Space6 | undefined {
  const parsed = parseOptional6('overlay.subnet6', subnet6);
  if (parsed !== undefined) return { subnet: parsed, prefix: prefix6 ?? 0 };
  if (prefix6) {
    throw new RefusedError('invalid-argument', `overlay.prefix6 is ${prefix6}, but overlay.subnet6 is empty`);
  }
  return undefined;
}

/** A time of day of a request in ms since 1970; undefined: none is given. @throws RefusedError */
export function parseTime(field: string, time: TimestampMessage | null | undefined): number | undefined {
  if (time === null || time === undefined) return undefined;
  const ms = timestampMs(time);
  if (Number.isSafeInteger(ms) && ms >= 0) return ms;
  throw new RefusedError('invalid-argument', `${field}: a time from 1970 on is allowed`);
}
