import assert from 'node:assert/strict';
import { apply } from '#host/apply/apply.js';
import type { Step } from '#host/diff/host-step.js';
import { hostScope, overlayScope } from '#host/problem.js';
import { BatchSessions } from '#host/tools/batch-session.js';
import { noDocker } from '#host/tools/docker-engine.js';

describe('Bridges that are to be made', () => {
  it('fail each for its own overlay', async () => {
    const create = (overlay: string): Step => ({
      kind: 'bridge-create',
      name: `m-${overlay}`,
      mac: '02:00:00:00:00:01',
      mtu: 1420,
      mark: 'sublet:c1',
      scope: overlayScope(overlay),
      part: 'bridge',
    });
    const up = (overlay: string): Step => ({
      kind: 'link-set',
      name: `m-${overlay}`,
      set: { kind: 'up' },
      scope: overlayScope(overlay),
      part: 'bridge',
    });
    const run = async (_: string, __: readonly string[], options?: { input?: string }) =>
      options?.input?.includes('m-first') === true
        ? { code: 1, stdout: '', stderr: 'RTNETLINK answers: File exists\nCommand failed -:1\n' }
        : { code: 0, stdout: '', stderr: '' };
    const tools = { run: { run }, docker: noDocker, iptables: 'iptables' } as const;
    const steps = [create('first'), up('first'), create('second'), up('second')];
    const outcomes = await apply(steps, { ...tools, batches: new BatchSessions() });
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['failed', 'skipped', 'done', 'done'],
    );
  });
});

describe('IPv6 on a bridge', () => {
  it('waits for its own bridge, and fails without it', async () => {
    const bridge = (overlay: string): Step => {
      const name = `m-${overlay}`;
      return { kind: 'link-set', name, set: { kind: 'up' }, scope: overlayScope(overlay), part: 'bridge' };
    };
    const six = (overlay: string): Step => {
      const entry = { kind: 'address', action: 'add', cidr: 'fd01:b::1/81', device: `m-${overlay}` } as const;
      return { ...entry, scope: overlayScope(overlay), part: 'bridge6' };
    };
    const run = async (_: string, __: readonly string[], options?: { input?: string }) =>
      /m-first|fd01:b::1\/81 dev m-second/.test(options?.input ?? '')
        ? { code: 1, stdout: '', stderr: 'RTNETLINK answers: Permission denied\nCommand failed -:1\n' }
        : { code: 0, stdout: '', stderr: '' };
    const tools = { run: { run }, docker: noDocker, iptables: 'iptables' } as const;
    const steps = ['first', 'second', 'third'].flatMap((overlay) => [bridge(overlay), six(overlay)]);
    const outcomes = await apply(steps, { ...tools, batches: new BatchSessions() });
    assert.deepEqual(
      outcomes.map(({ kind, step: { scope, part } }) => [scope.kind === 'overlay' && scope.name, part, kind]),
      [
        ['first', 'bridge', 'failed'],
        ['first', 'bridge6', 'skipped'],
        ['second', 'bridge', 'done'],
        ['second', 'bridge6', 'failed'],
        ['third', 'bridge', 'done'],
        ['third', 'bridge6', 'done'],
      ],
    );
    assert.match(
      outcomes[3]?.kind === 'failed' ? outcomes[3].error : '',
      /sysctl -w net\.ipv6\.conf\.m-second\.disable_ipv6=0/,
    );
  });
});

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
