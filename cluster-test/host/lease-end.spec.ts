/**
 * Under `lease.reclaim` a host that is cut off from the masters sets its tunnel down when its lease has run out, by its
 * own clock; what it held leaves the others' tables; and it comes back by itself. With real processes and real time:
 * the shortest TTL is 30 s.
 */
import assert from 'node:assert/strict';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { hostTools } from '#cluster-test/host/requirements.js';
import { type AgentHost, Scene } from '#cluster-test/host/scene.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { fixture } from '#cluster-test/process/fixture.js';
import { command, requires } from '#cluster-test/requirement.js';
import { stopsAtFailure } from '#cluster-test/suite-order.js';

const ttlMs = 30_000;
/** Of what follows at once, on a machine that does much else. */
const boundMs = 30_000;
/** What `/proc/uptime` of one host begins with, in seconds. */
const uptimeAtStart = 100_000;

/** A file in place of `/proc/uptime`, which stands still but for what is written to it. */
class UptimeFile {
  /** Goes before a command: it and what it starts have the file, and no other process. */
  readonly prefix: readonly string[];
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'w');
    this.set(uptimeAtStart);
    const bind = 'mount --bind "$0" /proc/uptime && exec "$@"';
    this.prefix = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', bind, path];
  }

  /** All texts are of one length, so that a reader finds one or the other. */
  set(seconds: number): void {
    writeSync(this.#file, `${seconds.toFixed(2).padStart(12, '0')} 1.00\n`, 0);
  }

  close(): void {
    closeSync(this.#file);
  }
}

describe('a lease with a TTL', function () {
  this.timeout(150_000);
  stopsAtFailure(this);
  let scene: Scene;
  let cutOff: AgentHost;
  let other: AgentHost;
  /** Cut off, too, and its uptime goes back. */
  let turnedBack: AgentHost;
  let turnedBackStartMs: number;
  let uptime: UptimeFile | undefined;

  before(async function () {
    requires(this, ...hostTools, command('curl'), command('unshare'));
    scene = new Scene();
    const terms = ['--reclaim', '30s', '--quarantine', '15m'];
    await scene.startMasters(['10.0.0.11'], fixture('dcos-master.json'), terms);
    const flags = ['--docker-bridge', 'false'];
    const config = fixture('dcos-agent.json');
    cutOff = await scene.startAgent({ id: 'agent-1', nodeIp: '10.0.0.1', config, flags });
    other = await scene.startAgent({ id: 'agent-2', nodeIp: '10.0.0.2', config, flags });
    uptime = new UptimeFile(join(scene.folder, 'uptime'));
    turnedBackStartMs = performance.now();
    const { prefix } = uptime;
    turnedBack = await scene.startAgent({ id: 'agent-3', nodeIp: '10.0.0.3', config, flags, prefix });
  });

  after(async () => {
    await scene?.remove();
    uptime?.close();
  });

  function tunnelIsUp({ netns }: AgentHost): boolean {
    return /[<,]UP[,>]/.test(netns.sh('ip link show vtep1024'));
  }

  it('ends on a host that is cut off, also where the uptime goes back; the others forget it; and begins again', async () => {
    await until('they know each other', boundMs, () => holds(other.netns.sh('ip route show 9.0.0.0/24') !== ''));
    const cutAt = performance.now();
    for (const host of [cutOff, turnedBack]) host.netns.sh('ip link set eth0 down');
    uptime?.set(5);
    for (const host of [cutOff, turnedBack]) {
      assert.equal((await scene.agentStatus(host)).lease?.valid, true, `${host.id}: before its end`);
      assert.ok(tunnelIsUp(host), `${host.id}: before its end`);
    }
    const ends = [cutOff, turnedBack].map(async (host) => {
      await until(`the tunnel of ${host.id} is down`, ttlMs + boundMs, () => holds(!tunnelIsUp(host)));
      const afterMs = performance.now() - cutAt;
      // It was renewed 10 s before the cut, or a little more where the machine does much else: never half a lease before.
      assert.ok(afterMs > ttlMs / 2, `${host.id}: not before its end: ${afterMs} ms`);
      const { lease, problems } = await scene.agentStatus(host);
      assert.equal(lease?.valid, false);
      assert.ok(
        problems.some((problem) => /lease/.test(problem)),
        JSON.stringify(problems),
      );
      assert.match(host.child.output, /the lease has ended: the tunnel goes down/);
    });
    await Promise.all(ends);
    await until('the others forget it', 30_000, () => {
      const seen = other.netns.sh(
        'ip route show; ip neigh show nud permanent; bridge fdb show dev vtep1024; ip route show table 42',
      );
      return holds(!/44\.128\.0\.1 |9\.0\.0\.0\/24|10\.0\.0\.1 |70:b3:d5:80:00:01/.test(seen));
    });
    for (const host of [cutOff, turnedBack]) host.netns.sh('ip link set eth0 up');
    await Promise.all([cutOff, turnedBack].map((host) => scene.agentReady(host, 40_000)));
    assert.match(cutOff.netns.sh('ip route show'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
    await until('the others know it again', boundMs, () =>
      holds(/44\.128\.0\.1 dev/.test(other.netns.sh('ip route show'))),
    );
  });

  it('is not taken up by a process that starts without masters on an uptime that has gone back', async () => {
    await until('its lease was renewed a moment ago', boundMs, async () =>
      holds(((await scene.agentStatus(turnedBack)).lease?.ttl_left_ms ?? 0) > ttlMs - 5_000),
    );
    // Not behind the clock that the process went by: that one went on from what it began with.
    const uptimeNow = uptimeAtStart + (performance.now() - turnedBackStartMs) / 1_000;
    await turnedBack.child.kill();
    await scene.stopMasters();
    const leaseAfterRestart = async (): Promise<readonly unknown[]> => {
      scene.restartAgent(turnedBack);
      const lease = await until(
        'it has a lease',
        boundMs,
        async () => (await scene.agentStatus(turnedBack)).lease ?? undefined,
      );
      return [lease.source, lease.valid];
    };
    uptime?.set(uptimeNow);
    assert.deepEqual(await leaseAfterRestart(), ['cache', true]);
    assert.ok(tunnelIsUp(turnedBack));
    await turnedBack.child.kill();
    uptime?.set(5);
    assert.deepEqual(await leaseAfterRestart(), ['cache', false]);
    await until('its tunnel is down', boundMs, () => holds(!tunnelIsUp(turnedBack)));
  });
});
