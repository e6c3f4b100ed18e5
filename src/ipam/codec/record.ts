/**
 * The records that the plan's state is made of: each kind's key and bytes (sublet.store.v1.Record). A key is one byte
 * for the kind and then what names the record within it, so that records of a kind are neighbours on disk. Encoding is
 * canonical: what was read and is written again gives the same bytes, or the state hash would lie.
 */

import { type Cidr, familyOf, type Ip } from '#address/ip.js';
import { ipBytes } from '#address/ip-bytes.js';
import { assertNever } from '#errors/invariant.js';
import type { AgentRecord, DepartedRecord } from '#ipam/agent-record.js';
import type { Branch } from '#ipam/branch.js';
import { agentOf, departedOf, toAgent, toDeparted } from '#ipam/codec/agent-record-codec.js';
import { joinTokenOf, toJoinToken } from '#ipam/codec/join-token-codec.js';
import { revocationOf, toRevocation } from '#ipam/codec/revocation-codec.js';
import {
  cidrOf,
  ipOf,
  optional,
  overlayOf,
  present,
  RecordError,
  reading,
  reservedForIn,
  settingsOf,
  toCidr,
  toOverlay,
  toReservedFor,
  toSettings,
} from '#ipam/codec/wire.js';
import type { Interning } from '#ipam/interning.js';
import type { JoinToken } from '#ipam/join-token.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import type { Revocation } from '#ipam/revocation.js';
import type { Exclusion, Reservation } from '#ipam/space/usage.js';
import type { HistoryEntry } from '#ipam/view/history.js';
import { sublet } from '#proto/sublet.js';

const store = sublet.store.v1;

export type Meta = {
  readonly revision: number;
  readonly adoption: boolean;
  /** The epoch of the leases that the last adoption carried over; 0: there was none. */
  readonly adoptedAt: number;
  /** Epochs are this and the index of the command that granted them. */
  readonly epochBase: number;
  /** The proof that began the adoption; empty when there is none, or an operator's restore began it. */
  readonly adoptionReason: string;
};

/** A block that was held once and is not now; `overlay` undefined: a VTEP address. */
export type Freed = { readonly overlay: string | undefined; readonly address: Ip; readonly until: number };

/** `number` counts entries from 1. */
export type NumberedEntry = { readonly number: number; readonly entry: HistoryEntry };

export type PlanRecord =
  | { readonly kind: 'meta'; readonly value: Meta }
  | { readonly kind: 'settings'; readonly value: NetworkSettings }
  | { readonly kind: 'overlay'; readonly value: Overlay }
  | { readonly kind: 'removed-overlay'; readonly value: string }
  | { readonly kind: 'reservation'; readonly value: Reservation }
  | { readonly kind: 'exclusion'; readonly value: Exclusion }
  | { readonly kind: 'freed'; readonly value: Freed }
  | { readonly kind: 'departed'; readonly value: DepartedRecord }
  | { readonly kind: 'agent'; readonly value: AgentRecord }
  | { readonly kind: 'history'; readonly value: NumberedEntry }
  | { readonly kind: 'branch'; readonly value: Branch }
  | { readonly kind: 'join-token'; readonly value: JoinToken }
  | { readonly kind: 'revocation'; readonly value: Revocation };

/** The first byte of a key; the same number as the record's field in the protobuf. */
const prefixes = {
  meta: 1,
  settings: 2,
  overlay: 3,
  'removed-overlay': 4,
  reservation: 5,
  exclusion: 6,
  freed: 7,
  departed: 8,
  agent: 9,
  history: 10,
  branch: 11,
  'join-token': 12,
  revocation: 13,
} as const satisfies Record<PlanRecord['kind'], number>;

/** Where the plan keeps this record. */
export function recordKey(record: PlanRecord): Uint8Array {
  const prefix = prefixes[record.kind];
  switch (record.kind) {
    case 'meta':
    case 'settings':
      return Uint8Array.of(prefix);
    case 'overlay':
      return textKey(prefix, record.value.name);
    case 'removed-overlay':
      return textKey(prefix, record.value);
    case 'reservation':
    case 'exclusion':
      return blockKey(prefix, record.value.overlay, record.value.subnet);
    case 'freed':
      // The length of a block follows from the overlay, so the address alone names it.
      return blockKey(prefix, record.value.overlay, { address: record.value.address, prefix: 0 });
    case 'departed':
    case 'agent':
      return textKey(prefix, record.value.agentId);
    case 'history':
      return numberKey(prefix, record.value.number);
    case 'branch':
      return numberKey(prefix, record.value.index);
    case 'join-token':
      return textKey(prefix, record.value.id);
    case 'revocation':
      return textKey(prefix, record.value.identity);
    default:
      return assertNever(record);
  }
}

/** Whether the record under this key is of a token, which a restore makes void: it has no place in a backup. */
export function isTokenKey(key: Uint8Array): boolean {
  return key[0] === prefixes['join-token'];
}

function numberKey(prefix: number, number: number): Uint8Array {
  const key = Buffer.allocUnsafe(9);
  key[0] = prefix;
  key.writeBigUInt64BE(BigInt(number), 1);
  return key;
}

/** Names and ids are ASCII. */
function textKey(prefix: number, text: string): Uint8Array {
  // From the pool: what is stored is read as native memory, which an array of its own would have to be given first.
  const key = Buffer.allocUnsafe(1 + text.length);
  key[0] = prefix;
  for (let at = 0; at < text.length; at++) key[at + 1] = text.charCodeAt(at);
  return key;
}

