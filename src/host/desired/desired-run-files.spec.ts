import assert from 'node:assert/strict';
import { predict } from '#host/apply/predict.js';
import { desired, nothing } from '#host/desired/desired.js';
import { diff } from '#host/diff/diff.js';
import type { HostInput, HostSettings, RunFileSettings } from '#host/input.js';
import { bareHost, type ObservedHost } from '#host/observe/observed.js';
import { exampleInput, underlay } from '#host/testing/example.js';

const places: RunFileSettings = {
  runDir: '/run/sublet',
  flannelFile: '/run/flannel/subnet.env',
  flannelOverlay: 'dcos',
};

function input(runFiles: RunFileSettings = places, others: Partial<HostInput> = {}): HostInput {
  const given = exampleInput();
  return {
    ...given,
    lease: { ...given.lease, agentId: 'agent-1' },
    settings: { ...given.settings, runFiles },
    ...others,
  };
}

function written(given: HostInput, on: ObservedHost = bareHost): ReadonlyMap<string, string> {
  const { steps } = diff(desired(given, { underlay }), on);
  return new Map(steps.flatMap((step) => (step.kind === 'file-write' ? [[step.path, step.content] as const] : [])));
}

function problemsOf(given: HostInput, on: ObservedHost = bareHost): string[] {
  return diff(desired(given, { underlay }), on)
    .problems.filter(({ part }) => part === 'files')
    .map(({ error }) => error);
}

