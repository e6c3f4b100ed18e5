import assert from 'node:assert/strict';
import { apply } from '#host/apply/apply.js';
import type { Step } from '#host/diff/host-step.js';
import { hostScope } from '#host/problem.js';
import { BatchSessions } from '#host/tools/batch-session.js';
import { noDocker } from '#host/tools/docker-engine.js';

describe('A step that sets a sysctl', () => {
  const run = async (path: string) => {
    const step: Step = { kind: 'sysctl', path, value: '2', scope: hostScope, part: 'sysctl' };
    const tools = {
      run: { run: () => assert.fail('no tool is needed') },
      docker: noDocker,
      iptables: 'iptables',
    } as const;
    const [outcome] = await apply([step], { ...tools, batches: new BatchSessions() });
    return outcome;
  };

  it('of a device that is not there is not done: nothing was changed', async () => {
    assert.equal((await run('net/ipv4/conf/no-such-device/rp_filter'))?.kind, 'skipped');
  });

  it('that the kernel does not have fails', async () => {
    assert.equal((await run('net/ipv4/no_such_setting'))?.kind, 'failed');
  });
});
