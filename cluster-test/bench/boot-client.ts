/**
 * What a boot asks of a service, for each agent on a connection of its own: a lease, all others and every change of them, and a
 * keep-alive. Answers stay bytes; only what says how far a watch is gets read, so that the clients cost as little as they can.
 */
import { Client, credentials } from '@grpc/grpc-js';
import { Reader, Writer } from 'protobufjs/minimal.js';
import { agentService } from '#api/services.js';
import { channelOptions, registration } from '#cluster-test/bench/plan.js';
import { sublet } from '#proto/sublet.js';

/** How long a call may take, in ms: it ends a bench whose servers hang. */
const timeoutMs = 120_000;

/** How far an agent's picture of all others is: a revision, or with etcd the number of keys. */
export type Progress = { readonly position: number; readonly bytes: number };

export type BootAgent = {
  /** Takes the lease. Resolves with the revision that has it; with etcd 0. */
  lease(): Promise<number>;
  /** Begins the watch and the keep-alive. Resolves when everything that was there at the begin has come. */
  follow(advanced: (progress: Progress) => void): Promise<void>;
};

const same = (bytes: Buffer): Buffer => bytes;

export class SubletAgent implements BootAgent {
  readonly #client: Client;
  readonly #number: number;
  #epoch = 0;

  constructor(address: string, number: number) {
    this.#client = new Client(address, credentials.createInsecure(), channelOptions);
    this.#number = number;
  }

  async lease(): Promise<number> {
    const { path, encodeRequest } = agentService.register;
    const answer = await unary(this.#client, path, encodeRequest(registration(this.#number)));
    const { lease, revision } = sublet.v1.RegisterResponse.decode(answer);
    this.#epoch = lease?.epoch ?? 0;
    return revision;
  }

  follow(advanced: (progress: Progress) => void): Promise<void> {
    const { watch, keepAlive } = agentService;
    const request = { peersOnly: true, peerForm: sublet.v1.PeerForm.PEER_FORM_SHORT };
    return new Promise((resolve, reject) => {
      const stream = this.#client.makeServerStreamRequest(watch.path, watch.encodeRequest, same, request);
      stream.on('error', reject);
      stream.on('data', (bytes: Buffer) => {
        const { position, whole } = positionOf(bytes);
        advanced({ position, bytes: bytes.length });
        if (whole) resolve();
      });
      const alive = this.#client.makeBidiStreamRequest(
        keepAlive.path,
        keepAlive.encodeRequest,
        keepAlive.decodeResponse,
      );
      const { agentId, instanceId } = registration(this.#number);
      const message = { agentId: agentId ?? '', instanceId: instanceId ?? '', epoch: this.#epoch };
      alive.on('error', reject);
      alive.on('data', ({ nextInMs }: { readonly nextInMs: number }) => {
        setTimeout(() => alive.write(message), nextInMs);
      });
      alive.write(message);
    });
  }
}

/** The revision of a WatchResponse; 0: it has none. `whole`: a snapshot ends. */
export function positionOf(bytes: Uint8Array): { readonly position: number; readonly whole: boolean } {
  const reader = Reader.create(bytes);
  const field = reader.uint32() >>> 3;
  const end = reader.uint32() + reader.pos;
  // SnapshotEnd, Changes, Progress: the number of the field that has the revision.
  const revisionField = { 3: 1, 4: 2, 5: 1 }[field];
  if (revisionField === undefined) return { position: 0, whole: false };
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === revisionField) return { position: Number(reader.uint64()), whole: field === 3 };
    reader.skipType(tag & 7);
  }
  return { position: 0, whole: field === 3 };
}

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
    this.#leaseId = this.#number + 1;
    await unary(this.#client, '/etcdserverpb.Lease/LeaseGrant', message([1, leaseSeconds], [2, this.#leaseId]));
    const key = `${blocksPrefix}9.${this.#number >> 8}.${this.#number & 255}.0-24`;
    const mac = this.#number
      .toString(16)
      .padStart(12, '0')
      .replace(/..(?=.)/g, '$&:');
    const value = JSON.stringify({
      PublicIP: registration(this.#number).nodeIp,
      PublicIPv6: null,
      BackendType: 'vxlan',
      BackendData: { VNI: 1, VtepMAC: mac },
    });
    // If the key has version 0: put it.
    const compare = message([2, 0], [3, key], [4, 0]);
    const put = message([2, message([1, key], [2, value], [3, this.#leaseId])]);
    const answer = await unary(this.#client, '/etcdserverpb.KV/Txn', message([1, compare], [2, put]));
    // The field `succeeded` is left out when it is false.
    if (!fieldsOf(answer).includes(2)) throw new Error(`etcd refused the block of agent ${this.#number}`);
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

function unary(client: Client, path: string, request: Uint8Array): Promise<Buffer> {
  const options = { deadline: Date.now() + timeoutMs };
  const encode = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, encode, same, request, options, (error, answer) =>
      answer === undefined ? reject(error) : resolve(answer),
    );
  });
}
