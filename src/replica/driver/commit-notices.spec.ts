import assert from 'node:assert/strict';
import { type Entry, logIndex, memberId, term } from '#raft/log/entry.js';
import type { AppendMessage, PeerMessage } from '#raft/message.js';
import { CommitNotices } from '#replica/driver/commit-notices.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const [leader, near, far] = [memberId(1), memberId(2), memberId(3)];

function append(to: typeof near, index: number, commit: number, entries = 0, at = 1): AppendMessage {
  const made = Array.from({ length: entries }, (_, more): Entry => {
    return { index: logIndex(index + 1 + more), term: term(at), type: 'normal', data: new Uint8Array(1) };
  });
  const place = { index: logIndex(index), logTerm: term(at), commit: logIndex(commit) };
  return { kind: 'append', from: leader, to, term: term(at), ...place, entries: made };
}

function heartbeat(to: typeof near, commit: number): PeerMessage {
  return { kind: 'heartbeat', from: leader, to, term: term(1), commit: logIndex(commit), context: 0 };
}

describe('commit notices', () => {
  let time: VirtualTime;
  let sent: PeerMessage[];
  let notices: CommitNotices;

  beforeEach(() => {
    time = new VirtualTime();
    sent = [];
    notices = new CommitNotices({ send: (message) => sent.push(message) }, time);
  });

  it('go out by themselves after 5 ms when nothing comes that says the same', async () => {
    const notice = append(near, 7, 7);
    notices.send(notice);
    await time.runFor(4);
    assert.deepEqual(sent, []);
    await time.runFor(1);
    assert.deepEqual(sent, [notice]);
    await time.runFor(100);
    assert.deepEqual(sent, [notice]);
  });

  it('are left out when the next append says as much', () => {
    notices.send(append(near, 7, 7));
    const next = append(near, 7, 7, 2);
    notices.send(next);
    assert.deepEqual(sent, [next]);
  });

  it('wait 5 ms from the first, however many follow', async () => {
    for (let index = 1; index <= 5; index++) {
      notices.send(append(near, index, index));
      await time.runFor(1);
    }
    assert.deepEqual(sent, [append(near, 5, 5)]);
  });

  it('are never sent under a steady load: each has its time in full, and the next entries come sooner', async () => {
    for (let index = 1; index <= 20; index++) {
      for (const to of [near, far]) notices.send(append(to, index, index - 1, 1));
      await time.runFor(1);
      for (const to of [near, far]) notices.send(append(to, index + 1, index));
      await time.runFor(3);
    }
    assert.equal(sent.filter((message) => message.kind === 'append' && message.entries.length === 0).length, 0);
    await time.runFor(2);
    assert.deepEqual(sent.slice(-2), [append(near, 21, 20), append(far, 21, 20)]);
  });

  it('go out before any other message, in order', () => {
    const messages = [append(near, 7, 7), heartbeat(near, 7), append(near, 8, 8), append(near, 6, 8, 1)];
    for (const message of messages) notices.send(message);
    assert.deepEqual(sent, messages);
  });

  it('do not give way to an append of another term, or to one that knows less', () => {
    const messages = [append(near, 7, 7), append(near, 7, 6, 1), append(near, 8, 7), append(near, 8, 8, 1, 2)];
    for (const message of messages) notices.send(message);
    assert.deepEqual(sent, messages);
  });

  it('wait for each peer by itself', async () => {
    notices.send(append(near, 7, 7));
    notices.send(append(far, 5, 5));
    notices.send(append(near, 7, 7, 1));
    assert.deepEqual(sent, [append(near, 7, 7, 1)]);
    await time.runFor(5);
    assert.deepEqual(sent, [append(near, 7, 7, 1), append(far, 5, 5)]);
  });

  it('go out at once when asked to, and not at all after the end', async () => {
    notices.send(append(near, 7, 7));
    notices.flush();
    assert.equal(sent.length, 1);
    notices.send(append(near, 8, 8));
    notices.stop();
    await time.runFor(10);
    assert.equal(sent.length, 1);
  });
});
