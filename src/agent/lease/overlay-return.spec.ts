import assert from 'node:assert/strict';
import { MasterError } from '#agent/master-api.js';
import { AgentWorld } from '#agent/testing/agent-world.js';
import { exampleNetwork, grant, snapshot, unavailable } from '#agent/testing/fake-masters.js';
import type { sublet } from '#proto/sublet.js';

const web = { name: 'web', subnet: '10.1.0.0/16', prefix: 24, enabled: true };
const both: sublet.v1.Network.$Properties = { ...exampleNetwork, overlays: [...(exampleNetwork.overlays ?? []), web] };
const drained: sublet.v1.Network.$Properties = {
  ...exampleNetwork,
  overlays: [...(exampleNetwork.overlays ?? []), { ...web, enabled: false, draining: true }],
};

/** An agent that holds a block of `dcos` and one of `web`. */
async function holder(): Promise<AgentWorld> {
  const world = new AgentWorld();
  world.masters.onRegister = (request) => {
    const response = grant(request, { network: both });
    response.agent?.overlays?.push({
      info: web,
      subnet: '10.1.0.0/24',
      mesosBridge: { name: 'm-web', ip: '10.1.0.0/25' },
    });
    return response;
  };
  world.masters.onWatch = (watch) =>
    watch.send(
      ...snapshot(100).map((each) =>
        each.snapshotChunk?.network ? { snapshotChunk: { ...each.snapshotChunk, network: both } } : each,
      ),
    );
  world.start();
  await world.time.runFor(1_000);
  assert.deepEqual(inputs(world), ['dcos', 'web']);
  return world;
}

function inputs(world: AgentWorld): readonly string[] {
  return (world.host.last()?.lease.overlays ?? []).map(({ name }) => name);
}

function drain(world: AgentWorld): void {
  world.masters.lastWatch.send({ changes: { revision: 101, changes: [{ revision: 101, networkChanged: drained }] } });
}

const clean = {
  overlays: [{ kind: 'ok', name: 'dcos', notes: [] }],
  problems: [],
  converged: true,
  cleared: true,
} as const;

describe('an agent whose overlay is drained', () => {
  it('gives it back only when nothing of it is left on the host, and then has it no more in its cache', async () => {
    const world = await holder();
    drain(world);
    await world.time.runFor(1_000);
    assert.deepEqual(inputs(world), ['dcos']);
    assert.deepEqual(world.masters.returns, [], 'the host has not said that it is clean');
    world.host.tell({ ...clean, cleared: undefined, converged: false } as never);
    await world.time.runFor(1_000);
    assert.deepEqual(world.masters.returns, []);
    let cached: readonly string[] = [];
    world.masters.onReturn = () => {
      cached = (world.store.lease?.lease.overlays ?? []).map(({ name }) => name);
      return undefined;
    };
    world.host.tell(clean);
    await world.time.runFor(1_000);
    assert.deepEqual(
      world.masters.returns.map(({ overlays, epoch }) => [overlays, epoch]),
      [[['web'], 7]],
    );
    assert.deepEqual(cached, ['dcos'], 'before the masters are told');
  });

  it('says what keeps it on the host', async () => {
    const world = await holder();
    drain(world);
    await world.time.runFor(1_000);
    world.host.tell({
      ...clean,
      problems: ['bridge m-web still carries 1 container: stop it'],
      cleared: undefined,
    } as never);
    await world.time.runFor(1_000);
    const report = world.masters.reports.at(-1)?.overlays?.find(({ overlay }) => overlay === 'web');
    assert.match(report?.state?.error ?? '', /^it is draining, and still on this host: bridge m-web still carries 1/);
    assert.deepEqual(world.masters.returns, []);
  });

  it('repeats the return until a master answers it, and registers if the masters refuse it', async () => {
    const world = await holder();
    drain(world);
    await world.time.runFor(1_000);
    world.masters.onReturn = () => unavailable;
    world.host.tell(clean);
    await world.time.runFor(11_000);
    assert.ok(world.masters.returns.length >= 2);
    const rounds = world.masters.registers.length;
    world.masters.onReturn = () => new MasterError('refused', 'FAILED_PRECONDITION', 'overlay "web" is not draining');
    world.masters.onRegister = (request) => grant(request, { network: both });
    await world.time.runFor(10_000);
    assert.equal(world.masters.registers.length, rounds + 1);
  });
});
