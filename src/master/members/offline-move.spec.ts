import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { movedMembers, moveOffline } from '#master/members/offline-move.js';
import { NoStoreError } from '#master/store-place.js';
import { memberId } from '#raft/log/entry.js';
import { readMoved, removeMoved, writeMoved } from '#storage/files/moved-file.js';

const members = ['a', 'b', 'c'].map((name, at) => ({
  id: memberId(at + 1),
  name,
  peer: `${name}:7071`,
  storeId: `s${at + 1}`,
}));
const peers = (...pairs: readonly string[]) =>
  pairs.map((pair) => {
    const [name = '', peer = ''] = pair.split('=');
    return { name, peer };
  });

describe('addresses that are set by hand', () => {
  it('are those that differ, with the store of the member and its recorded address', () => {
    assert.deepEqual(movedMembers(members, peers('a=a:8071', 'b=b:7071')), [
      { storeId: 's1', from: 'a:7071', to: 'a:8071' },
    ]);
  });

  it('may be exchanged between members, but not shared', () => {
    assert.equal(movedMembers(members, peers('a=b:7071', 'b=a:7071')).length, 2);
    assert.throws(() => movedMembers(members, peers('a=b:7071')), /a and b would both be at b:7071/);
  });

  it('are refused for a name that is not there, or is given twice', () => {
    assert.throws(() => movedMembers(members, peers('d=d:7071')), /there is no member "d"; there are a, b, c/);
    assert.throws(() => movedMembers(members, peers('a=x:1', 'a=x:2')), {
      name: 'OfflineMoveError',
      message: /a is given twice/,
    });
  });

  it('are kept in a file, which says what is wrong with it', async () => {
    const place = await mkdtemp(join(tmpdir(), 'sublet-moved-'));
    try {
      assert.deepEqual(await readMoved(place), []);
      const moved = [{ storeId: 's1', from: 'a:7071', to: 'a:8071' }];
      await writeMoved(place, moved);
      assert.deepEqual(await readMoved(place), moved);
      for (const damaged of ['{', '{"format":2,"moved":[]}', '{"format":1,"moved":[{"storeId":"s1"}]}']) {
        await writeFile(join(place, 'moved.json'), damaged);
        await assert.rejects(readMoved(place), {
          name: 'MovedFileError',
          message: /moved\.json can not be read.*sublet members move --data-dir/s,
        });
      }
      await removeMoved(place);
      await removeMoved(place);
      await assert.rejects(readFile(join(place, 'moved.json')), { code: 'ENOENT' });
      await assert.rejects(moveOffline(place, peers('a=a:8071')), NoStoreError);
    } finally {
      await rm(place, { recursive: true });
    }
  });
});
