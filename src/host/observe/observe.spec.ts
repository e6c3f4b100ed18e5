import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { predict } from '#host/apply/predict.js';
import { desired } from '#host/desired/desired.js';
import { diff } from '#host/diff/diff.js';
import type { HostInput } from '#host/input.js';
import { lookoutOf, observe } from '#host/observe/observe.js';
import { bareHost, type ObservedHost, type ObservedLink } from '#host/observe/observed.js';
import { exampleInput, examplePeer, underlay } from '#host/testing/example.js';
import { noDocker } from '#host/tools/docker-engine.js';
import type { Runner } from '#host/tools/runner.js';

const noTools: Runner = { run: (command) => Promise.reject(new Error(`${command} is not expected`)) };

describe('a look at the CNI folder', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sublet-observe-spec-'));
  chmodSync(dir, 0o755);
  const given = exampleInput();
  const input = { ...given, settings: { ...given.settings, cniDir: dir } };
  const wish = desired(input, { underlay });

  after(() => rmSync(dir, { recursive: true }));

  const look = (known: ObservedHost): Promise<ObservedHost> =>
    observe(lookoutOf(input, noTools, noDocker), new Set(['cni']), known);

  it('has a file that is removed after it was written come back under its own name, also before the next look', async () => {
    const { steps } = diff(wish, await look(bareHost));
    for (const step of steps) if (step.kind === 'cni-write') writeFileSync(join(dir, step.name), step.content);
    const written = predict(bareHost, steps);
    rmSync(join(dir, 'dcos.conflist'));
    const back = diff(wish, await look(written)).steps.filter(({ kind }) => kind.startsWith('cni-'));
    assert.deepEqual(
      back.map((step) => ('name' in step ? [step.kind, step.name] : [step.kind])),
      [['cni-write', 'dcos.conflist']],
    );
  });
});

describe('a look at where containers’ packets go', () => {
  const input = exampleInput([examplePeer(2)]);
  const bridge: ObservedLink = { name: 'm-dcos', kind: 'bridge', mac: '', mtu: 1420, up: true, addresses: [] };
  const look = async (answer: (line: string) => string, links: readonly ObservedLink[] = []) => {
    const asked: string[] = [];
    const run: Runner = {
      run: async (command, args) => {
        const line = [command, ...args].join(' ');
        if (!line.includes('route get')) return { code: 0, stdout: '', stderr: '' };
        asked.push(line);
        const said = answer(line);
        return said.includes('dev') ? { code: 0, stdout: said, stderr: '' } : { code: 2, stdout: '', stderr: said };
      },
    };
    const known = { ...bareHost, links: new Map(links.map((link) => [link.name, link])) };
    const { detours } = await observe(lookoutOf(input, run, noDocker), new Set(['strangers']), known);
    return { asked, detours };
  };

  it('finds what does not lead to the tunnel, as from a container where the bridge is there', async () => {
    const well = await look((line) => `${line} dev vtep1024 `);
    assert.deepEqual(well, {
      asked: ['ip -N -4 route get 9.0.1.254', 'ip -N -6 route get fd01:b::1:ffff:ffff:fffe'],
      detours: [],
    });
    const away = await look((line) => (/iif/.test(line) ? '9.0.1.254 dev wg0 table 7 ' : 'x dev vtep1024 '), [bridge]);
    assert.equal(away.asked[0], 'ip -N -4 route get 9.0.1.254 from 9.0.0.126 iif m-dcos');
    assert.deepEqual(away.detours, [{ subnet: '9.0.1.0/24', line: '9.0.1.254 dev wg0 table 7' }]);
  });

  it('asks for two peers of each overlay and family, and for 16 in all', () => {
    const peers = [2, 3, 4].map((n) => examplePeer(n));
    const given = exampleInput(peers);
    const ways = ({ lease }: HostInput) => lookoutOf({ ...given, lease }, noTools, noDocker).ways;
    assert.deepEqual(
      ways(given).map(({ subnet }) => subnet),
      ['9.0.1.0/24', '9.0.2.0/24', 'fd01:b:0:0:1::/80', 'fd01:b:0:0:2::/80'],
    );
    const [dcos = assert.fail()] = given.lease.overlays;
    const overlays = Array.from({ length: 20 }, () => dcos);
    assert.equal(ways({ ...given, lease: { ...given.lease, overlays } }).length, 16);
  });

  it('asks for a packet of the host where the kernel has no answer for that of a container', async () => {
    const answer = (line: string) => (/iif/.test(line) ? 'RTNETLINK answers: No route to host' : 'x dev vtep1024 ');
    assert.deepEqual((await look(answer, [bridge])).detours, []);
    const nowhere = await look(() => 'RTNETLINK answers: Invalid argument', [bridge]);
    assert.deepEqual(nowhere.detours[0], { subnet: '9.0.1.0/24', line: 'RTNETLINK answers: Invalid argument' });
  });
});
