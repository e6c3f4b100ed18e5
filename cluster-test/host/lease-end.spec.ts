/**
 * Under `lease.reclaim` a host that is cut off from the masters sets its tunnel down when its lease has run out, by its
 * own clock; what it held leaves the others' tables; and it comes back by itself. With real processes and real time:
 * the shortest TTL is 30 s.
 */
import assert from 'node:assert/strict';
import { hostTools } from '#cluster-test/host/requirements.js';
import { type AgentHost, Scene } from '#cluster-test/host/scene.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { fixture } from '#cluster-test/process/fixture.js';
import { command, requires } from '#cluster-test/requirement.js';

const ttlMs = 30_000;
/** Of what follows at once, on a machine that does much else. */
const boundMs = 30_000;

describe('a lease with a TTL', function () {
  this.timeout(150_000);
  let scene: Scene;
  let cutOff: AgentHost;
  let other: AgentHost;

  before(async function () {
    requires(this, ...hostTools, command('curl'));
    scene = new Scene();
    const terms = ['--reclaim', '30s', '--quarantine', '15m'];
    await scene.startMasters(['10.0.0.11'], fixture('dcos-master.json'), terms);
    const flags = ['--docker-bridge', 'false'];
    const config = fixture('dcos-agent.json');
    cutOff = await scene.startAgent({ id: 'agent-1', nodeIp: '10.0.0.1', config, flags });
    other = await scene.startAgent({ id: 'agent-2', nodeIp: '10.0.0.2', config, flags });
  });

  after(async () => {
    await scene?.remove();
  });

  it('ends on the host that is cut off, which says so, and in the others’ tables; and begins again', async () => {
    await until('they know each other', boundMs, () => holds(other.netns.sh('ip route show 9.0.0.0/24') !== ''));
    const cutAt = performance.now();
    cutOff.netns.sh('ip link set eth0 down');
    await until('its tunnel is down', ttlMs + boundMs, () =>
      holds(!/[<,]UP[,>]/.test(cutOff.netns.sh('ip link show vtep1024'))),
    );
    const afterMs = performance.now() - cutAt;
    // It was renewed 10 s before the cut, or a little more where the machine does much else: never half a lease before.
    assert.ok(afterMs > ttlMs / 2, `not before its end: ${afterMs} ms`);
    const { lease, problems } = await scene.agentStatus(cutOff);
    assert.equal(lease?.valid, false);
    assert.ok(
      problems.some((problem) => /lease/.test(problem)),
      JSON.stringify(problems),
    );
    assert.match(cutOff.child.output, /the lease has ended: the tunnel goes down/);
    await until('the others forget it', 30_000, () => {
      const seen = other.netns.sh(
        'ip route show; ip neigh show nud permanent; bridge fdb show dev vtep1024; ip route show table 42',
      );
      return holds(!/44\.128\.0\.1 |9\.0\.0\.0\/24|10\.0\.0\.1 |70:b3:d5:80:00:01/.test(seen));
    });
    cutOff.netns.sh('ip link set eth0 up');
    await scene.agentReady(cutOff, 40_000);
    assert.match(cutOff.netns.sh('ip route show'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
    await until('the others know it again', boundMs, () =>
      holds(/44\.128\.0\.1 dev/.test(other.netns.sh('ip route show'))),
    );
  });
});
