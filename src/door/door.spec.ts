import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { Door, type DoorNotice, type DoorOptions } from '#door/door.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

/** A socket that has no other end; what it has read is up to the spec. */
class FakeSocket extends Socket {
  override bytesRead = 0;
  // A getter of the class, which says nothing without another end.
  override readonly remoteAddress: string;

  constructor(from: string) {
    super();
    this.remoteAddress = from;
  }

  wasReset = false;

  override resetAndDestroy(): this {
    this.wasReset = true;
    return this.destroy();
  }
}

describe('a door', () => {
  let time: VirtualTime;
  let told: DoorNotice[];
  let accepted: Socket[];
  let doors: Door[];

  beforeEach(() => {
    time = new VirtualTime();
    told = [];
    accepted = [];
    doors = [];
  });
  afterEach(() => {
    for (const each of doors) each.close();
    for (const socket of accepted) socket.destroy();
  });

  function door(more: Partial<DoorOptions> = {}): Door {
    const made = new Door({
      setting: 'listen',
      listen: '127.0.0.1:0',
      connectionsMax: 10,
      clock: time,
      accept: (socket) => accepted.push(socket),
      notice: (notice) => told.push(notice),
      ...more,
    });
    doors.push(made);
    return made;
  }

  function come(to: Door, bytesRead = 1, from = '10.0.0.1'): FakeSocket {
    const socket = new FakeSocket(from);
    socket.bytesRead = bytesRead;
    to.admit(socket);
    return socket;
  }

  it('admits as many as may be, closes the rest, and says so once', async () => {
    const to = door();
    const inside = Array.from({ length: 10 }, () => come(to));
    const outside = Array.from({ length: 3 }, () => come(to));
    assert.equal(accepted.length, 10);
    assert.ok(inside.every(({ destroyed }) => !destroyed));
    assert.ok(outside.every(({ wasReset }) => wasReset));
    assert.deepEqual(told, [{ kind: 'full', setting: 'listen', connectionsMax: 10 }]);
    assert.deepEqual([to.connections, to.refused, to.full], [10, 3, true]);
  });

  it('takes connections again when some have ended, and says so once none was closed for 10 s', async () => {
    const to = door();
    const inside = Array.from({ length: 10 }, () => come(to));
    come(to);
    await time.runFor(6_000);
    come(to);
    inside[0]?.destroy();
    await time.runFor(6_000);
    assert.equal(come(to).destroyed, false, 'there is room for one');
    assert.equal(to.full, true, 'one was closed 6 s ago');
    await time.runFor(5_000);
    assert.equal(to.full, false);
    assert.deepEqual(told.at(-1), { kind: 'room', setting: 'listen', refused: 2 });
    assert.equal(told.length, 2);
    assert.equal(to.connections, 10);
  });

  it('closes a connection that sends nothing for 10 s, and no other', async () => {
    const to = door();
    const silent = come(to, 0);
    const late = come(to, 0);
    const heard = come(to);
    await time.runFor(9_000);
    assert.equal(silent.destroyed, false);
    late.bytesRead = 24;
    await time.runFor(2_000);
    assert.deepEqual([silent.destroyed, late.destroyed, heard.destroyed], [true, false, false]);
    await time.runFor(3_600_000);
    assert.deepEqual([late.destroyed, heard.destroyed], [false, false]);
    assert.equal(to.connections, 2);
  });

  it('has the oldest that was silent for a second give way when it is full', async () => {
    const to = door({ connectionsMax: 3 });
    const oldest = come(to, 0);
    const heard = come(to);
    await time.runFor(1_000);
    const young = come(to, 0);
    assert.deepEqual([oldest.destroyed, heard.destroyed, young.destroyed], [true, false, false]);
    await time.runFor(1);
    assert.equal(come(to).destroyed, false, 'there is room for the next');
  });

  it('keeps one that has just come, though it is full and silent', async () => {
    const to = door({ connectionsMax: 2 });
    const sockets = [come(to, 0), come(to, 0)];
    assert.ok(sockets.every(({ destroyed }) => !destroyed));
    assert.equal(come(to, 0).wasReset, true);
    await time.runFor(1_500);
    assert.deepEqual(
      sockets.map(({ destroyed }) => destroyed),
      [true, false],
      'later one of them gives way',
    );
  });

  it('shares its connections out by network where it shall: the newest of the one with most makes room', async () => {
    const to = door({ shared: true });
    // Addresses of one /64, and one IPv4 address in two forms.
    const six = [1, 2, 3, 4, 5, 6].map((host) => come(to, 1, `2001:db8::${host}`));
    const four = ['10.0.0.7', '::ffff:10.0.0.7', '10.0.0.7'].map((from) => come(to, 1, from));
    come(to, 1, '10.0.0.8');
    assert.equal(come(to, 1, '2001:db8::ffff').wasReset, true, 'its network has most');
    assert.equal(come(to, 1, '10.0.0.9').destroyed, false);
    assert.deepEqual(
      six.map(({ wasReset }) => wasReset),
      [false, false, false, false, false, true],
    );
    assert.equal(come(to, 1, '10.0.0.10').destroyed, false);
    assert.equal(come(to, 1, '::ffff:10.0.0.7').wasReset, true, 'it has three, and none has two more');
    assert.ok(four.every(({ destroyed }) => !destroyed));
    assert.deepEqual([to.connections, to.refused], [10, 4]);
    assert.deepEqual(
      told.flatMap((notice) => (notice.kind === 'crowded' ? [`${notice.held} ${notice.network}`] : [])),
      ['6 2001:db8::/64', '6 2001:db8::/64', '5 2001:db8::/64', '3 10.0.0.7'],
    );
    await time.runFor(1);
    for (const socket of [...six, ...four]) socket.destroy();
    await time.runFor(1);
    assert.equal(to.connections, 3, 'one that has made room is counted once');
  });

  it('keeps what it has where each network has one', () => {
    const to = door({ shared: true, connectionsMax: 3 });
    const inside = [1, 2, 3].map((host) => come(to, 1, `10.0.0.${host}`));
    assert.equal(come(to, 1, '10.0.0.4').wasReset, true);
    assert.ok(inside.every(({ destroyed }) => !destroyed));
    assert.deepEqual(told, [{ kind: 'full', setting: 'listen', connectionsMax: 3 }]);
  });

  it('asks for no time while nothing is silent', async () => {
    const to = door();
    come(to);
    await time.runFor(1_000);
    const { events } = time;
    await time.runFor(60_000);
    assert.equal(time.events, events);
  });

  it('listens on all addresses of a name, at one port, and on no other', async () => {
    const to = door({ listen: 'm1.test:0', resolve: async () => ['127.0.0.2', '127.0.0.3'] });
    const port = await to.open();
    for (const host of ['127.0.0.2', '127.0.0.3']) await once(connect(port, host), 'connect');
    const [error] = await once(connect(port, '127.0.0.4'), 'error');
    assert.equal(error.code, 'ECONNREFUSED');
    to.close();
  });

  it('leaves out an address of a name that the machine lacks, if there is another', async () => {
    const both = door({ listen: 'm1.test:0', resolve: async () => ['192.0.2.1', '127.0.0.1'] });
    await once(connect(await both.open(), '127.0.0.1'), 'connect');
    const none = door({ listen: 'm1.test:0', resolve: async () => ['192.0.2.1'] });
    await assert.rejects(none.open(), { code: 'EADDRNOTAVAIL' });
  });

  it('says which setting has a name that is not known', async () => {
    const unknown = door({
      listen: 'm1.test:0',
      resolve: () => Promise.reject(new Error('getaddrinfo ENOTFOUND m1.test')),
    });
    await assert.rejects(
      unknown.open(),
      /^UnknownNameError: listen: the name m1\.test is not known on this machine.*set listen to an/,
    );
  });

  it('fails where something listens already, also at one of several addresses', async () => {
    const first = door({ listen: '127.0.0.3:0' });
    const port = await first.open();
    const second = door({ listen: `m1.test:${port}`, resolve: async () => ['127.0.0.2', '127.0.0.3'] });
    await assert.rejects(second.open(), { code: 'EADDRINUSE' });
    const [error] = await once(connect(port, '127.0.0.2'), 'error');
    assert.equal(error.code, 'ECONNREFUSED', 'nor does it listen at the other');
  });

  it('knows of real connections whether they sent something', async () => {
    const to = door({ accept: (socket) => accepted.push(socket.on('data', () => undefined)) });
    const port = await to.open();
    const [silent, speaking] = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    const ended = once(silent, 'close');
    silent.on('error', () => undefined);
    speaking.write('x');
    while (accepted.length < 2 || accepted.every(({ bytesRead }) => bytesRead === 0)) await new Promise(setImmediate);
    await time.runFor(11_000);
    await ended;
    assert.equal(to.connections, 1);
    speaking.destroy();
  });
});
