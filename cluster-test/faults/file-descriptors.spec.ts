/** Clients that take all connections of masters with a low limit of open files: the store and the peers go on. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { benchConfig, Registrar } from '#cluster-test/bench/plan.js';
import { operate } from '#cluster-test/operations/operator.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters, peerOf } from '#cluster-test/process/masters.js';
import { command as program, requires } from '#cluster-test/requirement.js';

const boundMs = 20_000;
/** Registrations under way at a time. */
const workers = 64;
const registrationsMax = 60_000;
/** How HTTP/2 begins (RFC 9113 §3.4), with empty settings: a client that is not silent, and asks for nothing. */
const preface = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

/** Connections that are held open, and opened again when they are closed. */
class Holders implements Disposable {
  readonly #sockets = new Set<Socket>();
  readonly #address: string;
  readonly #hello: Buffer;
  #ended = false;
  closed = 0;

  constructor(address: string, count: number, hello: Buffer) {
    this.#address = address;
    this.#hello = hello;
    for (let at = 0; at < count; at++) this.#open();
  }

  #open(): void {
    if (this.#ended) return;
    const [host = '', port = ''] = this.#address.split(':');
    const socket = connect(Number(port), host);
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    if (this.#hello.length > 0) socket.write(this.#hello);
    socket.once('close', () => {
      this.closed += 1;
      this.#sockets.delete(socket);
      setTimeout(() => this.#open(), 1_000);
    });
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** The number of the log that LevelDB writes: it opens a new one when the old one is full. */
function logNumber({ dataDir }: MasterProcess): number {
  const names = readdirSync(join(dataDir, 'sublet', 'db'));
  return Math.max(...names.filter((name) => name.endsWith('.log')).map((name) => Number.parseInt(name, 10)));
}

async function metric(master: MasterProcess, line: string): Promise<number> {
  const page = await (await fetch(`http://${master.http}/metrics`)).text();
  return Number(
    page
      .split('\n')
      .find((each) => each.startsWith(`${line} `))
      ?.slice(line.length + 1),
  );
}

/** Registers more and more agents until `done`. */
async function registerUntil(registrar: Registrar, first: number, done: () => boolean): Promise<number> {
  let next = first;
  const work = async (): Promise<void> => {
    while (!done()) {
      assert.ok(next - first < registrationsMax, `${registrationsMax} registrations were not enough`);
      await registrar.register(next++);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
  return next;
}

for (const { title, count, openFiles, silent } of [
  { title: 'one master with 128 files and 150 clients that are silent', count: 1, openFiles: 128, silent: true },
  { title: 'one master with 256 files and 300 clients that speak HTTP/2', count: 1, openFiles: 256, silent: false },
  {
    title: 'three masters with 128 files each and 150 clients that speak HTTP/2',
    count: 3,
    openFiles: 128,
    silent: false,
  },
]) {
  describe(`file descriptors: ${title}`, function () {
    this.timeout(120_000);
    let masters: Masters;

    before(async function () {
      requires(this, program('prlimit'));
      const prefix = ['prlimit', `--nofile=${openFiles}:${openFiles}`];
      masters = await Masters.start({ count, config: benchConfig(), prefix });
    });
    afterEach(function () {
      showOnFailure(this, masters?.masters);
    });
    after(() => masters?.[Symbol.asyncDispose]());

    it('go on: stores, peers and open channels; the limit is logged; and they take clients again', async () => {
      const leader = await masters.leader();
      using registrar = new Registrar([leader.api]);
      await registrar.register(0);
      const max = await metric(leader, 'sublet_connections_max{listener="api"}');
      assert.ok(max > 0 && max < openFiles / 2, String(max));
      {
        const hello = silent ? Buffer.alloc(0) : preface;
        const held = Math.floor(openFiles * 1.2);
        using onApi = new Holders(leader.api, held, hello);
        using onPeer = new Holders(peerOf(leader), held, hello);
        await until('connections are refused', boundMs, async () =>
          holds((await metric(leader, 'sublet_connections_refused_total{listener="api"}')) > 0),
        );
        assert.ok((await metric(leader, 'sublet_connections{listener="api"}')) <= max);
        for (const says of [
          new RegExp(`listen: ${max} connections are open, as many as the limit of ${openFiles}`),
          /peer_listen: \d+ connections are open/,
        ]) {
          await until(`it says ${says}`, boundMs, () => holds(says.test(leader.child.output)));
        }
        // LevelDB opens files meanwhile: a new log, and a table made of the old one.
        const before = logNumber(leader);
        await registerUntil(registrar, 1, () => logNumber(leader) > before);
        await until('both ports closed connections', boundMs, () => holds(onApi.closed > 0 && onPeer.closed > 0));
        for (const { child, name } of masters.masters) assert.ok(child.running, `${name} has ended`);
      }
      await until('it takes connections again', boundMs, () =>
        holds(/listen: takes connections again/.test(leader.child.output)),
      );
      assert.match(await operate(masters, 'status'), /leader/);
      assert.doesNotMatch(masters.masters.map(({ child }) => child.output).join(''), /EMFILE|Too many open files/);
    });

    it('are there for /healthz, though clients hold connections to HTTP and say nothing', async () => {
      const [master = assert.fail()] = masters.masters;
      using onHttp = new Holders(master.http, openFiles, Buffer.alloc(0));
      await until('some are refused', boundMs, () => holds(onHttp.closed > 0));
      await until('/healthz answers', boundMs, async () => holds((await fetch(`http://${master.http}/healthz`)).ok));
      assert.ok(master.child.running);
    });

    if (count > 1) {
      it('do not keep a restarted master from its peers, when its ports for clients are full', async () => {
        const leader = await masters.leader();
        const holders = masters.masters.map(({ api }) => new Holders(api, openFiles, preface));
        try {
          await until('connections are refused', boundMs, () => holds(holders.every(({ closed }) => closed > 0)));
          const other = masters.masters.find((each) => each !== leader) ?? assert.fail();
          await other.child.stop();
          masters.restart(other);
          await masters.ready([other]);
        } finally {
          for (const each of holders) each[Symbol.dispose]();
        }
      });
    }
  });
}
