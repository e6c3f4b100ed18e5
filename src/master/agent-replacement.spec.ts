import assert from 'node:assert/strict';
import { operatorService } from '#api/services.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters, testSettings } from '#master/testing/test-masters.js';
import type { sublet } from '#proto/sublet.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const once = { idempotent: false } as const;
const silentMs = 31_000;

const replace = (masters: TestMasters, request: sublet.v1.ReplaceAgentRequest.$Properties) =>
  masters.client().call(operatorService.replaceAgent, request, once);

function held({ agent }: sublet.v1.RegisterResponse): readonly (string | null | undefined)[] {
  const { vxlan, overlays } = agent ?? {};
  return [vxlan?.vtepIp, vxlan?.vtepMac, ...(overlays ?? []).map(({ subnet }) => subnet)];
}

describe('a host that is replaced', () => {
  it('must be silent: a live one is refused at a master, also where it is said to be off', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time });
    await masters.register('agent-1');
    for (const off of [false, true]) {
      const { code, message } = await refusal(replace(masters, { agentId: 'agent-1', successor: 'agent-2', off }));
      assert.equal(code, 'FAILED_PRECONDITION');
      assert.match(message, /^replace agent_id "agent-1": .* was last heard .* ago; stop it and wait until/);
    }
    await time.runFor(silentMs);
    const { reserved, quarantineMs } = await replace(masters, { agentId: 'agent-1', successor: 'agent-2' });
    assert.deepEqual([reserved, quarantineMs], [['44.128.0.1/32', '9.0.0.0/24'], testSettings.quarantineMs]);
  });

  it('leaves its subnets and its VTEP to the successor once the quarantine is over, and to no other', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time });
    const former = held(await masters.register('agent-1'));
    await time.runFor(silentMs);
    await replace(masters, { agentId: 'agent-1', successor: 'agent-2' });
    masters.cluster.time += testSettings.quarantineMs;
    const other = held(await masters.register('agent-3'));
    assert.deepEqual(
      other.filter((each) => former.includes(each)),
      [],
    );
    assert.deepEqual(held(await masters.register('agent-2')), former);
  });

  it('leaves them at once when it is off for good, to its own id on another machine, too', async () => {
    for (const successor of ['agent-2', 'agent-1']) {
      const time = new VirtualTime();
      await using masters = await TestMasters.start({ clock: time });
      const former = held(await masters.register('agent-1'));
      await time.runFor(silentMs);
      const { quarantineMs } = await replace(masters, { agentId: 'agent-1', successor, off: true });
      assert.equal(quarantineMs, 0);
      const next = await masters.register(successor, { instanceId: 'new', nodeIp: '10.0.0.99' });
      assert.deepEqual(held(next), former, successor);
    }
  });
});
