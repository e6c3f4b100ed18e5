import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { AgentLog } from '#agent/agent-log.js';
import { leaseOf } from '#agent/lease/lease.js';
import { PeerTable } from '#agent/peers/peer-table.js';
import { writeSealed } from '#agent/state/sealed-file.js';
import { StateDir, StateDirError } from '#agent/state/state-dir.js';
import { agentStoreContract } from '#agent/testing/agent-store-contract.js';
import { exampleAgent, grant, snapshot } from '#agent/testing/fake-masters.js';
import { sublet } from '#proto/sublet.js';

describe('state directory of an agent', () => {
  let folder: string;
  let errors: { fields: object; message: string }[];
  const log: AgentLog = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (fields, message) => errors.push({ fields, message }),
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-state-'));
    errors = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const lease = leaseOf(grant({ agentId: 'a', instanceId: 'i', nodeIp: '10.0.0.1' }));

  function picture(peers: number) {
    const table = new PeerTable('a');
    const { WatchResponse } = sublet.v1;
    const others = Array.from({ length: peers }, (_, at) => ({
      ...exampleAgent(`p${at}`, 2),
      nodeIp: `10.1.${at >> 8}.${at & 255}`,
    }));
    for (const message of snapshot(100, others)) {
      table.take(WatchResponse.decode(WatchResponse.encode(message).finish()));
    }
    if (table.picture === undefined) throw new Error('no picture');
    return table.picture;
  }

  for (const { name, check } of agentStoreContract) {
    it(name, async () => {
      const path = join(folder, 'state');
      const away = join(folder, 'away');
      let dir = await StateDir.open(path, log);
      const reopen = async (): Promise<StateDir> => {
        await dir[Symbol.asyncDispose]();
        if (existsSync(away)) renameSync(away, path);
        dir = await StateDir.open(path, log);
        return dir;
      };
      try {
        await check({ store: dir, reopen, breakDisk: () => renameSync(path, away) });
      } finally {
        await dir[Symbol.asyncDispose]();
      }
      assert.deepEqual(errors, []);
    });
  }

  it('makes an instance id once', async () => {
    const first = await StateDir.open(join(folder, 'new/one'), log);
    const { identity } = first;
    assert.match(identity.instanceId, /^[0-9a-f-]{36}$/);
    assert.equal(identity.sequence, 0);
    first.saveIdentity({ ...identity, sequence: 7 });
    await first[Symbol.asyncDispose]();
    await using again = await StateDir.open(join(folder, 'new/one'), log);
    assert.deepEqual(again.identity, { ...identity, sequence: 7 });
    await using other = await StateDir.open(join(folder, 'new/two'), log);
    assert.notEqual(other.identity.instanceId, identity.instanceId);
    assert.deepEqual(errors, []);
  });

  it('gives back the lease and the peers that were cached', async () => {
    const term = { bootId: 'boot', heardAtMs: 12.5, ttlMs: 60_000 };
    const before = picture(3);
    {
      await using first = await StateDir.open(folder, log);
      first.saveLease({ lease, term, leaving: true });
      await first.savePeers(before);
    }
    await using again = await StateDir.open(folder, log);
    assert.deepEqual(again.lease, { lease, term, leaving: true });
    assert.deepEqual(again.peers, before);
    assert.deepEqual(errors, []);
    again.saveLease(undefined);
    assert.ok(!readdirSync(folder).includes('lease'));
  });

  it('caches and reads 20,000 peers', async () => {
    const before = picture(20_000);
    {
      await using first = await StateDir.open(folder, log);
      await first.savePeers(before);
    }
    await using again = await StateDir.open(folder, log);
    assert.deepEqual(again.peers, before);
  });

  it('refuses a second agent on the same directory, by whatever path', async () => {
    await using _first = await StateDir.open(folder, log);
    await assert.rejects(StateDir.open(join(folder, '..', folder.split('/').at(-1) ?? ''), log), (error) => {
      assert.ok(error instanceof StateDirError);
      assert.match(error.message, /is used by another sublet agent/);
      return true;
    });
  });

  it('row 55: opens though another program has taken every name that it could have', async () => {
    const { dev, ino } = statSync(folder);
    await using taker = createServer();
    taker.listen({ path: `\0sublet-agent-${dev}-${ino}` });
    await once(taker, 'listening');
    await using dir = await StateDir.open(folder, log);
    assert.equal(dir.path, resolve(folder));
  });

  it('row 56: refuses a directory in which others may write, and says when they may read', async () => {
    chmodSync(folder, 0o755);
    await (await StateDir.open(folder, log))[Symbol.asyncDispose]();
    chmodSync(folder, 0o777);
    await assert.rejects(
      StateDir.open(folder, log),
      /state_dir .*: other users may write in .* \(mode 0777\).*chmod go-w/,
    );
    chmodSync(folder, 0o700);
  });

  it('can be used again when the first has gone', async () => {
    const first = await StateDir.open(folder, log);
    await first[Symbol.asyncDispose]();
    await using _second = await StateDir.open(folder, log);
  });

  it('refuses what is not a folder', async () => {
    writeFileSync(join(folder, 'file'), '');
    await assert.rejects(StateDir.open(join(folder, 'file'), log), StateDirError);
  });

  const damage: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
    ['cut in the middle', (bytes) => bytes.subarray(0, bytes.length >> 1)],
    ['empty', () => Buffer.alloc(0)],
    [
      'with one digit changed',
      (bytes) => Buffer.from(bytes.toString().replace('44.128.0', '44.129.0').replace('"sequence":0', '"sequence":9')),
    ],
    ['zeroed', (bytes) => Buffer.alloc(bytes.length)],
  ];
  for (const [how, harm] of damage) {
    for (const file of ['identity', 'lease', 'peers']) {
      it(`says aloud that its ${file} is ${how}, and goes on without`, async () => {
        {
          await using first = await StateDir.open(folder, log);
          first.saveLease({ lease });
          await first.savePeers(picture(3));
        }
        const path = join(folder, file);
        writeFileSync(path, harm(readFileSync(path)));
        await using again = await StateDir.open(folder, log);
        assert.equal(errors.length, 1);
        assert.match(JSON.stringify(errors[0]), new RegExp(`cached ${file} is damaged`));
        assert.equal(again.lease === undefined, file === 'lease');
        assert.equal(again.peers === undefined, file === 'peers');
      });
    }
  }

  it('does not take a file of another format for its own', async () => {
    writeSealed(join(folder, 'lease'), [JSON.stringify({ format: 2, lease })]);
    writeSealed(join(folder, 'peers'), ['no json']);
    await using again = await StateDir.open(folder, log);
    assert.equal(again.lease, undefined);
    assert.equal(again.peers, undefined);
    assert.equal(errors.length, 2);
  });

  it('keeps the old file when the new one can not be written', async () => {
    await using dir = await StateDir.open(folder, log);
    dir.saveLease({ lease });
    const before = readFileSync(join(folder, 'lease'));
    // A folder in the place of the temporary file: an error that root meets, too.
    mkdirSync(join(folder, '.lease.new'));
    assert.throws(() => dir.saveLease({ lease: { ...lease, epoch: 99 } }));
    assert.deepEqual(readFileSync(join(folder, 'lease')), before);
  });

  it('keeps what it writes to its own user', async () => {
    await using dir = await StateDir.open(join(folder, 'mine'), log);
    dir.saveLease({ lease });
    assert.equal(statSync(join(folder, 'mine')).mode & 0o777, 0o700);
    assert.equal(statSync(join(folder, 'mine', 'lease')).mode & 0o777, 0o600);
  });
});