function blockKey(prefix: number, overlay = '', block: { readonly address: Ip; readonly prefix: number }): Uint8Array {
  const address = ipBytes(block.address);
  const key = new Uint8Array(4 + overlay.length + address.length);
  // The overlay ends with a zero byte, which no name has.
  key.set(textKey(prefix, overlay));
  key.set([familyOf(block.address), ...address, block.prefix], overlay.length + 2);
  return key;
}

export function encodeRecord(record: PlanRecord): Uint8Array {
  return store.Record.encode(toStored(record)).finish();
}

function toStored(record: PlanRecord): sublet.store.v1.Record.$Properties {
  switch (record.kind) {
    case 'meta': {
      const { revision, adoption, adoptedAt, epochBase, adoptionReason } = record.value;
      // Absent as in what was written before these were.
      const later = { epochBase: epochBase || null, adoptionReason: adoptionReason || null };
      return { meta: { revision, adoption, adoptedAt, ...later } };
    }
    case 'settings':
      return { settings: toSettings(record.value) };
    case 'overlay':
      return { overlay: toOverlay(record.value) };
    case 'removed-overlay':
      return { removedOverlay: { name: record.value } };
    case 'reservation': {
      const { overlay = null, subnet } = record.value;
      return { reservation: { overlay, subnet: toCidr(subnet), ...toReservedFor(record.value) } };
    }
    case 'exclusion': {
      const { overlay = null, subnet } = record.value;
      return { exclusion: { overlay, subnet: toCidr(subnet) } };
    }
    case 'freed': {
      const { overlay = null, address, until } = record.value;
      return { freed: { overlay, address: ipBytes(address), quarantinedUntilMs: until } };
    }
    case 'departed':
      return { departed: toDeparted(record.value) };
    case 'agent':
      return { agent: toAgent(record.value) };
    case 'history': {
      const { number, entry } = record.value;
      const { revision, wallTime: wallTimeMs, what, who, subjects, detail } = entry;
      return { historyEntry: { number, revision, wallTimeMs, what, who, subjects: [...subjects], detail } };
    }
    case 'branch':
      return { branch: record.value };
    case 'join-token':
      return { joinToken: toJoinToken(record.value) };
    case 'revocation':
      return { revocation: toRevocation(record.value) };
    default:
      return assertNever(record);
  }
}

/** @throws RecordError for what is no record, or lies under another record's key. */
export function decodeRecord(key: Uint8Array, value: Uint8Array, interning: Interning): PlanRecord {
  const record = reading(
    'a record of the address plan',
    () => store.Record.decode(value),
    (stored) => recordOf(stored, interning),
  );
  const expected = recordKey(record);
  if (!equalBytes(key, expected)) {
    throw new RecordError(`a record of kind ${record.kind} lies under the key of another`);
  }
  return record;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

function recordOf(stored: sublet.store.v1.Record, interning: Interning): PlanRecord {
  const kind = stored.kind;
  switch (kind) {
    case 'agent':
      return { kind: 'agent', value: agentOf(present(stored.agent, kind), interning) };
    case 'freed':
      return { kind: 'freed', value: freedOf(present(stored.freed, kind), interning) };
    case 'departed':
      return { kind: 'departed', value: departedOf(present(stored.departed, kind), interning) };
    case 'historyEntry':
      return { kind: 'history', value: entryOf(present(stored.historyEntry, kind)) };
    case 'meta':
      return { kind, value: metaOf(present(stored.meta, kind)) };
    case 'branch': {
      const { index, epochBase, value } = present(stored.branch, kind);
      return { kind, value: { index: index ?? 0, epochBase: epochBase ?? 0, value: value ?? '' } };
    }
    case 'joinToken':
      return { kind: 'join-token', value: joinTokenOf(present(stored.joinToken, kind)) };
    case 'revocation':
      return { kind, value: revocationOf(present(stored.revocation, kind)) };
    case 'settings':
      return { kind, value: settingsOf(stored.settings) };
    case 'overlay':
      return { kind, value: overlayOf(stored.overlay) };
    case 'removedOverlay':
      return { kind: 'removed-overlay', value: present(stored.removedOverlay, kind).name ?? '' };
    case 'reservation': {
      const reservation = present(stored.reservation, kind);
      const { overlay, subnet } = reservation;
      return { kind, value: { ...setAside(overlay, cidrOf(subnet)), ...reservedForIn(reservation) } };
    }
    case 'exclusion': {
      const { overlay, subnet } = present(stored.exclusion, kind);
      return { kind, value: setAside(overlay, cidrOf(subnet)) };
    }
    case undefined:
      throw new RecordError('a record is of a kind that this version does not know');
    default:
      return assertNever(kind);
  }
}

function metaOf(stored: sublet.store.v1.Meta.$Properties): Meta {
  return {
    revision: stored.revision ?? 0,
    adoption: stored.adoption ?? false,
    adoptedAt: stored.adoptedAt ?? 0,
    epochBase: stored.epochBase ?? 0,
    adoptionReason: stored.adoptionReason ?? '',
  };
}

function setAside(overlay: string | null | undefined, subnet: Cidr): Exclusion {
  return { overlay: optional(overlay), subnet };
}

function freedOf(stored: sublet.store.v1.Freed.$Properties, interning: Interning): Freed {
  const overlay = optional(stored.overlay);
  return {
    overlay: overlay === undefined ? undefined : interning.text(overlay),
    address: ipOf(stored.address),
    until: stored.quarantinedUntilMs ?? 0,
  };
}

function entryOf(stored: sublet.store.v1.HistoryEntry.$Properties): NumberedEntry {
  return {
    number: stored.number ?? 0,
    entry: {
      revision: stored.revision ?? 0,
      wallTime: stored.wallTimeMs ?? 0,
      what: stored.what ?? '',
      who: stored.who ?? '',
      subjects: stored.subjects ?? [],
      detail: stored.detail ?? '',
    },
  };
}
