import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';

const credentials = { server: ServerCredentials.createInsecure(), client: ChannelCredentials.createInsecure() };
/** Of each wait, on a machine that does much else: three processes start meanwhile. */
const boundMs = 60_000;

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

type Running = {
  readonly name: string;
  readonly replica: Replica<number>;
  readonly store: LogStore;
  readonly counter: Counter;
};

describe('sublet/raft, with LevelDB and gRPC', function () {
  this.timeout(2 * boundMs);
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

  function leader(): Promise<Running> {
    return until('a leader', boundMs, () => {
      const all = [...running.values()];
      const found = all.find(({ replica }) => replica.status().leaderReady);
      if (found !== undefined) return found;
      throw new Error(all.map(({ name, replica }) => `${name}: ${replica.status().role}`).join(', '));
    });
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
    await until('the same state everywhere', boundMs, () => {
      const states = [...running.values()].map(text);
      if (new Set(states).size !== 1) throw new Error(states.join('\n'));
      return true;
    });
  }

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sublet-raft-'));
    const names = ['a', 'b', 'c'];
    const ports = await freePorts(names.length);
    founders = names.map((name, at) => ({ name, peer: `127.0.0.1:${ports[at]}` }));
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
    // For an election timeout the leader keeps the log for a member that was just heard.
    for (let nth = 0; (await leader()).replica.status().firstIndex <= 100; nth += 1) {
      assert.ok(nth < 10_000, 'no compaction');
      await say(`word ${nth % 40}`);
    }
    const back = await start(first.name);
    await until('the snapshot', boundMs, () => holds(back.replica.status().snapshotsInstalled === 1));
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

describe('the example of docs/raft-package.md', function () {
  this.timeout(2 * boundMs);
  const processes: ChildProcess[] = [];
  let directory = '';
  let program = '';

  before(async () => {
    const page = await readFile(new URL('../../docs/raft-package.md', import.meta.url), 'utf8');
    let code = /```js\n(import [\s\S]*?)```/.exec(page)?.[1] ?? '';
    const ports = await freePorts(3);
    // In one pass: a port that is put in may hold the digits of the next.
    code = code.replaceAll(/\b707([123])\b/g, (_, nth) => `${ports[Number(nth) - 1]}`);
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
      await until('three members', boundMs, () => {
        const away = runs.filter(({ name, text }) => !text.includes(`${name} is up; `));
        if (away.length > 0) throw new Error(away.map(({ name, text }) => `${name} said:\n${text}`).join('\n'));
        return true;
      });
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
