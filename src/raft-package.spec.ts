import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
import {
  defaultReplicaLimits,
  type Founder,
  GrpcPeerNetwork,
  type LogStore,
  openLevelStore,
  ProposeError,
  Replica,
  type ReplicaEvent,
  type StateMachine,
  type StateRecord,
  systemClock,
  systemDefer,
} from 'sublet/raft';

const credentials = { server: ServerCredentials.createInsecure(), client: ChannelCredentials.createInsecure() };
const boundMs = 15_000;

/** Words and how often they were said. */
class Counter implements StateMachine<number> {
  readonly counts = new Map<string, number>();

  apply(command: Uint8Array) {
    const word = Buffer.from(command).toString();
    const count = (this.counts.get(word) ?? 0) + 1;
    this.counts.set(word, count);
    return { output: count, changes: [{ key: command, value: Buffer.from(`${count}`) }] };
  }

  async restore(records: AsyncIterable<readonly StateRecord[]>): Promise<void> {
    this.counts.clear();
    for await (const batch of records) {
      for (const { key, value } of batch) this.counts.set(Buffer.from(key).toString(), Number(Buffer.from(value)));
    }
  }
}

/** Real sockets and disks have no clock that a test could own: wait for the condition, with a bound. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + boundMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`${what} did not come to be within ${boundMs} ms`);
    await sleep(5);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

type Running = {
  readonly name: string;
  readonly replica: Replica<number>;
  readonly store: LogStore;
  readonly counter: Counter;
};

describe('sublet/raft, with LevelDB and gRPC', () => {
  let directory = '';
  let founders: Founder[] = [];
  const running = new Map<string, Running>();
  const events: ReplicaEvent[] = [];

  async function start(name: string): Promise<Running> {
    const own = founders.find((founder) => founder.name === name);
    if (own === undefined) throw new Error(`no founder ${name}`);
    const store = await openLevelStore(join(directory, name), { clock: systemClock });
    const counter = new Counter();
    const replica = new Replica({
      name,
      clusterId: 'words',
      founders,
      store,
      machine: counter,
      commandKinds: ['word'],
      network: new GrpcPeerNetwork({ listen: own.peer, credentials }),
      clock: systemClock,
      defer: systemDefer,
      random: (below) => Math.floor(Math.random() * below),
      observe: (event) => events.push(event),
      timing: { heartbeatMs: 50, electionMs: 500 },
      limits: {
        ...defaultReplicaLimits,
        compaction: { entriesKept: 50, entriesKeptForPeersMax: 500, compactionStep: 10 },
        flushAfterMs: 100,
      },
    });
    const started = { name, replica, store, counter };
    running.set(name, started);
    await replica.start();
    return started;
  }

  async function stop({ name, replica, store }: Running): Promise<void> {
    running.delete(name);
    await replica.stop({ transfer: true });
    await store.close();
  }

  async function leader(): Promise<Running> {
    const ready = () => [...running.values()].find(({ replica }) => replica.status().leaderReady);
    await until(() => ready() !== undefined, 'a leader');
    const found = ready();
    if (found === undefined) throw new Error('the leader is gone again');
    return found;
  }

  /** As a client does: again while there is no leader. */
  async function say(word: string): Promise<number> {
    for (;;) {
      try {
        return (await (await leader()).replica.propose(Buffer.from(word))).output;
      } catch (error) {
        if (!(error instanceof ProposeError && error.code === 'not-leader')) throw error;
      }
    }
  }

  async function same(): Promise<void> {
    const text = ({ counter }: Running) => JSON.stringify([...counter.counts].sort());
    await until(() => new Set([...running.values()].map(text)).size === 1, 'the same state everywhere');
  }

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sublet-raft-'));
    const names = ['a', 'b', 'c'];
    founders = await Promise.all(names.map(async (name) => ({ name, peer: `127.0.0.1:${await freePort()}` })));
    await Promise.all(names.map(start));
  });

  after(async () => {
    for (const one of [...running.values()]) await stop(one);
    await rm(directory, { recursive: true });
  });

  it('replicates: any member reads what the leader has answered', async () => {
    assert.equal(await say('hello'), 1);
    assert.equal(await say('hello'), 2);
    for (const { replica, counter } of running.values()) {
      await replica.readBarrier();
      assert.equal(counter.counts.get('hello'), 2);
    }
  });

  it('passes leadership on when the leader stops, and brings a member back by snapshot', async () => {
    const first = await leader();
    await stop(first);
    // For an election timeout the leader keeps the log of who was just there.
    for (let nth = 0; (await leader()).replica.status().firstIndex <= 100; nth += 1) {
      assert.ok(nth < 10_000, 'no compaction');
      await say(`word ${nth % 40}`);
    }
    const back = await start(first.name);
    await until(() => back.replica.status().snapshotsInstalled === 1, 'the snapshot');
    assert.equal(await say('hello'), 3);
    await same();
  });

  it('loads what it had after a restart of all', async () => {
    const words = (await leader()).counter.counts.get('word 3');
    for (const one of [...running.values()]) await stop(one);
    await Promise.all(founders.map(({ name }) => start(name)));
    assert.equal(await say('hello'), 4);
    await same();
    assert.equal((await leader()).counter.counts.get('word 3'), words);
    const fatal = events.filter(({ kind }) => kind === 'fatal');
    assert.deepEqual(fatal, []);
  });
});

describe('the example of docs/raft-package.md', () => {
  const processes: ChildProcess[] = [];
  let directory = '';
  let program = '';

  before(async () => {
    const page = await readFile(new URL('../../docs/raft-package.md', import.meta.url), 'utf8');
    let code = /```js\n(import [\s\S]*?)```/.exec(page)?.[1] ?? '';
    for (const port of ['7071', '7072', '7073']) code = code.replaceAll(port, `${await freePort()}`);
    directory = await mkdtemp(join(tmpdir(), 'sublet-raft-'));
    // Inside of the package, so that its own name leads to it.
    program = fileURLToPath(new URL(`raft-example-${process.pid}.mjs`, import.meta.url));
    await writeFile(program, code);
  });

  after(async () => {
    for (const child of processes) child.kill('SIGKILL');
    await rm(program, { force: true });
    await rm(directory, { recursive: true, force: true });
  });

  for (const times of [1, 2]) {
    it(`runs as it stands: hello is said ${times === 1 ? 'once' : 'once more after a restart'}`, async () => {
      const runs = ['a', 'b', 'c'].map((name) => {
        const child = spawn(process.execPath, [program, name], {
          cwd: directory,
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        processes.push(child);
        const run = { name, child, text: '' };
        child.stdout.on('data', (bytes: Buffer) => {
          run.text += bytes.toString();
        });
        return run;
      });
      await until(() => runs.every(({ name, text }) => text.includes(`${name} is up; `)), 'three members');
      const said = runs.filter(({ text }) => text.includes(`hello was said ${times} times`));
      assert.equal(said.length, 1, runs.map(({ text }) => text).join('\n'));
      const leader = said[0]?.name;
      for (const { text } of runs) assert.match(text, new RegExp(`is up; ${leader} leads`));
      for (const { child } of runs) child.kill('SIGTERM');
      for (const { child } of runs) {
        if (child.exitCode === null) await once(child, 'exit');
        assert.equal(child.exitCode, 0);
      }
    });
  }
});
