/**
 * The few messages of etcd that the benchmarks use (etcd's rpc.proto and kv.proto). What a benchmark only counts stays bytes or is
 * not named at all, so that its clients cost little.
 */
import protobuf from 'protobufjs';

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Header { int64 revision = 3; }
  message Put { bytes key = 1; bytes value = 2; int64 lease = 3; }
  message Range { bytes key = 1; bytes range_end = 2; }
  message KeyValue { bytes key = 1; }
  message RangeAnswer { Header header = 1; repeated KeyValue kvs = 2; }
  message RangeCount { Header header = 1; int64 count = 4; }
  message LeaseGrant { int64 ttl = 1; int64 id = 2; }
  message Compare { int32 result = 1; int32 target = 2; bytes key = 3; oneof value { int64 version = 4; } }
  message Operation { oneof request { Put put = 2; } }
  message Transaction { repeated Compare compare = 1; repeated Operation success = 2; }
  message TransactionAnswer { bool succeeded = 2; }
  message WatchCreate { bytes key = 1; bytes range_end = 2; int64 start_revision = 3; }
  message Watch { oneof request { WatchCreate create = 1; } }
  message WatchAnswer { repeated bytes events = 11; }
  message KeepAlive { int64 id = 1; }
`);

export const etcdPaths = {
  put: '/etcdserverpb.KV/Put',
  range: '/etcdserverpb.KV/Range',
  transaction: '/etcdserverpb.KV/Txn',
  leaseGrant: '/etcdserverpb.Lease/LeaseGrant',
  keepAlive: '/etcdserverpb.Lease/LeaseKeepAlive',
  watch: '/etcdserverpb.Watch/Watch',
} as const;

type Put = { readonly key: Uint8Array; readonly value: Uint8Array; readonly lease?: number };

export const encodePut = encoder<Put>('Put');
export const encodeRange = encoder<{ readonly key: Uint8Array; readonly rangeEnd: Uint8Array }>('Range');
export const encodeLeaseGrant = encoder<{ readonly ttl: number; readonly id: number }>('LeaseGrant');
export const encodeKeepAlive = encoder<{ readonly id: number }>('KeepAlive');
const encodeTransaction = encoder<object>('Transaction');
const encodeWatch = encoder<object>('Watch');

/** A transaction that makes a key, if there is none. */
export function encodeCreate(put: Put): Buffer {
  // Equal, version, 0.
  const compare = [{ result: 0, target: 0, key: put.key, version: 0 }];
  return encodeTransaction({ compare, success: [{ put }] });
}

/** A watch of all keys from `key` to `rangeEnd`, from a revision on. */
export function encodeWatchCreate(create: {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  readonly startRevision: number;
}): Buffer {
  return encodeWatch({ create });
}

export function decodeRange(bytes: Uint8Array): { readonly kvs: readonly { readonly key: Buffer }[] } {
  const { kvs } = fieldsOf('RangeAnswer', bytes);
  return { kvs };
}

/** Of a RangeResponse: how many keys there are, without them. */
export function decodeRangeCount(bytes: Uint8Array): { readonly revision: number; readonly count: number } {
  const { header, count } = fieldsOf('RangeCount', bytes);
  return { revision: header.revision, count };
}

export function decodeTransaction(bytes: Uint8Array): { readonly succeeded: boolean } {
  const { succeeded } = fieldsOf('TransactionAnswer', bytes);
  return { succeeded };
}

/** Of a WatchResponse: its events, encoded. */
export function decodeWatch(bytes: Uint8Array): { readonly events: readonly Buffer[] } {
  const { events } = fieldsOf('WatchAnswer', bytes);
  return { events };
}

function encoder<Message extends object>(name: string): (message: Message) => Buffer {
  const type = root.lookupType(name);
  return (message) => Buffer.from(type.encode(message).finish());
}

function fieldsOf(name: string, bytes: Uint8Array): ReturnType<protobuf.Type['toObject']> {
  const type = root.lookupType(name);
  return type.toObject(type.decode(bytes), { defaults: true, arrays: true, longs: Number });
}
