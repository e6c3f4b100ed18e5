/**
 * docs/operations/corruption.md with real processes: the plan of one master is changed on its disk in a way that no sum
 * shows, and the masters find it. The way out on that page is the one that is gone here.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { falsify } from '#cluster-test/operations/falsify.js';
import { command, operate, running } from '#cluster-test/operations/operator.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';
import { PersistentRegistrar } from '#cluster-test/process/persistent-registrar.js';
import { replicaView } from '#cluster-test/process/replica-view.js';

/** The leader compares every 30 s; a master that answers too late for one comparison is in the next. */
const comparedBoundMs = 80_000;
const agents = 20;

describe('a master whose plan differs', function () {
  this.timeout(360_000);
  let masters: Masters;

  before(async () => {
    masters = await Masters.start({ count: 3, config: benchConfig() });
  });
  afterEach(function () {
    showOnFailure(this, masters.masters);
  });
  after(async () => {
    await masters?.[Symbol.asyncDispose]();
  });

  it('is found, stops with the reason while the others serve, and is replaced', async () => {
    using registrar = new PersistentRegistrar(masters.addresses);
    for (let number = 0; number < agents; number++) await registrar.register(number);
    const leader = await masters.leader();
    const corrupt = masters.masters.find((master) => master !== leader);
    assert.ok(corrupt);
    await corrupt.child.stop();
    await falsify(corrupt.dataDir, 'agent-7', '9.200.0.0');
    masters.restart(corrupt);
    // Nothing that it checks itself shows it.
    await masters.ready([corrupt]);
    const asked = await command('agents', 'agent-7', '--stale', '--master', corrupt.api);
    assert.match(asked.output, /9\.200\.0\.0\/24/);

    const { code } = await until('it is found, and stops', comparedBoundMs, async () =>
      corrupt.child.running ? undefined : corrupt.child.exited,
    );
    assert.equal(code, 70, corrupt.child.output);
    const why = `the plan of master ${corrupt.name} is corrupt: the masters differ in the plan at revision \\d+`;
    assert.match(corrupt.child.output, new RegExp(why));
    assert.match(corrupt.child.output, /docs\/operations\/corruption\.md/);

    // The others say so and serve; asking again gives what the majority has.
    const others = masters.masters.filter((master) => master !== corrupt);
    for (const { api, name } of others) {
      await until(`${name} says so`, comparedBoundMs, async () => {
        const { output } = await command('status', '--master', api);
        assert.match(output, new RegExp(`the masters differ in the plan.*${corrupt.name} has `, 's'));
        return true;
      });
    }
    using client = new PersistentRegistrar(running(masters));
    const { agent } = await client.register(7);
    assert.equal(agent?.overlays?.[0]?.subnet, '9.0.7.0/24');
    await client.register(agents);

    // The way out.
    const file = join(masters.folder, 'agreed.snapshot');
    const saved = await command('snapshot', 'save', file, '--master', leader.api);
    assert.equal(saved.code, 0, saved.output);
    const successor = await masters.join('m4');
    await until('m4 waits', comparedBoundMs, () => holds(/has no member/.test(successor.child.output)));
    await operate(masters, 'members', 'replace', corrupt.name, `m4=${successor.peer}`);
    const names = [...others.map(({ name }) => name), 'm4'].sort();
    const { members } = JSON.parse(await operate(masters, 'members', '-o', 'json'));
    assert.deepEqual(
      members.map(({ name }: { name: string }) => name),
      names,
    );
    await until('the plans are equal', comparedBoundMs, async () => {
      const views = await Promise.all(running(masters).map((address) => replicaView(address)));
      const [first] = views;
      return holds(views.every(({ json }) => JSON.stringify(json) === JSON.stringify(first?.json)));
    });
  });
});
