/**
 * A change of the cluster's membership as it travels in a log entry, and its binary form. The form has the
 * wire layout of the Protocol Buffers messages that the field's reference implementation uses, so sizes agree
 * with it. What a change does to a configuration is the job of `tracker.ts`.
 */

import { RaftError } from '#raft/errors.js';
import { type Entry, type EntryType, type MemberId, memberId } from '#raft/log/entry.js';

/** `add-voter` also promotes a learner, `add-learner` also demotes a voter; `update` changes nothing but `context`. */
export type ConfChangeOperation = {
  readonly kind: 'add-voter' | 'remove' | 'update' | 'add-learner';
  readonly member: MemberId;
};

/**
 * How to pass from the old to the new configuration. `auto`: in one step for one operation, else joint and left
 * automatically. `implicit`: joint, left automatically. `explicit`: joint until an `auto` change without operations.
 */
export type ConfChangeTransition = 'auto' | 'implicit' | 'explicit';

/** No operations with `auto` means: leave the joint configuration. */
export type ConfChange = {
  readonly transition: ConfChangeTransition;
  readonly operations: readonly ConfChangeOperation[];
  /** Opaque to the core: what the driver wants to know when the change is applied. May be empty. */
  readonly context: Uint8Array;
};

const kinds = ['add-voter', 'remove', 'update', 'add-learner'] as const;
const transitions = ['auto', 'implicit', 'explicit'] as const;
/** Operations in one change: far above any real cluster, it bounds what a decoder builds. */
const operationsMax = 1_024;

export const noContext = new Uint8Array(0);
/** Leaves a joint configuration. */
export const leaveJointChange: ConfChange = { transition: 'auto', operations: [], context: noContext };

/** True for the two entry types that carry a `ConfChange`. */
export function isConfChange(type: EntryType): boolean {
  return type !== 'normal';
}

/**
 * Encodes a change as the data of an entry of `type`. Deterministic. Throws `malformed-conf-change` if it does
 * not fit: `conf-change` holds exactly one operation and `auto`.
 */
export function encodeConfChange(change: ConfChange, type: 'conf-change' | 'conf-change-v2'): Uint8Array {
  if (change.operations.length > operationsMax) {
    throw malformed(`it has ${change.operations.length} operations, ${operationsMax} at most`);
  }
  const out: number[] = [];
  if (type === 'conf-change') {
    const [operation] = change.operations;
    if (operation === undefined || change.operations.length !== 1 || change.transition !== 'auto') {
      throw malformed('the single-operation form holds exactly one operation and the transition auto');
    }
    out.push(field(1, varintWire), 0, field(2, varintWire), kinds.indexOf(operation.kind), field(3, varintWire));
    pushVarint(out, operation.member);
    pushBytes(out, 4, change.context);
  } else {
    out.push(field(1, varintWire), transitions.indexOf(change.transition));
    for (const operation of change.operations) {
      const single: number[] = [field(1, varintWire), kinds.indexOf(operation.kind), field(2, varintWire)];
      pushVarint(single, operation.member);
      out.push(field(2, bytesWire), single.length, ...single);
    }
    pushBytes(out, 3, change.context);
  }
  return Uint8Array.from(out);
}

/** Reads the change an entry carries. Throws `malformed-conf-change` on a normal entry and on foreign bytes. */
export function decodeConfChange(entry: Pick<Entry, 'type' | 'data'>): ConfChange {
  switch (entry.type) {
    case 'conf-change':
      return decodeSingle(entry.data);
    case 'conf-change-v2':
      return decodeGeneral(entry.data);
    case 'normal':
      throw malformed('a normal entry carries none');
  }
}

function decodeSingle(data: Uint8Array): ConfChange {
  const cursor: Cursor = { data, at: 0 };
  expectField(cursor, 1, varintWire);
  readVarint(cursor); // The id of the change in the reference's form; always 0 here.
  expectField(cursor, 2, varintWire);
  const kind = pick(kinds, readVarint(cursor), 'operation');
  expectField(cursor, 3, varintWire);
  const member = memberId(readVarint(cursor));
  const context = readTrailingBytes(cursor, 4);
  return { transition: 'auto', operations: [{ kind, member }], context };
}

function decodeGeneral(data: Uint8Array): ConfChange {
  if (data.length === 0) {
    return leaveJointChange;
  }
  const cursor: Cursor = { data, at: 0 };
  expectField(cursor, 1, varintWire);
  const transition = pick(transitions, readVarint(cursor), 'transition');
  const operations: ConfChangeOperation[] = [];
  while (data[cursor.at] === field(2, bytesWire)) {
    if (operations.length === operationsMax) {
      throw malformed(`it has more than ${operationsMax} operations`);
    }
    cursor.at += 1;
    const end = readVarint(cursor) + cursor.at;
    expectField(cursor, 1, varintWire);
    const kind = pick(kinds, readVarint(cursor), 'operation');
    expectField(cursor, 2, varintWire);
    operations.push({ kind, member: memberId(readVarint(cursor)) });
    if (cursor.at !== end) {
      throw malformed(`the operation that should end at byte ${end} ends at ${cursor.at}`);
    }
  }
  return { transition, operations, context: readTrailingBytes(cursor, 3) };
}

const varintWire = 0;
const bytesWire = 2;
type Cursor = { readonly data: Uint8Array; at: number };

function field(number: number, wire: number): number {
  return (number << 3) | wire;
}

function pushVarint(out: number[], value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) + 0x80);
    rest = Math.floor(rest / 0x80);
  }
  out.push(rest);
}

function pushBytes(out: number[], number: number, bytes: Uint8Array): void {
  if (bytes.length > 0) {
    out.push(field(number, bytesWire));
    pushVarint(out, bytes.length);
    for (const byte of bytes) {
      out.push(byte);
    }
  }
}

function expectField(cursor: Cursor, number: number, wire: number): void {
  if (cursor.data[cursor.at] !== field(number, wire)) {
    throw malformed(`byte ${cursor.at} is ${cursor.data[cursor.at] ?? 'missing'}, not the start of field ${number}`);
  }
  cursor.at += 1;
}

function readVarint(cursor: Cursor): number {
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = cursor.data[cursor.at];
    if (byte === undefined) {
      throw malformed('it ends inside a number');
    }
    cursor.at += 1;
    value += (byte % 0x80) * scale;
    scale *= 0x80;
    if (value > Number.MAX_SAFE_INTEGER) {
      throw malformed(`a number in it is above ${Number.MAX_SAFE_INTEGER}`);
    }
    if (byte < 0x80) {
      return value;
    }
    if (scale > Number.MAX_SAFE_INTEGER) {
      throw malformed('a number in it is too long');
    }
  }
}

function readTrailingBytes(cursor: Cursor, number: number): Uint8Array {
  if (cursor.at === cursor.data.length) {
    return noContext;
  }
  expectField(cursor, number, bytesWire);
  const length = readVarint(cursor);
  if (cursor.at + length !== cursor.data.length) {
    throw malformed(`its context of ${length} bytes does not end with it`);
  }
  return cursor.data.subarray(cursor.at);
}

function pick<Value>(values: readonly Value[], at: number, what: string): Value {
  const value = values[at];
  if (value === undefined) {
    throw malformed(`${at} is no ${what}`);
  }
  return value;
}

function malformed(reason: string): RaftError {
  return new RaftError('malformed-conf-change', `this is not a configuration change: ${reason}`);
}
