/**
 * An etcd of several members on loopback, to be measured beside the masters: plain puts, and a subnet lease as flannel takes
 * it.
 */
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import { leaseFreeBlock } from '#cluster-test/bench/etcd/etcd-agent.js';
import {
  decodeRange,
  decodeTransaction,
  encodeCreate,
  encodeLeaseGrant,
  encodePut,
  encodeRange,
  etcdPaths,
} from '#cluster-test/bench/etcd/etcd-messages.js';
import { unary } from '#cluster-test/bench/unary.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';

const startBoundMs = 30_000;
const leaseSeconds = 86_400;
const leaseIdEnd = 2 ** 40;
/** How many free blocks flannel draws one of. */
const candidatesMax = 100;
/** /24s of a /8. */
const blocks = 65_536;

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
    await unary(this.#clientOf(number), etcdPaths.put, encodePut({ key: Buffer.from(key), value }));
  }

  /**
   * A /24 of 9.0.0.0/8 as flannel leases it: read all leases, choose one of the first hundred blocks that are free, and
   * create its key with a lease of a day, which fails if another host was faster; then from the beginning.
   */
  async leaseSubnet(number: number, value: Uint8Array): Promise<void> {
    const prefix = '/subnets/';
    const all = encodeRange({ key: Buffer.from(prefix), rangeEnd: Buffer.from('/subnets0') });
    const client = this.#clientOf(number);
    for (;;) {
      const { kvs } = decodeRange(await unary(client, etcdPaths.range, all));
      const taken = new Set(kvs.map(({ key }) => key.toString()));
      const candidates: string[] = [];
      for (let block = 0; candidates.length < candidatesMax && block < blocks; block++) {
        const key = `${prefix}9.${block >> 8}.${block & 255}.0-24`;
        if (!taken.has(key)) candidates.push(key);
      }
      const key = Buffer.from(candidates[randomInt(candidates.length)] ?? '');
      // etcd would choose an id of 63 bits by itself.
      const lease = randomInt(1, leaseIdEnd);
      await unary(client, etcdPaths.leaseGrant, encodeLeaseGrant({ ttl: leaseSeconds, id: lease }));
      const answer = await unary(client, etcdPaths.transaction, encodeCreate({ key, value, lease }));
      if (decodeTransaction(answer).succeeded) return;
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

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}
