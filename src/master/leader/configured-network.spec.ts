import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseCidr4 } from '#address/cidr4.js';
import { clusterService, operatorService } from '#api/services.js';
import { encodeCommand } from '#ipam/codec/command-codec.js';
import type { Action } from '#ipam/commands/command.js';
import { commandKindOf } from '#ipam/commands/command-kind.js';
import type { Overlay } from '#ipam/network.js';
import { TestMasters, testOverlay, testSettings } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';
import type { sublet } from '#proto/sublet.js';

function overlay(name: string, subnet: string): Overlay {
  return { name, v4: { subnet: parseCidr4(subnet), prefix: 24 }, v6: undefined, enabled: true };
}
const blue = overlay('blue', '10.128.0.0/9');

/** All overlays of the plan, by name. */
function names(masters: TestMasters): readonly string[] {
  return masters.master(0).machine.network?.overlays.map(({ name }) => name) ?? [];
}

async function warnings(masters: TestMasters): Promise<readonly { message: string; remedy: string }[]> {
  const { warnings } = await masters.client().call(clusterService.getStatus, {}, { idempotent: true });
  return warnings.map(({ message, remedy }) => ({ message: message ?? '', remedy: remedy ?? '' }));
}

describe('the network of the file', () => {
  it('is established by the first leader, once', async () => {
    await using masters = await TestMasters.start({ count: 3 });
    await until('there is a network', () => names(masters).length === 1);
    masters.cluster.elect(1);
    masters.cluster.elect(2);
    await masters.register('agent-1', {}, 2);
    assert.equal(masters.commands.length, 2, 'one network and one agent');
  });

  it('is not established before the leader knows the state', async () => {
    await using masters = await TestMasters.start({ elect: false });
    masters.cluster.elect(0, { ready: false });
    await nextTurn();
    assert.equal(masters.cluster.commands.length, 0);
    const { member } = masters.master(0);
    member.ready = true;
    member.announce(false);
    await nextTurn();
    assert.deepEqual(masters.cluster.commands.map(commandKindOf), ['mark-branch', 'configure-network']);
  });

  it('brings new overlays in at the start of a leader', async () => {
    const file = { settings: testSettings, overlays: [testOverlay, blue] };
    await using masters = await TestMasters.start({ file });
    await until('the overlay is added', () => names(masters).includes('blue'));
    assert.deepEqual(await warnings(masters), []);
  });

  it('does not bring back an overlay that was removed, and says so', async () => {
    const file = { settings: testSettings, overlays: [testOverlay, blue] };
    await using masters = await TestMasters.start({ count: 2, file });
    await until('the overlay is added', () => names(masters).includes('blue'));
    await masters.client().call(operatorService.removeOverlay, { name: 'blue' }, { idempotent: false });
    masters.cluster.elect(1);
    await masters.register('agent-1', {}, 1);
    assert.deepEqual(names(masters), ['dcos']);
    const [warning] = await warnings(masters);
    assert.match(warning?.message ?? '', /network.overlays.blue .* the plan has removed/);
    assert.match(warning?.remedy ?? '', /sublet overlay add blue --subnet 10\.128\.0\.0\/9 --prefix 24$/);
  });

  it('that disagrees never stops a master, and every difference is reported with its remedy', async () => {
    const settings = { ...testSettings, vtepSubnet: parseCidr4('44.128.0.0/16'), vtepMtu: 1400 };
    const file = { settings, overlays: [overlay('dcos', '9.0.0.0/9'), overlay('over', '9.200.0.0/16')] };
    const logged: string[] = [];
    const note = (_: object, message: string): void => void logged.push(message);
    const logger = { debug: () => undefined, info: () => undefined, warn: note, error: note };
    await using masters = await TestMasters.start({ file, logger });
    await masters.register('agent-1');
    const told = await warnings(masters);
    const about = (text: string) => told.find(({ message }) => message.includes(text));
    assert.match(about('vtep_subnet')?.message ?? '', /44.128.0.0\/16, the plan has 44.128.0.0\/20/);
    assert.match(about('vtep_subnet')?.remedy ?? '', /sublet network grow/);
    assert.match(about('overlays.dcos')?.message ?? '', /9.0.0.0\/9.*the plan has.*9.0.0.0\/8/);
    assert.match(about('overlays.over')?.remedy ?? '', /9.200.0.0\/16 of overlay "over" overlaps 9.0.0.0\/8/);
    assert.deepEqual(logged.toSorted(), told.map(({ message }) => message).toSorted());
    assert.deepEqual(names(masters), ['dcos']);
  });

  it('is reported in the log of a master that does not lead, too, and once', async () => {
    const logged: string[] = [];
    const note = (_: object, message: string): void => void logged.push(message);
    const logger = { debug: () => undefined, info: () => undefined, warn: note, error: note };
    const file = { settings: { vtepMtu: 1400 }, overlays: [testOverlay, blue] };
    await using masters = await TestMasters.start({ count: 3, file, logger, elect: false });
    masters.cluster.elect(0);
    await until('there is a network', () => names(masters).includes('blue'));
    const told = (member: string): number =>
      logged.filter((line) => line.includes(`the file of ${member} says network.vtep_mtu is 1400`)).length;
    masters.cluster.elect(0);
    await until('all have told', () => ['m1', 'm2', 'm3'].every((member) => told(member) > 0));
    masters.cluster.elect(1);
    masters.cluster.elect(2);
    await masters.register('agent-1', {}, 2);
    assert.deepEqual(['m1', 'm2', 'm3'].map(told), [1, 1, 1]);
    // Gone and come again, it is news.
    const update = (vtepMtu: number) =>
      masters.client(2).call(operatorService.updateNetwork, { vtepMtu }, { idempotent: false });
    await update(1400);
    masters.cluster.elect(0);
    await masters.register('agent-2');
    await update(0);
    masters.cluster.elect(2);
    await until('it is told again', () => told('m3') === 2);
  });

  it('is compared with the plan as it is, also by a master that is behind', async () => {
    const logged: string[] = [];
    const note = (_: object, message: string): void => void logged.push(message);
    const logger = { debug: () => undefined, info: () => undefined, warn: note, error: note };
    const settings = { vtepMtu: 1400 };
    await using masters = await TestMasters.start({
      count: 2,
      settings,
      file: { settings, overlays: undefined },
      logger,
    });
    const update = (vtepMtu: number) =>
      masters.client().call(operatorService.updateNetwork, { vtepMtu }, { idempotent: false });
    await update(0);
    masters.master(1).member.lags = true;
    await update(1400);
    assert.equal(masters.master(1).machine.network?.vtepMtu, 0);
    masters.cluster.elect(0);
    await masters.register('agent-1');
    assert.equal(masters.master(1).machine.network?.vtepMtu, 1400, 'it has looked');
    assert.deepEqual(logged, []);
  });

  it('does not bring back an overlay that was removed while it was on its way', async () => {
    const file = { settings: {}, overlays: [testOverlay, blue] };
    await using masters = await TestMasters.start({ file, elect: false });
    const { member } = masters.master(0);
    const append = (action: Action): number =>
      masters.cluster.append(encodeCommand({ ...action, wallTime: 0, by: '' }));
    append({ kind: 'configure-network', settings: testSettings, overlays: [testOverlay] });
    const held: (() => void)[] = [];
    member.held = held;
    masters.cluster.elect(0);
    await until('the overlay is proposed', () => held.length === 2);
    append({ kind: 'add-overlay', overlay: blue, source: 'operator' });
    append({ kind: 'remove-overlay', name: 'blue' });
    member.held = undefined;
    for (const go of held) go();
    await until('all is applied', () => member.appliedIndex === 5);
    assert.deepEqual(names(masters), ['dcos']);
  });

  it('that the plan does not fit is not proposed again and again', async () => {
    const file = { settings: {}, overlays: [testOverlay, overlay('over', '9.200.0.0/16')] };
    await using masters = await TestMasters.start({ count: 2, file });
    await masters.register('agent-1');
    masters.cluster.elect(1);
    await masters.register('agent-2', {}, 1);
    assert.equal(masters.commands.length, 3, 'one network and two agents');
  });

  it('is not compared in what it does not mention', async () => {
    await using masters = await TestMasters.start({ file: { settings: {}, overlays: [testOverlay] } });
    await masters.register('agent-1');
    assert.deepEqual(await warnings(masters), []);
  });

  it('that mentions no overlays leaves them to the plan, and one with an empty list does not', async () => {
    const settings = { vtepMtu: 1400 };
    await using silent = await TestMasters.start({ file: { settings, overlays: undefined } });
    await silent.register('agent-1');
    assert.deepEqual(
      (await warnings(silent)).map(({ message }) => message.match(/says (\S+)/)?.[1]),
      ['network.vtep_mtu'],
    );
    await using empty = await TestMasters.start({ file: { settings: {}, overlays: [] } });
    await empty.register('agent-1');
    const [warning] = await warnings(empty);
    assert.match(warning?.message ?? '', /does not have network.overlays.dcos, the plan does: 9.0.0.0\/8/);
  });

  it('that lacks an overlay that was added at run time is worth a notice, and no warning', async () => {
    const logged: string[] = [];
    const note = (level: string) => (_: object, message: string) => void logged.push(`${level}: ${message}`);
    const logger = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
    await using masters = await TestMasters.start({
      count: 2,
      logger,
      file: { settings: { vtepMtu: 1400 }, overlays: [testOverlay] },
    });
    const added = { name: 'blue', subnet: '10.128.0.0/9', prefix: 24, enabled: true };
    await masters.client().call(operatorService.addOverlay, { overlay: added }, { idempotent: false });
    const status = await masters.client().call(clusterService.getStatus, {}, { idempotent: true });
    assert.deepEqual(
      status.warnings.map(({ message, notice }) => [notice, message]),
      [
        [false, 'the file of m1 says network.vtep_mtu is 1400, the plan has 0; the plan counts'],
        [true, 'the file of m1 does not have network.overlays.blue, the plan does: 10.128.0.0/9 prefix 24, enabled'],
      ],
    );
    masters.cluster.elect(1);
    await masters.register('agent-1', {}, 1);
    assert.ok(logged.includes(`info: ${status.warnings[1]?.message}`));
    assert.ok(logged.includes(`warn: ${status.warnings[0]?.message}`));
  });

  it('can be changed over the API in what may change under agents, and what is not set stays', async () => {
    await using masters = await TestMasters.start();
    await masters.register('agent-1');
    const update = (request: sublet.v1.UpdateNetworkRequest.$Properties) =>
      masters.client().call(operatorService.updateNetwork, request, { idempotent: false });
    const { network } = await update({ vtepMtu: 1400, quarantineMs: 3_600_000 });
    assert.equal(network?.vtepMtu, 1400);
    assert.equal(network?.quarantineMs, 3_600_000);
    assert.equal(network?.reclaimMs, 0);
    assert.equal(network?.vtepSubnet, '44.128.0.0/20');
    const { network: back } = await update({ vtepMtu: 0 });
    assert.deepEqual([back?.vtepMtu, back?.quarantineMs], [0, 3_600_000]);
    const shown = await masters.client().call(operatorService.getNetwork, {}, { idempotent: true });
    assert.deepEqual(shown.network, back);
    const { agent } = await masters.register('agent-2');
    assert.equal(agent?.vxlan?.vtepMtu, 0);
  });

  it('has leases that can be made to last for ever over the API', async () => {
    await using masters = await TestMasters.start({ settings: { reclaimMs: 3_600_000 } });
    await masters.register('agent-1');
    const request = { reclaimMs: 0 };
    await masters.client().call(operatorService.updateNetwork, request, { idempotent: false });
    const { lease } = await masters.register('agent-1', { sequence: 2 });
    assert.equal(lease?.ttlSeconds, 0);
  });

  it('warns of an overlay that is full', async () => {
    const overlays = [{ ...overlay('tiny', '192.168.0.0/23'), enabled: true }];
    await using masters = await TestMasters.start({ overlays });
    await masters.register('agent-1');
    assert.deepEqual(await warnings(masters), []);
    await masters.register('agent-2');
    const [warning] = await warnings(masters);
    assert.equal(warning?.message, 'overlay tiny has no free IPv4 block: 2 of 2 are held, 0 quarantined');
    assert.match(warning?.remedy ?? '', /sublet overlay grow tiny --subnet CIDR/);
  });
});
