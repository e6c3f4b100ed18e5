/** An agent of `boot` that keeps its subnet in an etcd, with as few calls as that takes. */
import { Client, credentials } from '@grpc/grpc-js';
import { Reader, Writer } from 'protobufjs/minimal.js';
import type { BootAgent, Progress } from '#cluster-test/bench/boot-client.js';
import { channelOptions, registration } from '#cluster-test/bench/plan.js';
import { same, unary } from '#cluster-test/bench/unary.js';

/**
 * The kindest way to use etcd for the same: a lease, one transaction on a block that is known to be free, one read of all
 * blocks, a watch of what comes after it, and a keep-alive. The values are flannel's.
 */
export class EtcdAgent implements BootAgent {
  readonly #client: Client;
  readonly #number: number;
  #leaseId = 0;

  constructor(address: string, number: number) {
    this.#client = new Client(address, credentials.createInsecure(), {
      ...channelOptions,
      'grpc.max_receive_message_length': -1,
    });
    this.#number = number;
  }

  async lease(): Promise<number> {
    this.#leaseId = await leaseFreeBlock(this.#client, this.#number);
    return 0;
  }

  async follow(advanced: (progress: Progress) => void): Promise<void> {
    const range = message([1, blocksPrefix], [2, blocksEnd]);
    const all = await unary(this.#client, '/etcdserverpb.KV/Range', range);
    const { revision, keys } = rangeOf(all);
    let known = keys;
    advanced({ position: known, bytes: all.length });
    const watch = this.#client.makeBidiStreamRequest('/etcdserverpb.Watch/Watch', same, same);
    watch.on('error', ended);
    watch.on('data', (bytes: Buffer) => {
      known += eventsIn(bytes);
      advanced({ position: known, bytes: bytes.length });
    });
    watch.write(message([1, message([1, blocksPrefix], [2, blocksEnd], [3, revision + 1])]));
    const alive = this.#client.makeBidiStreamRequest('/etcdserverpb.Lease/LeaseKeepAlive', same, same);
    alive.on('error', ended);
    alive.on('data', () => undefined);
    alive.write(message([1, this.#leaseId]));
  }
}

const blocksPrefix = '/coreos.com/network/subnets/';
const blocksEnd = '/coreos.com/network/subnets0';
const leaseSeconds = 86_400;

/**
 * A lease and one transaction on a block that is known to be free. Resolves with the id of the lease. @throws when the block is not
 * free
 */
export async function leaseFreeBlock(client: Client, number: number): Promise<number> {
  const leaseId = number + 1;
  await unary(client, '/etcdserverpb.Lease/LeaseGrant', message([1, leaseSeconds], [2, leaseId]));
  const key = `${blocksPrefix}9.${number >> 8}.${number & 255}.0-24`;
  const mac = number
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?=.)/g, '$&:');
  const value = JSON.stringify({
    PublicIP: registration(number).nodeIp,
    PublicIPv6: null,
    BackendType: 'vxlan',
    BackendData: { VNI: 1, VtepMAC: mac },
  });
  // If the key has version 0: put it.
  const compare = message([2, 0], [3, key], [4, 0]);
  const put = message([2, message([1, key], [2, value], [3, leaseId])]);
  const answer = await unary(client, '/etcdserverpb.KV/Txn', message([1, compare], [2, put]));
  // The field `succeeded` is left out when it is false.
  if (!fieldsOf(answer).includes(2)) throw new Error(`etcd refused the block of agent ${number}`);
  return leaseId;
}

function ended(error: Error): void {
  throw error;
}

/** The revision of a RangeResponse, and how many keys it has. */
function rangeOf(bytes: Uint8Array): { readonly revision: number; readonly keys: number } {
  const reader = Reader.create(bytes);
  let revision = 0;
  let keys = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) {
      const end = reader.uint32() + reader.pos;
      while (reader.pos < end) {
        const inner = reader.uint32();
        if (inner >>> 3 === 3) revision = Number(reader.int64());
        else reader.skipType(inner & 7);
      }
    } else {
      if (tag >>> 3 === 2) keys += 1;
      reader.skipType(tag & 7);
    }
  }
  return { revision, keys };
}

/** How many events a WatchResponse of etcd has. */
function eventsIn(bytes: Uint8Array): number {
  return fieldsOf(bytes).filter((field) => field === 11).length;
}

function fieldsOf(bytes: Uint8Array): number[] {
  const reader = Reader.create(bytes);
  const fields: number[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    fields.push(tag >>> 3);
    reader.skipType(tag & 7);
  }
  return fields;
}

/** A message of these fields: integers, texts, and messages that are encoded already. */
function message(...fields: readonly (readonly [number: number, value: number | string | Buffer])[]): Buffer {
  const writer = Writer.create();
  for (const [number, value] of fields) {
    if (typeof value === 'number') writer.uint32(number << 3).int64(value);
    else if (typeof value === 'string') writer.uint32((number << 3) | 2).string(value);
    else writer.uint32((number << 3) | 2).bytes(value);
  }
  return Buffer.from(writer.finish());
}
