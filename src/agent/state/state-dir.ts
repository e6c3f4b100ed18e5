/**
 * The agent's folder: its identity (`identity`), its lease (`lease`) and its peers (`peers`), each a sealed file. The
 * lease and the peers are a cache: damage is logged and they are fetched again. One process at a time.
 */

import { randomUUID } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { AgentLog } from '#agent/agent-log.js';
import { leaseSchema, networkSchema } from '#agent/lease/lease.js';
import type { PeerPicture } from '#agent/peers/peer-table.js';
import { DamagedFileError, readSealed, writeSealed, writeSealedSlowly } from '#agent/state/sealed-file.js';
import { type AgentIdentity, type AgentStore, formerClustersMax, type LeaseRecord } from '#agent/state/store.js';
import { errorCode, errorText } from '#errors/unknown-error.js';
import { type FileLock, lockFile } from '#files/file-lock.js';
import { makePrivateFolder } from '#files/private-folder.js';
import { noIncarnation } from '#replica/bootstrap/incarnation.js';

/** The folder can't be used; the message says why and what to do. */
export class StateDirError extends Error {
  override readonly name = 'StateDirError';
}

const format = z.literal(1);
const identitySchema = z.strictObject({
  format,
  instanceId: z.string().min(1).max(64),
  sequence: z.int().min(0),
  formerClusterIds: z.array(z.string()).max(formerClustersMax),
});
const leaseFileSchema = z.strictObject({
  format,
  lease: leaseSchema,
  term: z.strictObject({ bootId: z.string(), heardAtMs: z.number(), ttlMs: z.number().positive() }).optional(),
  leaving: z.boolean().optional(),
  seen: z.strictObject({ revision: z.int().min(0), branch: z.string() }).optional(),
});
const peersHeadSchema = z.strictObject({
  format,
  clusterId: z.string().min(1),
  incarnation: z.string().default(noIncarnation),
  revision: z.int().min(0),
  branch: z.string().default(''),
  network: networkSchema,
});
const peerSchema = z.strictObject({
  agentId: z.string().min(1),
  nodeIp: z.string(),
  vtepIp: z.string(),
  vtepIp6: z.string().exactOptional(),
  vtepMac: z.string(),
  overlays: z.array(
    z.strictObject({ name: z.string(), subnet: z.string().exactOptional(), subnet6: z.string().exactOptional() }),
  ),
});

export class StateDir implements AgentStore, AsyncDisposable {
  readonly path: string;
  readonly lease: LeaseRecord | undefined;
  readonly peers: PeerPicture | undefined;
  readonly #lock: Lock;
  #identity: AgentIdentity;

