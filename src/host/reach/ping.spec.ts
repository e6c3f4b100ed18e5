import assert from 'node:assert/strict';
import { pingPeers } from '#host/reach/ping.js';
import type { PeerKnowledge } from '#host/reach/ping-causes.js';
import { exampleInput } from '#host/testing/example.js';
import type { RunOptions, RunResult } from '#host/tools/runner.js';

/** A host whose tools answer as given; everything that is not listed prints an empty table. */
function host(answers: Readonly<Record<string, string>>) {
  return {
    async run(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult> {
      const line = [command, ...args].join(' ');
      const key = Object.keys(answers).find((part) => line.includes(part));
      if (command === 'ping') return { code: 1, stdout: '1 packets transmitted, 0 received', stderr: '' };
      const stdout = key === undefined ? '[]' : (answers[key] ?? '');
      for (const line of stdout.split('\n')) options?.onLine?.(line);
      return { code: 0, stdout, stderr: '' };
    },
  };
}

const eth0 = { ifname: 'eth0', flags: ['UP'], mtu: 1500, address: '02:00:00:00:00:01' };
const vtep = { ifname: 'vtep1024', flags: ['UP'], mtu: 1450, address: '70:b3:d5:80:00:01' };
const addresses = [
  { ifname: 'eth0', addr_info: [{ local: '10.0.0.1', prefixlen: 24, scope: '0' }] },
  {
    ifname: 'vtep1024',
    addr_info: [
      { local: '44.128.0.1', prefixlen: 16, scope: '0' },
      { local: 'fd01:a::1', prefixlen: 64, scope: '0' },
    ],
  },
];
const neighbour = (dst: string) => `${dst} lladdr 70:b3:d5:80:00:02 PERMANENT proto 205 \n`;
const fdb = (dst: string) => `70:b3:d5:80:00:02 dst ${dst} self permanent\n`;
const whole = {
  'link show': JSON.stringify([eth0, vtep]),
  'address show': JSON.stringify(addresses),
  'neigh show': neighbour('44.128.0.2') + neighbour('fd01:a::2'),
  'fdb show': fdb('10.0.0.2'),
};

async function causes(answers: Readonly<Record<string, string>>, known?: PeerKnowledge): Promise<readonly string[]> {
  const [report] = await pingPeers(exampleInput(), host(answers), 'agent-2', known && (() => known));
  return report?.causes ?? [];
}

describe('a ping that fails', () => {
  it('names the entry that is missing or wrong on this host', async () => {
    assert.deepEqual(await causes({ ...whole, 'neigh show': neighbour('fd01:a::2') }), [
      'neighbour 44.128.0.2 → 70:b3:d5:80:00:02 is missing on this host',
    ]);
    assert.deepEqual(await causes({ ...whole, 'fdb show': '' }), [
      'FDB entry 70:b3:d5:80:00:02 → 10.0.0.2 is missing on this host',
    ]);
    const elsewhere = fdb('10.0.0.9');
    assert.deepEqual(await causes({ ...whole, 'fdb show': elsewhere }), [
      'FDB entry 70:b3:d5:80:00:02 → 10.0.0.2 is 10.0.0.9 instead on this host',
    ]);
  });

  it('names a device that is missing or down', async () => {
    assert.deepEqual(await causes({ ...whole, 'link show': JSON.stringify([eth0]) }), [
      'the device vtep1024 is missing on this host',
    ]);
    assert.deepEqual(await causes({ ...whole, 'link show': JSON.stringify([eth0, { ...vtep, flags: [] }]) }), [
      'the device vtep1024 is down on this host',
    ]);
  });

  it('looks beside the tunnel when this host has every entry', async () => {
    assert.match((await causes(whole))[0] ?? '', /does not answer at 10\.0\.0\.2 beside the tunnel/);
  });

  it('does not blame the port where the peer is known to have built nothing, or to be silent', async () => {
    const planOnly = await causes(whole, { kind: 'nothing-built' });
    assert.deepEqual(planOnly.length, 1);
    assert.match(planOnly[0] ?? '', /agent-2 has built nothing on its host.*--network plan/);
    assert.match((await causes(whole, { kind: 'silent' })).join(), /^the masters do not hear agent-2 either/);
    const failed = await causes(whole, { kind: 'failed', errors: ['overlay dcos: no room'] });
    assert.match(failed[0] ?? '', /agent-2 says of its own host: overlay dcos: no room/);
    assert.match(failed[1] ?? '', /UDP port 64000/);
  });
});
