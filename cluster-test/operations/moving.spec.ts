/** docs/operations/moving.md with real processes: masters that are started at other peer addresses, with their own data. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { benchConfig, registration } from '#cluster-test/bench/plan.js';
import { command, operate, running } from '#cluster-test/operations/operator.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters, peerOf } from '#cluster-test/process/masters.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { sublet as proto } from '#proto/sublet.js';

const boundMs = 40_000;

type Lease = { readonly epoch: number; readonly subnet: string };

async function register(addresses: readonly string[], number: number, sequence = 1): Promise<Lease> {
  const client = new MasterClient({ masters: addresses, timeoutMs: 10_000 });
  try {
    const answer = await client.call(agentService.register, registration(number, sequence), { idempotent: true });
    return { epoch: answer.lease?.epoch ?? 0, subnet: answer.agent?.overlays?.[0]?.subnet ?? '' };
  } finally {
    client.close();
  }
}

/** The same master at another peer address; `members` as it is configured, all of them. */
function movedArgs(master: MasterProcess, members: ReadonlyMap<string, string>): readonly string[] {
  const rest = master.args.filter((arg, at) => arg !== '--member' && master.args[at - 1] !== '--member');
  return [
    ...rest.map((arg, at) => (rest[at - 1] === '--peer-listen' ? (members.get(master.name) ?? arg) : arg)),
    ...[...members].flatMap(([name, peer]) => ['--member', `${name}=${peer}`]),
  ];
}

const pairs = (members: ReadonlyMap<string, string>): string[] => [...members].map(([name, peer]) => `${name}=${peer}`);

async function peersOf(masters: Masters, from: MasterProcess): Promise<string[]> {
  return (await masters.status(from)).members.map(({ name, peer }) => `${name}=${peer}`).sort();
}

