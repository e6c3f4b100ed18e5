/** Blocks that are reserved for a node address: the agent that registers it gets them, whatever its id is. */
import assert from 'node:assert/strict';
import { formatCidr4, parseCidr4 } from '#address/cidr4.js';
import { formatCidr, parseCidr, parseIp } from '#address/ip.js';
import { parseIpv4 } from '#address/ipv4.js';
import type { Action } from '#ipam/commands/command.js';
import { parseAgentId } from '#ipam/identity.js';
import { parseNodeIp } from '#ipam/registration-fields.js';
import { overlay as overlayOf, PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const both = overlayOf('dcos', '9.0.0.0/8', 24, 'fd01:b::/64', 80);

/** An address alone is one of the VTEP subnet. */
function forNode(subnet: string, node: string): Action {
  const overlay = subnet.endsWith('/32') ? undefined : 'dcos';
  return { kind: 'reserve', overlay, subnet: parseCidr(subnet), nodeIp: parseNodeIp(parseIp(node)) };
}

function forAgent(subnet: string, id: string): Action {
  return { kind: 'reserve', overlay: 'dcos', subnet: parseCidr(subnet), agentId: parseAgentId(id) };
}

/** `9.0.7.0/24 44.128.0.9` */
function held(plan: PlanUnderTest, id: string): string {
  const { overlays, vxlan } = plan.agent(id);
  const subnets = overlays.flatMap(({ subnet, subnet6 }) => [subnet ?? [], subnet6 ?? []].flat());
  return [...subnets.map(formatCidr), formatCidr4(vxlan.vtepIp).replace(/\/.*/, '')].join(' ');
}

describe('rule 6, reserved for a node address', () => {
  it('gives the agent at that address its blocks of both families and its VTEP address, and no other agent', () => {
    const plan = new PlanUnderTest({}, [both]);
    plan.run(forNode('9.0.0.0/24', '10.9.9.9'));
    plan.run(forNode('fd01:b:0:0:7::/80', '10.9.9.9'));
    plan.run(forNode('44.128.0.1/32', '10.9.9.9'));
    plan.register('a1');
    assert.equal(held(plan, 'a1'), '9.0.1.0/24 fd01:b::/80 44.128.0.2');
    plan.register('whatever', { node: '10.9.9.9' });
    assert.equal(held(plan, 'whatever'), '9.0.0.0/24 fd01:b:0:0:7::/80 44.128.0.1');
    assert.deepEqual(plan.restored().hash(), plan.ipam.hash());
  });

  it('comes after what is reserved for the agent’s id', () => {
    const plan = new PlanUnderTest();
    plan.run(forNode('9.0.5.0/24', '10.0.0.2'));
    plan.run(forAgent('9.0.6.0/24', 'a1'));
    plan.register('a1');
    assert.match(held(plan, 'a1'), /^9\.0\.6\.0\/24 /);
  });

  it('lasts until an operator ends it: after a release the next agent at that address gets the block', () => {
    const plan = new PlanUnderTest();
    plan.run(forNode('9.0.5.0/24', '10.0.0.2'));
    plan.register('a1');
    plan.release('a1');
    plan.time += 900_000;
    plan.register('b', { node: '10.0.0.99' });
    assert.match(held(plan, 'b'), /^9\.0\.0\.0\/24 /);
    plan.register('c', { node: '10.0.0.2' });
    assert.match(held(plan, 'c'), /^9\.0\.5\.0\/24 /);
    plan.run({ kind: 'unreserve', overlay: 'dcos', subnet: parseCidr('9.0.5.0/24') });
    assert.deepEqual(plan.ipam.reservations(), []);
  });

  it('goes with no agent: one that moves keeps what it holds, and the next one at the address gets another block', () => {
    const plan = new PlanUnderTest();
    plan.run(forNode('9.0.5.0/24', '10.0.0.2'));
    plan.register('a1');
    plan.register('a1', { node: '10.0.0.77', sequence: 2 });
    plan.register('b', { node: '10.0.0.2' });
    assert.match(held(plan, 'a1'), /^9\.0\.5\.0\/24 /);
    assert.match(held(plan, 'b'), /^9\.0\.0\.0\/24 /);
  });

  it('does not give an agent back what it held, once that is for another address', () => {
    const plan = new PlanUnderTest();
    plan.register('a1');
    plan.release('a1');
    plan.run(forNode('9.0.0.0/24', '10.9.9.9'));
    plan.register('a1', { instance: 'new' });
    assert.match(held(plan, 'a1'), /^9\.0\.1\.0\/24 /);
    plan.time += 900_000;
    plan.register('x', { node: '10.9.9.9' });
    assert.match(held(plan, 'x'), /^9\.0\.0\.0\/24 /);
  });

  it('is honoured in adoption for what the agent at that address runs on', () => {
    const plan = new PlanUnderTest();
    plan.run(forNode('9.0.5.0/24', '10.9.9.9'));
    plan.run({ kind: 'begin-adoption' });
    const subnets = [{ overlay: 'dcos', subnet: parseCidr4('9.0.5.0/24'), subnet6: undefined }];
    plan.register('y', { node: '10.9.9.8', held: { vtepIp: parseIpv4('44.128.0.8'), subnets } });
    plan.register('x', { node: '10.9.9.9', held: { vtepIp: parseIpv4('44.128.0.9'), subnets } });
    assert.equal(held(plan, 'y'), '44.128.0.8');
    assert.equal(held(plan, 'x'), '9.0.5.0/24 44.128.0.9');
  });

  it('is made twice without a change, also for what the agent there holds already', () => {
    const plan = new PlanUnderTest();
    plan.register('a1');
    plan.run(forNode('9.0.0.0/24', '10.0.0.2'));
    const { revision } = plan.ipam;
    plan.run(forNode('9.0.0.0/24', '10.0.0.2'));
    assert.equal(plan.ipam.revision, revision);
  });

  it('is refused for what another has a right to, and for an address that no agent can have', () => {
    const plan = new PlanUnderTest();
    plan.register('a1');
    plan.run(forNode('9.0.5.0/24', '10.9.9.9'));
    plan.run(forAgent('9.0.6.0/24', 'vip'));
    const refused = (action: Action): string => plan.refused(action).message;
    assert.match(refused(forNode('9.0.0.0/24', '10.9.9.9')), /agent "a1" holds it/);
    assert.match(refused(forNode('9.0.5.0/24', '10.9.9.8')), /it is reserved for node 10\.9\.9\.9 already/);
    assert.match(refused(forAgent('9.0.5.0/24', 'vip')), /it is reserved for node 10\.9\.9\.9 already/);
    assert.match(refused(forNode('9.0.6.0/24', '10.9.9.8')), /it is reserved for agent "vip" already/);
    assert.match(
      refused(forNode('9.0.7.0/24', '9.0.9.9')),
      /node_ip 9\.0\.9\.9 lies in overlay "dcos" \(9\.0\.0\.0\/8\): no agent can register it/,
    );
    const exclude: Action = { kind: 'exclude', overlay: 'dcos', subnet: parseCidr('9.0.4.0/23') };
    assert.match(refused(exclude), /reserved for node 10\.9\.9\.9; unreserve/);
  });

  it('goes over to the agent that an operator puts in the place of the one at that address', () => {
    const plan = new PlanUnderTest();
    plan.run(forNode('9.0.5.0/24', '10.0.0.2'));
    plan.register('a1');
    const replace: Action = {
      kind: 'replace-agent',
      agentId: parseAgentId('a1'),
      successor: parseAgentId('b'),
      off: true,
      holders: [plan.judge('a1', true, 40)],
    };
    plan.run(replace);
    plan.register('b', { node: '10.0.0.50' });
    assert.match(held(plan, 'b'), /^9\.0\.5\.0\/24 /);
    assert.equal(plan.restored().hash(), plan.ipam.hash());
  });

  it('is found by a lookup, and named in the history', () => {
    const plan = new PlanUnderTest();
    plan.run(forNode('9.0.5.0/24', '10.9.9.9'));
    const found = plan.ipam.lookup(parseIp('9.0.5.7'), 0);
    assert.ok(found.kind === 'overlay');
    assert.deepEqual([found.state, found.agentId, found.reservedNode], ['reserved', undefined, parseIp('10.9.9.9')]);
    const [last] = plan.ipam.history({ after: 0, limit: 1 });
    assert.deepEqual([last?.what, last?.subjects], ['reserve', ['9.0.5.0/24', '10.9.9.9']]);
  });
});
