/** docs/operations/membership.md with real processes: the commands on that page are the ones that are run here. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { faultSeed } from '#cluster-test/faults/seed.js';
import { LoggedStorm } from '#cluster-test/operations/logged-storm.js';
import { command, operate, running } from '#cluster-test/operations/operator.js';
import { Storm } from '#cluster-test/operations/storm.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { type JoiningMaster, type MasterProcess, type Masters, shownMasters } from '#cluster-test/process/masters.js';

const boundMs = 20_000;
/** As fast as this machine goes, with the masters, the clients and the test on it. */
const load = { clients: 2, workers: 16, pauseMs: 0 };
/** Registrations between two changes: each change is made in a storm, however slow the machine is. */
const registrationsBetween = 60;
const changes = 8;

async function admit(masters: Masters, newcomer: JoiningMaster): Promise<void> {
  const { name } = newcomer;
  await until(`${name} waits`, boundMs, () => holds(/has no member/.test(newcomer.child.output)));
  await operate(masters, 'members', 'add', `${name}=${newcomer.peer}`);
  await until(`${name} votes`, boundMs, async () => {
    await operate(masters, 'members', 'promote', name);
    return true;
  });
}

async function leave(masters: Masters, name: string): Promise<void> {
  const master = named(masters, name);
  await operate(masters, 'members', 'remove', name);
  const { code } = await master.child.exited;
  assert.equal(code, 71, master.child.output);
  assert.match(master.child.output, /was removed from the cluster.*to rejoin it needs an empty data directory/s);
}

function named(masters: Masters, name: string): MasterProcess {
  const found = masters.masters.find((master) => master.name === name);
  if (found === undefined) throw new RangeError(`there is no master ${name}`);
  return found;
}

async function voters(masters: Masters): Promise<readonly string[]> {
  const { members } = JSON.parse(await operate(masters, 'members', '-o', 'json'));
  const voting = members.filter(({ role }: { role: string }) => role !== 'MEMBER_ROLE_LEARNER');
  return voting.map(({ name }: { name: string }) => name);
}