describe('masters that move', function () {
  this.timeout(180_000);
  let masters: Masters;
  let leases: Lease[];

  beforeEach(async () => {
    masters = await Masters.start({ count: 3, config: benchConfig() });
    leases = await Promise.all([1, 2, 3].map((number) => register(masters.addresses, number)));
  });
  afterEach(async function () {
    showOnFailure(this, masters.masters);
    await masters[Symbol.asyncDispose]();
  });

  const start = (master: MasterProcess, args: readonly string[]): void => {
    master.child = new Child(args);
  };

  async function newAddresses(names: readonly string[]): Promise<Map<string, string>> {
    const ports = await freePorts(names.length);
    return new Map(names.map((name, at) => [name, `127.0.0.1:${ports[at]}`]));
  }

  it('all at once are refused with their recorded addresses, and go on at the new ones once configured, with all they had', async () => {
    const incarnation = (await masters.status(await masters.leader())).incarnation;
    const old = new Map(masters.masters.map((master) => [master.name, peerOf(master)]));
    const moved = await newAddresses([...old.keys()]);
    await Promise.all(masters.masters.map(({ child }) => child.stop()));

    // Started as they are configured now, they do not find one another, and say at once where they are recorded.
    for (const master of masters.masters) start(master, movedArgs(master, moved));
    for (const master of masters.masters) {
      await until(`${master.name} says where it is recorded`, boundMs, () =>
        holds(
          pairs(old).every((pair) => master.child.output.includes(pair)) &&
            master.child.output.includes(`${master.name} is configured at ${moved.get(master.name)}`) &&
            master.child.output.includes(`sublet members move ${pairs(moved).join(' ')} --data-dir`),
        ),
      );
      const { code, output } = await command('status', '--master', master.api);
      assert.equal(code, 0, output);
      assert.match(output.replaceAll(/\s+/g, ' '), /the members are recorded at/);
    }
    const [first = assert.fail()] = masters.masters;
    const refused = await command('members', 'move', ...pairs(moved), '--data-dir', first.dataDir);
    assert.equal(refused.code, 1, refused.output);
    assert.match(refused.output, /is in use by/);

    await Promise.all(masters.masters.map(({ child }) => child.stop()));
    for (const { dataDir, name } of masters.masters) {
      const { code, out, output } = await command('members', 'move', ...pairs(moved), '--data-dir', dataDir);
      assert.equal(code, 0, output);
      assert.match(out, new RegExp(`Noted in the store of ${name}\\.`));
      assert.ok(existsSync(join(dataDir, 'sublet', 'moved.json')));
    }
    for (const master of masters.masters) start(master, movedArgs(master, moved));
    await masters.ready();

    for (const [at, lease] of leases.entries()) {
      assert.deepEqual(await register(masters.addresses, at + 1, 2), lease, 'the lease is as it was');
    }
    const status = await masters.status(await masters.leader());
    assert.deepEqual([status.incarnation, status.adoption], [incarnation, false]);
    // The cluster has recorded it: what was set by hand is out of use at each.
    for (const master of masters.masters) {
      await until(`${master.name} has it from the log`, boundMs, () =>
        holds(!existsSync(join(master.dataDir, 'sublet', 'moved.json'))),
      );
      assert.deepEqual(await peersOf(masters, master), pairs(moved).sort());
    }
    const history = JSON.parse(await operate(masters, 'history', '--what', 'replace-member', '-o', 'json'));
    assert.equal(history.entries.length, 3, JSON.stringify(history));

    // From here on nothing depends on the file: one that is killed comes back by the log alone.
    const [, second = assert.fail()] = masters.masters;
    await second.child.kill();
    start(second, movedArgs(second, moved));
    await masters.ready([second]);
    assert.doesNotMatch(second.child.output, /the members are recorded at/);
  });

  it('two of which alone are configured for it serve, and the third says what is to be done until it is, too', async () => {
    const moved = await newAddresses(masters.masters.map(({ name }) => name));
    await Promise.all(masters.masters.map(({ child }) => child.stop()));
    const tell = async ({ dataDir }: MasterProcess): Promise<void> => {
      const { code, output } = await command('members', 'move', ...pairs(moved), '--data-dir', dataDir);
      assert.equal(code, 0, output);
    };
    const [first = assert.fail(), second = assert.fail(), third = assert.fail()] = masters.masters;
    for (const master of [first, second]) await tell(master);
    for (const master of masters.masters) start(master, movedArgs(master, moved));
    await masters.ready([first, second]);
    assert.deepEqual(await register([first.api], 1, 2), leases[0]);
    await until('the third says what is to be done', boundMs, () =>
      holds(/members move .* --data-dir/.test(third.child.output)),
    );
    await third.child.stop();
    await tell(third);
    start(third, movedArgs(third, moved));
    await masters.ready([third]);
    // It is recorded by a command of the leader, which a master that is ready need not have applied yet.
    await until('the third knows all addresses', boundMs, async () => {
      assert.deepEqual(await peersOf(masters, third), pairs(moved).sort());
      return true;
    });
  });

  it('one at a time are recorded by a command, while the others serve', async () => {
    const leader = await masters.leader();
    const mover = masters.masters.find((master) => master !== leader) ?? assert.fail();
    const all = new Map(masters.masters.map((master) => [master.name, peerOf(master)]));
    const [[, peer = ''] = []] = await newAddresses([mover.name]);
    await mover.child.stop();
    const early = await command('members', 'move', `${mover.name}=${peer}`, '--master', running(masters).join(','));
    assert.equal(early.code, 1, early.output);
    assert.match(early.output, /no master answers there: nothing listens there; start m\d there first/);
    const wrong = await command('members', 'move', `${mover.name}=${peerOf(leader)}`, '--master', leader.api);
    assert.match(wrong.output, new RegExp(`it is ${leader.name} that answers there`));

    start(mover, movedArgs(mover, new Map([...all, [mover.name, peer]])));
    await until('it says where it is recorded', boundMs, () =>
      holds(/the members are recorded at/.test(mover.child.output)),
    );
    assert.match(await operate(masters, 'members', 'move', `${mover.name}=${peer}`), /is recorded at/);
    await masters.ready([mover]);
    const { members } = await masters.status(leader);
    assert.deepEqual(
      members.map(({ role }) => role).filter((role) => role === proto.v1.MemberRole.MEMBER_ROLE_LEARNER),
      [],
      'its vote stays',
    );
    await operate(masters, 'members', 'move', `${mover.name}=${peer}`);
    const lease = leases[0] ?? assert.fail();
    assert.deepEqual(await register([mover.api], 1, 2), lease);
  });
});
