/** `sublet dev` as a real process with real children. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { devPlan } from '#cli/dev/dev-plan.js';
import { needPorts } from '#cli/dev/free-ports.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';

const boundMs = 30_000;

/** A base whose ports are all free: the kernel names one, and those beside it are looked at. */
async function freeBase(): Promise<number> {
  for (let tries = 0; tries < 20; tries++) {
    const [port = 0] = await freePorts(1);
    const plan = devPlan({ masters: 1, agents: 2, basePort: port, dataDir: '', insecure: false });
    const ports = plan.flatMap((process) => process.ports);
    if (Math.max(...ports) > 65_535) continue;
    if (
      await needPorts(ports).then(
        () => true,
        () => false,
      )
    ) {
      return port;
    }
  }
  throw new Error('found no ten free ports in a row');
}

describe('sublet dev', function () {
  this.timeout(3 * boundMs);
  let folder = '';
  let basePort = 0;
  const devs: Child[] = [];
  const others: Child[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-dev-'));
    basePort = await freeBase();
  });
  after(async () => {
    await Promise.all([...devs, ...others].map((child) => child.kill()));
    // What a test that failed has left: the agent that was started again is in no table.
    for (const pid of devs.flatMap((child) => [...pids(child).values()])) if (lives(pid)) process.kill(pid, 'SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  async function started(): Promise<Child> {
    const child = new Child(
      ['dev', '--masters', '1', '--agents', '2', '--data-dir', folder, '--base-port', String(basePort)],
      { prefix: ['setsid'] },
    );
    devs.push(child);
    await until('ready', boundMs, () => {
      if (!child.running) throw new Error(child.output);
      return holds(/^ready$/m.test(child.stdout));
    });
    return child;
  }

  /** The one that a test before has left running, or another. */
  async function running(): Promise<Child> {
    const last = devs.at(-1);
    return last?.running ? last : started();
  }

  /** The leases, as the table has them: `agent-1 9.0.0.0/24`. */
  function letTo({ stdout }: Child): string[] {
    return [...stdout.matchAll(/^(agent-[0-9]+) +[0-9.]+ +live +[0-9.]+ +\S+ +(\S+)/gm)].map(
      ([, id, subnet]) => `${id} ${subnet}`,
    );
  }

  /** PIDs of the processes that the table names. */
  function pids({ stdout }: Child): ReadonlyMap<string, number> {
    return new Map(
      [...stdout.matchAll(/^(m1|agent-[0-9])(?: \(leader\))? +([0-9]+) /gm)].map(([, name = '', pid]) => [
        name,
        Number(pid),
      ]),
    );
  }

  function lives(pid: number): boolean {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false; // ESRCH: no process of that number.
    }
  }

  it('leases subnets, stops on Ctrl-C, and recovers the same on the next run', async () => {
    const first = await started();
    assert.equal(letTo(first).length, 4);
    // New agents register in the order of their names.
    assert.ok(letTo(first).includes('agent-1 9.0.0.0/24') && letTo(first).includes('agent-2 9.0.1.0/24'));
    assert.equal(new Set(letTo(first).map((line) => line.split(' ')[1])).size, 4);
    // What it prints is enough for another terminal, and nothing goes without it.
    const [, SUBLET_TLS = ''] = /export SUBLET_TLS=(\S+)/.exec(first.stdout) ?? [];
    const status = (env: Record<string, string>): Child => {
      const child = new Child(['status', '--master', `127.0.0.1:${basePort}`], { env });
      others.push(child);
      return child;
    };
    assert.match(first.stdout, new RegExp(`export SUBLET_MASTER=127\\.0\\.0\\.1:${basePort} `));
    const withIt = status({ SUBLET_TLS });
    assert.equal((await withIt.exited).code, 0, withIt.output);
    assert.match(withIt.stdout, /2: 2 live/);
    const without = status({});
    assert.equal((await without.exited).code, 3);
    assert.match(without.output, /speaks TLS, and this process does not: give it a certificate \(--tls DIR/);
    // As a terminal does it: to every process of the group.
    process.kill(-first.pid, 'SIGINT');
    assert.deepEqual(await first.exited, { code: 0, signal: null });
    for (const name of ['m1', 'agent-1']) {
      const last =
        readFileSync(join(folder, 'log', `${name}.log`), 'utf8')
          .trimEnd()
          .split('\n')
          .at(-1) ?? '';
      assert.match(last, /"msg":"stopped/, `${name} stopped in good order`);
    }
    assert.deepEqual([...pids(first).values()].filter(lives), []);

    const second = await started();
    assert.deepEqual(letTo(second), letTo(first));
  });

  it('starts a process again that has died, and says so', async () => {
    const child = await running();
    process.kill(pids(child).get('agent-1') ?? 0, 'SIGKILL');
    await until('the death is told', boundMs, () =>
      holds(/agent-1 has ended \(SIGKILL\); starting it again in 500ms/.test(child.stdout)),
    );
    await until('its new PID is printed', boundMs, () => {
      const [, pid] = /agent-1 is started again, with PID (\d+)\n/.exec(child.stdout) ?? [];
      return holds(pid !== undefined && lives(Number(pid)));
    });
    await until('agent-1 answers again', boundMs, async () =>
      holds((await fetch(`http://127.0.0.1:${basePort + 3}/readyz`)).ok),
    );
  });

  it('refuses to run twice at the same ports', async () => {
    await running();
    const other = new Child(['dev', '--data-dir', join(folder, 'other'), '--base-port', String(basePort)]);
    others.push(other);
    assert.equal((await other.exited).code, 1);
    assert.match(other.output, new RegExp(`port ${basePort} can’t be had: .*EADDRINUSE`));
  });

  it('leaves no process behind when it is killed', async () => {
    const child = await running();
    const before = [...pids(child).values()];
    assert.equal(before.length, 3);
    await child.kill();
    await until('all have stopped', boundMs, () => holds(before.filter(lives).length === 0));
    // agent-1 has another number since it was started again; its port tells.
    await until('the port of agent-1 is free', boundMs, async () => {
      const answers = await fetch(`http://127.0.0.1:${basePort + 3}/healthz`).then(
        () => true,
        () => false,
      );
      return holds(!answers);
    });
  });
});