describe('membership by operators', function () {
  this.timeout(180_000);
  const start = shownMasters(this);

  it('goes from 1 master to 3, to 5, to 3 and to 1 under load, and nothing is lost', async () => {
    await using masters = await start({ count: 1, config: benchConfig() });
    const newcomers = await Promise.all(['m2', 'm3', 'm4', 'm5'].map((name) => masters.join(name)));
    const addresses = masters.masters.map(({ api }) => api);
    const seed = faultSeed('membership');
    await using storm = await LoggedStorm.start({ masters: addresses, ...load, folder: masters.folder, seed });
    const flows = async (): Promise<void> => {
      const wanted = (await storm.acknowledged()) + registrationsBetween;
      await until(`${wanted} registrations`, boundMs, async () => holds((await storm.acknowledged()) >= wanted));
    };
    for (const newcomer of newcomers) {
      await admit(masters, newcomer);
      await flows();
    }
    // The newest may lack what the others have just been sent.
    await until('all are heard, and none is at risk', boundMs, async () => {
      const { members } = JSON.parse(await operate(masters, 'members', '-o', 'json'));
      assert.deepEqual(
        members.map((member: { name: string; alive: boolean; stopRisk?: string }) => [
          member.name,
          member.alive,
          member.stopRisk ?? '',
        ]),
        ['m1', 'm2', 'm3', 'm4', 'm5'].map((name) => [name, true, '']),
      );
      return true;
    });
    // The leader among them: it hands over first.
    const leader = await masters.leader();
    const others = masters.masters.filter(({ name }) => name !== leader.name && name !== 'm5');
    for (const { name } of [leader, ...others]) {
      await leave(masters, name);
      await flows();
    }
    const { acknowledged, answersPerSecond, repeated, reads, longestWaitMs } = await storm.verdict(running(masters));
    assert.ok(acknowledged >= changes * registrationsBetween, `${acknowledged} registrations are no storm`);
    console.log(
      `      ${acknowledged} acknowledged, none lost, none twice, at ${Math.round(answersPerSecond)} answers/s; ` +
        `${repeated} asked again, ${reads} read; longest wait ${Math.round(longestWaitMs)} ms`,
    );
    // Started again with their stores, they are refused once more, and stop.
    const gone = masters.masters.filter(({ name }) => name !== 'm5');
    for (const master of gone) masters.restart(master);
    for (const { child } of gone) {
      assert.equal((await child.exited).code, 71, child.output);
      assert.match(child.output, /was removed from the cluster and takes no part any more; to rejoin/);
    }
    const left = JSON.parse(await operate(masters, 'members', '-o', 'json'));
    assert.equal(left.members.length, 1);
  });

  it('replaces a dead master, and then the one that leads, each in one step, and nothing is lost', async () => {
    await using masters = await start({ count: 3, config: benchConfig() });
    await using storm = new Storm({ addresses: () => running(masters), clients: 2, pauseMs: 10 });
    const m3 = named(masters, 'm3');
    await m3.child.kill();
    await until('the others know that m3 is gone', boundMs, async () =>
      holds(/m3 .*dead for/.test(await operate(masters, 'members'))),
    );
    // One that is up must not go while another one is dead: the two that stayed could not go on.
    const leader = await masters.leader();
    const other = named(masters, leader.name === 'm1' ? 'm2' : 'm1');
    const refused = await command('members', 'remove', other.name, '--master', leader.api);
    assert.equal(refused.code, 1, refused.output);
    assert.match(
      refused.output,
      /2 would vote, of whom 2 are needed, and m3 is not heard of: start, replace or remove m3 first/,
    );

    const m4 = await masters.join('m4');
    await until('m4 waits', boundMs, () => holds(/has no member/.test(m4.child.output)));
    const replaced = await operate(masters, 'members', 'replace', 'm3', `m4=${m4.peer}`);
    assert.match(replaced, /m4 votes in the place of m3\. There are m1, m2, m4\.\n$/);
    assert.deepEqual(await voters(masters), ['m1', 'm2', 'm4']);
    masters.restart(m3);
    assert.equal((await m3.child.exited).code, 71, m3.child.output);
    assert.match(m3.child.output, /was removed from the cluster and takes no part any more; to rejoin/);

    const leads = await masters.leader();
    const m5 = await masters.join('m5');
    await until('m5 waits', boundMs, () => holds(/has no member/.test(m5.child.output)));
    const json = JSON.parse(await operate(masters, 'members', 'replace', leads.name, `m5=${m5.peer}`, '-o', 'json'));
    const names = ['m1', 'm2', 'm4', 'm5'].filter((name) => name !== leads.name);
    assert.deepEqual(
      json.members.map(({ name }: { name: string }) => name),
      names,
    );
    assert.deepEqual(await voters(masters), names);
    assert.equal((await leads.child.exited).code, 71, leads.child.output);
    // Asked again, it lists the members that there are.
    const again = await command('members', 'replace', leads.name, 'm5', '--master', running(masters).join());
    assert.match(again.output, new RegExp(`there is no member "${leads.name}"; there are ${names.join(', ')}`));
    await storm.stop();
    await storm.check([m5.api]);
  });

  it('records each addition, promotion, replacement and removal in the history, on every master alike', async () => {
    await using masters = await start({ count: 1, config: benchConfig() });
    const [m2, m3, m4] = [await masters.join('m2'), await masters.join('m3'), await masters.join('m4')];
    await admit(masters, m2);
    await admit(masters, m3);
    await operate(masters, 'transfer', 'm3');
    // The one that leads: it hands over first, and the next leader does what was asked.
    await until('m3 leads', boundMs, async () => holds((await masters.leader()).name === 'm3'));
    await until('m4 waits', boundMs, () => holds(/has no member/.test(m4.child.output)));
    await operate(masters, 'members', 'replace', 'm3', `m4=${m4.peer}`);
    await leave(masters, 'm2');
    // The history has nothing of what was refused.
    const again = await command('members', 'remove', 'm2', '--master', running(masters).join());
    assert.match(again.output, /there is no member "m2"; there are m1, m4/);

    const told = async (address: string): Promise<readonly (readonly unknown[])[]> => {
      const { code, out, output } = await command('history', '-o', 'json', '--master', address);
      assert.equal(code, 0, output);
      const entries: readonly { what: string; who: string; subjects: string[]; detail: string }[] =
        JSON.parse(out).entries;
      const changes = entries.filter(({ what }) => what.endsWith('-member'));
      return changes.map(({ what, who, subjects, detail }) => [what, who, subjects.join(' '), detail]);
    };
    const who = 'operator@127.0.0.1';
    const expected = [
      ['add-member', who, 'm2', `at ${m2.peer}, as a learner`],
      ['promote-member', who, 'm2', `at ${m2.peer}`],
      ['add-member', who, 'm3', `at ${m3.peer}, as a learner`],
      ['promote-member', who, 'm3', `at ${m3.peer}`],
      ['add-member', who, 'm4', `at ${m4.peer}, as a learner`],
      ['replace-member', who, 'm3 m4', `m3 at ${m3.peer} by m4 at ${m4.peer}`],
      ['remove-member', who, 'm2', `at ${m2.peer}`],
    ];
    for (const name of ['m1', 'm4']) assert.deepEqual(await told(named(masters, name).api), expected, name);
    const table = await operate(masters, 'history');
    assert.match(table, /remove-member +operator@127\.0\.0\.1 +m2 at/);
    // No master lacked a part of the history: not even the founder, alone when it added the first one.
    for (const { child } of masters.masters) assert.doesNotMatch(child.output, /the history does not tell/);
  });

  it('catches up a master that was away while another one joined, and that one leads', async () => {
    await using masters = await start({ count: 3, config: benchConfig() });
    const away = named(masters, (await masters.leader()).name === 'm3' ? 'm2' : 'm3');
    await away.child.kill();
    const m4 = await masters.join('m4');
    await admit(masters, m4);
    await operate(masters, 'transfer', 'm4');
    await until('m4 leads', boundMs, async () => holds((await masters.leader()).name === 'm4'));
    masters.restart(away);
    await until(`${away.name} has caught up`, boundMs, async () => {
      const [one, other] = await Promise.all([masters.status(away), masters.status(m4)]);
      return holds(one.leader === 'm4' && one.appliedIndex === other.appliedIndex);
    });
    // It hands calls on to the leader that it has come to know.
    const { code, output } = await command('overlays', '--master', away.api);
    assert.equal(code, 0, output);
  });

  it('refuses a removed and a wiped master with the way to rejoin, and the wiped one rejoins by it', async () => {
    await using masters = await start({ count: 3, config: benchConfig() });
    await using storm = new Storm({ addresses: () => running(masters), clients: 2, pauseMs: 10 });
    const m3 = named(masters, 'm3');
    await m3.child.stop();
    const risk = await until('the others know that m3 is gone', boundMs, async () => {
      const table = await operate(masters, 'members');
      return /m3 .*dead for/.test(table) ? table : undefined;
    });
    assert.match(risk, /only 1 of 3 that vote would be up and caught up, and 2 are needed/);
    rmSync(m3.dataDir, { recursive: true });
    masters.restart(m3);
    assert.equal((await m3.child.exited).code, 70);
    assert.match(m3.child.output, /its data was lost.*sublet members remove m3.*--join/s);
    await operate(masters, 'members', 'remove', 'm3');
    const again = await masters.join('m3');
    await admit(masters, again);
    await storm.stop();
    await storm.check([again.api]);
  });
});
