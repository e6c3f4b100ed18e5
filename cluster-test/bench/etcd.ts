/**
 * An etcd of several members on loopback, to be measured beside the masters: plain puts, and a subnet lease as flannel takes
 * it. Its messages are named here by the few fields that this takes (etcd's rpc.proto and kv.proto).
 */
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import protobuf, { type Type } from 'protobufjs';
import { leaseFreeBlock } from '#cluster-test/bench/etcd-agent.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';

const startBoundMs = 30_000;
const timeoutMs = 30_000;
const leaseSeconds = 86_400;
const leaseIdEnd = 2 ** 40;
/** How many free blocks flannel draws one of. */
const candidatesMax = 100;
/** /24s of a /8. */
const blocks = 65_536;

const { root } = protobuf.parse(`
  syntax = "proto3";
  message Put { bytes key = 1; bytes value = 2; int64 lease = 3; }
  message PutAnswer {}
  message Range { bytes key = 1; bytes range_end = 2; }
  message KeyValue { bytes key = 1; bytes value = 5; int64 lease = 6; }
  message RangeAnswer { repeated KeyValue kvs = 2; }
  message LeaseGrant { int64 ttl = 1; int64 id = 2; }
  message LeaseGrantAnswer {}
  message Compare { int32 result = 1; int32 target = 2; bytes key = 3; oneof value { int64 version = 4; } }
  message Operation { oneof request { Put put = 2; } }
  message Transaction { repeated Compare compare = 1; repeated Operation success = 2; }
  message TransactionAnswer { bool succeeded = 2; }
`);

type Method = { readonly path: string; readonly request: Type; readonly answer: Type };

const methods = {
  put: methodOf('KV/Put', 'Put'),
  range: methodOf('KV/Range', 'Range'),
  transaction: methodOf('KV/Txn', 'Transaction'),
  leaseGrant: methodOf('Lease/LeaseGrant', 'LeaseGrant'),
};

function methodOf(name: string, message: string): Method {
  return {
    path: `/etcdserverpb.${name}`,
    request: root.lookupType(message),
    answer: root.lookupType(`${message}Answer`),
  };
}

/** Members with data in a temporary folder, deleted at the end. */
export class EtcdMembers implements AsyncDisposable {
  readonly addresses: readonly string[];
  readonly #folder: string;
  readonly #children: readonly Child[];

  private constructor(folder: string, addresses: readonly string[], children: readonly Child[]) {
    this.#folder = folder;
    this.addresses = addresses;
    this.#children = children;
  }

  /** Starts them all, with etcd's own settings, and waits until each is healthy. */
  static async start(count: number): Promise<EtcdMembers> {
    if (spawnSync('etcd', ['--version']).error !== undefined) {
      throw new Error('there is no etcd to measure: in Debian it is in the package etcd-server');
    }
    const folder = mkdtempSync(join(tmpdir(), 'sublet-etcd-'));
    const ports = await freePorts(count * 2);
    const members = Array.from({ length: count }, (_, at) => ({
      name: `e${at + 1}`,
      client: `127.0.0.1:${ports[at * 2]}`,
      peer: `http://127.0.0.1:${ports[at * 2 + 1]}`,
    }));
    const children = members.map(({ name, client, peer }) => {
      const args = [
        ...['--name', name, '--data-dir', join(folder, name), '--logger', 'zap', '--log-level', 'error'],
        ...['--listen-client-urls', `http://${client}`, '--advertise-client-urls', `http://${client}`],
        ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster-state', 'new'],
        ...['--initial-cluster', members.map((member) => `${member.name}=${member.peer}`).join(',')],
      ];
      return new Child(args, { command: ['etcd'] });
    });
    const etcd = new EtcdMembers(
      folder,
      members.map(({ client }) => client),
      children,
    );
    try {
      for (const address of etcd.addresses) {
        await until(`etcd at ${address} healthy`, startBoundMs, async () =>
          holds((await fetch(`http://${address}/health`)).ok),
        );
      }
    } catch (error) {
      await etcd[Symbol.asyncDispose]();
      throw new Error(`etcd did not start: ${children.map(({ output }) => output).join('\n')}`, { cause: error });
    }
    return etcd;
  }

  get pids(): readonly number[] {
    return this.#children.map(({ pid }) => pid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One connection to each member, with the settings of the registrations' client. */
export class EtcdClient implements Disposable {
  readonly #clients: readonly Client[];

  constructor(addresses: readonly string[], options: Readonly<Record<string, number>>) {
    this.#clients = addresses.map((address) => new Client(address, credentials.createInsecure(), options));
  }

  /** Writes `value` under `key` through member `number` modulo their count; the answer stays bytes. */
  async put(number: number, key: string, value: Uint8Array): Promise<void> {
    await this.#call(number, methods.put, { key: Buffer.from(key), value });
  }

  /**
   * A /24 of 9.0.0.0/8 as flannel leases it: read all leases, choose one of the first hundred blocks that are free, and create its
   * key with a lease of a day if nobody was faster; else from the beginning.
   */
  async leaseSubnet(number: number, value: Uint8Array): Promise<void> {
    const prefix = '/subnets/';
    const all = { key: Buffer.from(prefix), rangeEnd: Buffer.from('/subnets0') };
    for (;;) {
      const { answer: leases } = methods.range;
      const { kvs } = leases.toObject(leases.decode(await this.#call(number, methods.range, all)), { arrays: true });
      const taken = new Set(kvs.map(({ key }: { readonly key: Buffer }) => key.toString()));
      const candidates: string[] = [];
      for (let block = 0; candidates.length < candidatesMax && block < blocks; block++) {
        const key = `${prefix}9.${block >> 8}.${block & 255}.0-24`;
        if (!taken.has(key)) candidates.push(key);
      }
      const key = Buffer.from(candidates[randomInt(candidates.length)] ?? '');
      // etcd would choose an id of 63 bits by itself.
      const lease = randomInt(1, leaseIdEnd);
      await this.#call(number, methods.leaseGrant, { ttl: leaseSeconds, id: lease });
      const answer = await this.#call(number, methods.transaction, {
        // Equal, version, 0: the key does not exist.
        compare: [{ result: 0, target: 0, key, version: 0 }],
        success: [{ put: { key, value, lease } }],
      });
      const { answer: outcome } = methods.transaction;
      if (outcome.toObject(outcome.decode(answer), { defaults: true }).succeeded === true) return;
    }
  }

  /** A /24 that is known to be free, with a lease of a day: the fewest calls that it takes. */
  async leaseFreeBlock(number: number): Promise<void> {
    await leaseFreeBlock(this.#clientOf(number), number);
  }

  #clientOf(number: number): Client {
    const client = this.#clients[number % this.#clients.length];
    if (client === undefined) throw new RangeError('an etcd client needs an address');
    return client;
  }

  #call(number: number, { path, request }: Method, message: Readonly<Record<string, unknown>>): Promise<Buffer> {
    const client = this.#clientOf(number);
    const encode = (value: Readonly<Record<string, unknown>>): Buffer =>
      Buffer.from(request.encode(request.fromObject(value)).finish());
    const options = { deadline: Date.now() + timeoutMs };
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        encode,
        (bytes: Buffer) => bytes,
        message,
        options,
        (error, answer) => (answer === undefined ? reject(error) : resolve(answer)),
      );
    });
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}
