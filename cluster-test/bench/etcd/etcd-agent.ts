/** An agent of `boot` that keeps its subnet in an etcd, with as few calls as that takes. */
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import type { BootAgent, Progress } from '#cluster-test/bench/boot/boot-client.js';
import {
  decodeRangeCount,
  decodeTransaction,
  decodeWatch,
  encodeCreate,
  encodeKeepAlive,
  encodeLeaseGrant,
  encodeRange,
  encodeWatchCreate,
  etcdPaths,
} from '#cluster-test/bench/etcd/etcd-messages.js';
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
    const all = await unary(this.#client, etcdPaths.range, encodeRange(blocks));
    const { revision, count } = decodeRangeCount(all);
    let known = count;
    advanced({ position: known, bytes: all.length });
    const watch = this.#client.makeBidiStreamRequest(etcdPaths.watch, same, same);
    watch.on('error', ended);
    watch.on('data', (bytes: Buffer) => {
      known += decodeWatch(bytes).events.length;
      advanced({ position: known, bytes: bytes.length });
    });
    watch.write(encodeWatchCreate({ ...blocks, startRevision: revision + 1 }));
    this.#keepAlive();
  }

  /** An etcd that has more to do than it can ends the stream with UNAVAILABLE; as its own client does, it is opened again. */
  #keepAlive(): void {
    const alive = this.#client.makeBidiStreamRequest(etcdPaths.keepAlive, same, same);
    alive.on('error', (error: ServiceError) => {
      if (error.code !== status.UNAVAILABLE) ended(error);
      setTimeout(() => this.#keepAlive(), reopenMs);
    });
    alive.on('data', () => undefined);
    alive.write(encodeKeepAlive({ id: this.#leaseId }));
  }
}

/** As etcd's client waits. */
const reopenMs = 500;

const blocksPrefix = '/coreos.com/network/subnets/';
/** All keys that begin with the prefix: its last character is one further here. */
const blocks = { key: Buffer.from(blocksPrefix), rangeEnd: Buffer.from('/coreos.com/network/subnets0') };
const leaseSeconds = 86_400;

/**
 * A lease and one transaction on a block that is known to be free. Resolves with the id of the lease. @throws when the block is not
 * free
 */
export async function leaseFreeBlock(client: Client, number: number): Promise<number> {
  const leaseId = number + 1;
  await unary(client, etcdPaths.leaseGrant, encodeLeaseGrant({ ttl: leaseSeconds, id: leaseId }));
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
  const create = encodeCreate({ key: Buffer.from(key), value: Buffer.from(value), lease: leaseId });
  const { succeeded } = decodeTransaction(await unary(client, etcdPaths.transaction, create));
  if (!succeeded) throw new Error(`etcd refused the block of agent ${number}`);
  return leaseId;
}

function ended(error: Error): void {
  throw error;
}
