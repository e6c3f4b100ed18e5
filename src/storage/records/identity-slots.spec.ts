import assert from 'node:assert/strict';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { logIndex, memberId, term } from '#raft/log/entry.js';
import { storeFactsMax } from '#replica/members/store-facts.js';
import { sessionNoncesMax } from '#replica/ports/store-claim.js';
import { FileIdentity, type IdentityFile, slotBytes } from '#storage/files/identity-file.js';
import { IdentitySlots } from '#storage/records/identity-slots.js';
import { MemoryDisk } from '#storage/testing/memory-disk.js';
import { sampleStoreId } from '#storage/testing/sample.js';

describe('identity file', () => {
  const vote = (n: number) => ({ term: term(n), vote: memberId(1), sequence: n, lastIndex: logIndex(n) });

  async function slotsOf(disk: MemoryDisk): Promise<IdentitySlots> {
    const slots = await IdentitySlots.load(disk.identityFile(), '/memory');
    assert(slots !== undefined);
    return slots;
  }

  it('keeps the newest content and the one before it, so that a torn write costs the newest alone', async () => {
    const disk = new MemoryDisk();
    const slots = await IdentitySlots.create(disk.identityFile(), sampleStoreId, 1);
    await slots.update(vote(1));
    for (let n = 2; n < 8; n++) {
      await slots.update(vote(n));
      assert.equal((await slotsOf(disk.reboot())).identity.term, n);
      const torn = disk.reboot();
      torn.crashAt(0, 'torn');
      await assert.rejects((await slotsOf(torn)).update({ ...vote(n + 1), clusterId: 'x'.repeat(60) }));
      assert.equal((await slotsOf(torn.reboot())).identity.term, n);
      for (const at of [0, 1] as const) {
        const hurt = disk.reboot();
        hurt.slots?.[at].fill(0);
        const left = (await slotsOf(hurt)).identity.term;
        assert([n - 1, n].includes(left), `slot ${at} lost after vote ${n}: term ${left} is left`);
      }
    }
  });

  it('writes nothing after a write that failed, not even what waits already: it would take a vote back that may be there', async () => {
    const disk = new MemoryDisk();
    const file = disk.identityFile();
    let fails = false;
    const failing: IdentityFile = {
      read: () => file.read(),
      create: (both) => file.create(both),
      write: async (slot, bytes) => {
        await file.write(slot, bytes);
        if (fails) throw new Error('EIO, and yet it is there');
      },
      close: () => file.close(),
    };
    const slots = await IdentitySlots.create(failing, sampleStoreId, 1);
    await slots.update(vote(1));
    fails = true;
    const voted = slots.update(vote(2));
    const lagging = slots.update({ sequence: 3, lastIndex: logIndex(3) });
    await assert.rejects(voted, /EIO/);
    fails = false;
    await assert.rejects(lagging, /EIO/);
    await assert.rejects(slots.update(vote(4)), /EIO/);
    assert.equal((await slotsOf(disk)).identity.term, 2);
  });

  it('holds the longest ids and the largest numbers', async () => {
    const disk = new MemoryDisk();
    const slots = await IdentitySlots.create(disk.identityFile(), sampleStoreId, Number.MAX_SAFE_INTEGER);
    const largest = Number.MAX_SAFE_INTEGER;
    await slots.update({
      clusterId: 'c'.repeat(63),
      memberId: memberId(largest),
      term: term(largest),
      vote: memberId(largest),
      lastIndex: logIndex(largest),
      starts: largest,
      nonces: Array.from({ length: sessionNoncesMax }, () => 'ffffffff'),
      peers: Object.fromEntries(
        Array.from({ length: storeFactsMax }, (_, at) => [
          at.toString(16).padStart(32, '0'),
          { starts: largest, nonce: 'ffffffff', term: largest, index: largest },
        ]),
      ),
    });
    const { identity } = await slotsOf(disk);
    assert.deepEqual(identity, slots.identity);
    assert.equal(identity.memberId, largest);
  });

  it('says so when a slot has a form of another version', async () => {
    const disk = new MemoryDisk();
    await IdentitySlots.create(disk.identityFile(), sampleStoreId, 1);
    const rest = Buffer.alloc(slotBytes - 8, ' ');
    rest.write(' {"format":2}');
    disk.slots?.[0].set(Buffer.from(crc32(rest).toString(16).padStart(8, '0')));
    disk.slots?.[0].set(rest, 8);
    await assert.rejects(slotsOf(disk), /a form that this version can't read/);
  });

  it('is synced, with its name when it is made and at every write', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sublet-identity-'));
    const scratch = await open(directory, 'r');
    const prototype: { sync: () => Promise<void>; datasync: () => Promise<void> } = Object.getPrototypeOf(scratch);
    await scratch.close();
    const { sync, datasync } = prototype;
    const calls: string[] = [];
    prototype.sync = function () {
      calls.push('sync');
      return sync.call(this);
    };
    prototype.datasync = function () {
      calls.push('datasync');
      return datasync.call(this);
    };
    try {
      const file = new FileIdentity(join(directory, 'identity'));
      const slots = await IdentitySlots.create(file, sampleStoreId, 1);
      assert.deepEqual(calls.splice(0), ['sync', 'sync']);
      await slots.update(vote(1));
      assert.deepEqual(calls, ['datasync']);
      const again = await IdentitySlots.load(new FileIdentity(join(directory, 'identity')), directory);
      assert.deepEqual(again?.identity, slots.identity);
      await file.close();
    } finally {
      Object.assign(prototype, { sync, datasync });
      await rm(directory, { recursive: true });
    }
  });
});
