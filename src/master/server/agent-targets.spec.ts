import assert from 'node:assert/strict';
import { agentTargets } from '#master/server/agent-targets.js';
import { TestMasters } from '#master/testing/test-masters.js';

describe('the targets of Prometheus', () => {
  it('row 78: are listed for a few ports at a time, and always for the default one', async () => {
    await using masters = await TestMasters.start();
    let now = 0;
    const targets = agentTargets(masters.master(0).services.plan, () => now);
    const code = async (port: number): Promise<number> => (await targets(`/sd/agents?port=${port}`)).code;
    for (const port of [1, 2, 3, 4]) assert.equal(await code(port), 200);
    const { code: refused, body } = await targets('/sd/agents?port=5');
    assert.deepEqual([refused, String(body)], [429, 'port: 4 others are asked for: 1, 2, 3, 4\n']);
    now = 59_999;
    for (const port of [1, 7073]) assert.equal(await code(port), 200);
    assert.equal(await code(5), 429);
    now = 60_000;
    assert.equal(await code(5), 200);
    assert.equal(await code(1), 200, 'it was asked for since');
  });
});