  private constructor(path: string, lock: Lock, log: AgentLog) {
    this.path = path;
    this.#lock = lock;
    const identity = cached(log, 'identity', () => readIdentity(join(path, 'identity')));
    this.#identity = identity ?? { instanceId: randomUUID(), sequence: 0, formerClusterIds: [] };
    // Written before it is used: an id that the masters have seen and the disk has not would be a second host.
    if (identity === undefined) this.saveIdentity(this.#identity);
    this.lease = cached(log, 'lease', () => readLease(join(path, 'lease')));
    this.peers = cached(log, 'peers', () => readPeers(join(path, 'peers')));
  }

  /**
   * Makes the folder if it is not there, and locks it.
   * @throws StateDirError when another process has it, or it can't be written.
   */
  static async open(path: string, log: AgentLog): Promise<StateDir> {
    const absolute = resolve(path);
    try {
      const warning = makePrivateFolder(absolute);
      if (warning !== undefined) log.warn({ state_dir: absolute }, warning);
    } catch (error) {
      throw new StateDirError(`state_dir (--state-dir) ${path} can't be used: ${errorText(error)}`, { cause: error });
    }
    const lock = await lockFolder(absolute);
    try {
      return new StateDir(absolute, lock, log);
    } catch (error) {
      await lock.release();
      throw new StateDirError(`state_dir ${absolute} can't be used: ${errorText(error)}`, { cause: error });
    }
  }

  get identity(): AgentIdentity {
    return this.#identity;
  }

  saveIdentity(identity: AgentIdentity): void {
    writeSealed(join(this.path, 'identity'), [JSON.stringify({ format: 1, ...identity })]);
    this.#identity = identity;
  }

  saveLease(record: LeaseRecord | undefined): void {
    const path = join(this.path, 'lease');
    if (record === undefined) rmSync(path, { force: true });
    else writeSealed(path, [JSON.stringify({ format: 1, ...record })]);
  }

  async savePeers(picture: PeerPicture): Promise<void> {
    await writeSealedSlowly(join(this.path, 'peers'), peerLines(picture));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock.release();
  }
}

function readIdentity(path: string): AgentIdentity | undefined {
  const lines = readSealed(path);
  if (lines === undefined) return undefined;
  const { instanceId, sequence, formerClusterIds } = identitySchema.parse(JSON.parse(lines.join('\n')));
  return { instanceId, sequence, formerClusterIds };
}

function readLease(path: string): LeaseRecord | undefined {
  const lines = readSealed(path);
  if (lines === undefined) return undefined;
  const { lease, term, leaving, seen } = leaseFileSchema.parse(JSON.parse(lines.join('\n')));
  return { lease, term, ...(seen === undefined ? {} : { seen }), ...(leaving === undefined ? {} : { leaving }) };
}

function* peerLines({ peers, ...head }: PeerPicture): Generator<string> {
  yield JSON.stringify({ format: 1, ...head });
  for (const peer of peers) yield JSON.stringify(peer);
}

function readPeers(path: string): PeerPicture | undefined {
  const lines = readSealed(path);
  if (lines === undefined) return undefined;
  const [head = '', ...rest] = lines;
  const { clusterId, incarnation, revision, branch, network } = peersHeadSchema.parse(JSON.parse(head));
  return {
    clusterId,
    incarnation,
    revision,
    branch,
    network,
    peers: rest.map((line) => peerSchema.parse(JSON.parse(line))),
  };
}

/** What `read` gives; a file that is damaged or of another format is said aloud and counts as none. */
function cached<T>(log: AgentLog, name: string, read: () => T | undefined): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof DamagedFileError || error instanceof z.ZodError || error instanceof SyntaxError)) {
      throw error;
    }
    const why = error instanceof z.ZodError ? z.prettifyError(error) : error.message;
    log.error({ file: name, reason: why }, `the cached ${name} is damaged and is not used; it is fetched or made anew`);
    return undefined;
  }
}

type Lock = FileLock | { release(): Promise<void> };

/**
 * One process at a time has the folder: by a lock on a file in it, which no other user may open, and which needs no
 * free space after the first start. Where no tool takes such a lock: by a socket.
 */
async function lockFolder(path: string): Promise<Lock> {
  let lock: ReturnType<typeof lockFile>;
  try {
    lock = lockFile(join(path, 'lock'));
  } catch (error) {
    throw new StateDirError(`state_dir ${path} can't be locked: ${errorText(error)}`, { cause: error });
  }
  if (lock === 'taken') throw new StateDirError(takenText(path));
  return lock === 'no-tool' ? lockBySocket(path) : lock;
}

function takenText(path: string): string {
  return `state_dir ${path} is used by another sublet agent: stop that one, or give this one a state_dir of its own`;
}

/**
 * A listening socket named after the folder's inode: the kernel takes it back when the process ends. It is an abstract one, which is
 * seen by all processes of one network namespace, and which any of them could take first.
 */
function lockBySocket(path: string): Promise<Lock> {
  const { dev, ino } = statSync(path);
  const name = process.platform === 'linux' ? `\0sublet-agent-${dev}-${ino}` : join(path, 'socket');
  const server = createServer((socket) => socket.destroy());
  return new Promise((done, failed) => {
    server.once('error', (error) => {
      const taken = errorCode(error) === 'EADDRINUSE';
      const message = taken ? takenText(path) : `state_dir ${path} can't be locked: ${error.message}`;
      failed(new StateDirError(message, { cause: error }));
    });
    server.listen({ path: name }, () => {
      server.unref();
      done({ release: () => new Promise<void>((closed) => server.close(() => closed())) });
    });
  });
}