describe('the lease as files', () => {
  it('has the form that docs/reference/run-files.md keeps', () => {
    const files = written(input());
    assert.deepEqual(JSON.parse(files.get('/run/sublet/lease.json') ?? ''), {
      schema: 1,
      mark: 'sublet:c1',
      cluster_id: 'c1',
      agent_id: 'agent-1',
      node_ip: '10.0.0.1',
      valid: true,
      vtep: {
        name: 'vtep1024',
        ip: '44.128.0.1/16',
        ip6: 'fd01:a::1/64',
        mac: '70:b3:d5:80:00:01',
        vni: 1024,
        port: 64000,
        mtu: 1450,
      },
      overlays: [
        {
          name: 'dcos',
          network: '9.0.0.0/8',
          subnet: '9.0.0.0/24',
          mtu: 1420,
          cni: { bridge: 'm-dcos', range: '9.0.0.0/25', gateway: '9.0.0.1' },
          docker: { bridge: 'd-dcos', range: '9.0.0.128/25', gateway: '9.0.0.129' },
        },
        {
          name: 'dcos6',
          network6: 'fd01:b::/64',
          subnet6: 'fd01:b::/80',
          mtu: 1420,
          cni: { bridge: 'm-dcos6', range6: 'fd01:b::/81', gateway6: 'fd01:b::1' },
          docker: { bridge: 'd-dcos6', range6: 'fd01:b::8000:0:0/81', gateway6: 'fd01:b::8000:0:1' },
        },
      ],
    });
    assert.equal(
      files.get('/run/sublet/dcos.env'),
      `# sublet:c1
SUBLET_OVERLAY=dcos
SUBLET_NETWORK=9.0.0.0/8
SUBLET_SUBNET=9.0.0.0/24
SUBLET_MTU=1420
SUBLET_CNI_BRIDGE=m-dcos
SUBLET_CNI_RANGE=9.0.0.0/25
SUBLET_CNI_GATEWAY=9.0.0.1
SUBLET_DOCKER_BRIDGE=d-dcos
SUBLET_DOCKER_RANGE=9.0.0.128/25
SUBLET_DOCKER_GATEWAY=9.0.0.129
`,
    );
    assert.match(files.get('/run/sublet/dcos6.env') ?? '', /^SUBLET_SUBNET6=fd01:b::\/80$/m);
    assert.equal(files.size, 4);
  });

  it('is flannel’s for one overlay: of the m- range, else the d- range, else the whole subnet', () => {
    const flannel = (given: HostInput) => written(given).get('/run/flannel/subnet.env');
    const words = (subnet: string) =>
      `# sublet:c1\nFLANNEL_NETWORK=9.0.0.0/8\nFLANNEL_SUBNET=${subnet}\nFLANNEL_MTU=1420\nFLANNEL_IPMASQ=true\n`;
    assert.equal(flannel(input()), words('9.0.0.1/25'));
    const [dcos] = input().lease.overlays;
    assert.ok(dcos);
    const holding = (overlay: typeof dcos) => input(places, { lease: { ...input().lease, overlays: [overlay] } });
    const { mesosBridge: _, ...docker } = dcos;
    const { dockerBridge: __, ...none } = docker;
    assert.equal(flannel(holding(docker)), words('9.0.0.129/25'));
    assert.equal(flannel(holding(none)), words('9.0.0.1/24'));
    const six = input({ ...places, flannelOverlay: 'dcos6' });
    assert.match(flannel(six) ?? '', /^FLANNEL_IPV6_NETWORK=fd01:b::\/64\nFLANNEL_IPV6_SUBNET=fd01:b::1\/81$/m);
  });

  it('says which overlay flannel’s file needs where a host has several and none is named', () => {
    const { flannelOverlay: _, ...unnamed } = places;
    assert.match(problemsOf(input(unnamed)).join(), /this host has dcos, dcos6: name one with flannel_overlay/);
    assert.ok(!written(input(unnamed)).has('/run/flannel/subnet.env'));
  });

  it('comes after all that it speaks of, and then there is nothing to do', () => {
    const { steps } = diff(desired(input(), { underlay }), bareHost);
    const kinds = steps.map(({ kind }) => kind);
    assert.deepEqual(new Set(kinds.slice(kinds.indexOf('file-write'))), new Set(['file-write']));
    const built = predict(bareHost, steps);
    assert.deepEqual(diff(desired(input(), { underlay }), built).steps, []);
  });

  it('says that the lease has ended, and leaves what it is on as it is', () => {
    const { lease } = input();
    assert.equal(
      JSON.parse(written(input(places, { leaseValid: false })).get('/run/sublet/lease.json') ?? '').valid,
      false,
    );
    const built = predict(bareHost, diff(desired(input(), { underlay }), bareHost).steps);
    const lost = desired(input(places, { lease }), {});
    assert.deepEqual(
      diff(lost, built).steps.filter(({ part }) => part === 'files'),
      [],
      'without its underlay the MTU is not known',
    );
  });

  it('goes with its overlay and with the agent; others’ files are neither written over nor removed', () => {
    const built = predict(bareHost, diff(desired(input(), { underlay }), bareHost).steps);
    const removed = (wish: ReturnType<typeof desired>, on: ObservedHost) =>
      diff(wish, on).steps.flatMap((step) => (step.kind === 'file-delete' ? [step.path] : []));
    const less = input(places, { lease: { ...input().lease, overlays: input().lease.overlays.slice(0, 1) } });
    assert.deepEqual(removed(desired(less, { underlay }), built), ['/run/sublet/dcos6.env']);
    const settings: HostSettings = input().settings;
    assert.equal(removed(nothing(['c1'], settings), built).length, 4);
    const foreign: ObservedHost = {
      ...built,
      runFiles: {
        kind: 'read',
        value: new Map([
          ['/run/flannel/subnet.env', 'FLANNEL_NETWORK=10.0.0.0/8\n'],
          ['/run/sublet/lease.json', '{"mark":"sublet:another"}'],
          ['/run/sublet/other.env', 'A=1\n'],
        ]),
      },
    };
    assert.deepEqual(removed(nothing(['c1'], settings), foreign), []);
    assert.deepEqual([...written(input(), foreign).keys()], ['/run/sublet/dcos.env', '/run/sublet/dcos6.env']);
    assert.match(problemsOf(input(), foreign).join('\n'), /\/run\/flannel\/subnet\.env is there and not Sublet's/);
  });

  it('is a failure where its folder can’t be used', () => {
    const closed: ObservedHost = { ...bareHost, runFiles: { kind: 'unreadable', error: 'run_dir is not used: …' } };
    assert.deepEqual(problemsOf(input(), closed), ['run_dir is not used: …']);
    assert.deepEqual(problemsOf(input({}), closed), []);
  });
});
