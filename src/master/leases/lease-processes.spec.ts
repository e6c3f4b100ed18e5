import assert from 'node:assert/strict';
import { parseIp } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import { parseAgentId, parseInstanceId, parseRunId, type RunId } from '#ipam/identity.js';
import type { PlacedLease } from '#ipam/ipam.js';
import {
  type Contest,
  currentMs,
  describePlace,
  LeaseProcesses,
  reopenMs,
  unheardMs,
} from '#master/leases/lease-processes.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const agentId = parseAgentId('h');

/** One process of an agent, or one stream of a caller that sends no run_id. */
type Caller = {
  readonly runId: RunId | undefined;
  readonly stream: string;
  readonly connection: string;
  readonly nodeIp: string;
  readonly revision: number;
};

const first = {
  runId: parseRunId('r1'),
  stream: 'm1-a/1',
  connection: '10.0.0.1:4001',
  nodeIp: '10.0.0.1',
  revision: 0,
};
const clone = {
  runId: parseRunId('r2'),
  stream: 'm1-a/2',
  connection: '10.0.0.2:4002',
  nodeIp: '10.0.0.2',
  revision: 0,
};
/** The first one, started anew on its host. */
const restarted = {
  runId: parseRunId('r3'),
  stream: 'm1-a/3',
  connection: '10.0.0.1:4003',
  nodeIp: '10.0.0.1',
  revision: 0,
};

/** The leader's account, and the lease as the plan would have it. */
class Account {
  readonly time = new VirtualTime();
  readonly contested: Contest[] = [];
  readonly processes = new LeaseProcesses({ clock: this.time, contested: (contest) => this.contested.push(contest) });
  lease: PlacedLease = {
    agentId,
    instanceId: parseInstanceId('i'),
    epoch: 7,
    sequence: 5,
    nodeIp: parseIp('10.0.0.1'),
    runId: undefined,
  };

  revision = 40;

  constructor() {
    this.processes.begin();
  }

  /** Registers: 'ok', or the refusal. */
  register(caller: Caller, sequence = this.lease.sequence + 1): 'ok' | RefusedError {
    const { runId, connection } = caller;
    const nodeIp = parseIp(caller.nodeIp);
    let decided: () => void;
    try {
      decided = this.processes.admit(this.lease, { runId, connection, nodeIp, sequence });
    } catch (error) {
      assert.ok(error instanceof RefusedError);
      return error;
    }
    this.lease = { ...this.lease, nodeIp, sequence, runId };
    this.revision += 1;
    this.processes.registered(this.lease, { runId, connection }, this.revision);
    decided();
    return 'ok';
  }

  keepAlive(caller: Caller): 'ok' | RefusedError {
    return this.processes.keepAlive(this.lease, caller) ?? 'ok';
  }

  close(caller: Caller): void {
    this.processes.closed(this.lease, caller);
  }

  /** Both at work, in this order, until the second one is refused. */
  async keptAlive(caller: Caller, forMs: number): Promise<void> {
    for (let at = 0; at < forMs; at += 1_000) {
      assert.equal(this.keepAlive(caller), 'ok');
      await this.time.runFor(1_000);
    }
  }
}

function reasonOf(outcome: 'ok' | RefusedError): string {
  return outcome === 'ok' ? outcome : outcome.reason;
}

/** The first one is registered and kept alive. */
async function atWork(caller: Caller = first): Promise<Account> {
  const account = new Account();
  assert.equal(account.register(caller), 'ok');
  await account.keptAlive(caller, 3_000);
  return account;
}

describe('a lease is kept alive by one process', () => {
  it('and a copy of it is refused by registration and keep-alive, with both places named', async () => {
    const account = await atWork();
    const refused = account.register(clone);
    assert.ok(refused instanceof RefusedError);
    assert.equal(refused.reason, 'held-elsewhere');
    assert.match(
      refused.message,
      /at node_ip 10\.0\.0\.2 from 10\.0\.0\.2:4002: .*at node_ip 10\.0\.0\.1 from 10\.0\.0\.1:4001/,
    );
    assert.deepEqual(refused.details, { same_place: 'false' });
    assert.equal(reasonOf(account.keepAlive(clone)), 'held-elsewhere');
    const [contest] = account.processes.contests(1);
    assert.equal(contest && describePlace(contest.claimant), 'at node_ip 10.0.0.2 from 10.0.0.2:4002');
    assert.equal(account.keepAlive(first), 'ok');
    assert.equal(account.lease.sequence, 6, 'the sequence of the first one stays');
    assert.equal(account.processes.refused, 2);
  });

  it('and a process that starts anew has the lease at once when the stream of the one before is closed', async () => {
    const account = await atWork();
    account.close(first);
    assert.equal(account.register(restarted), 'ok');
    assert.equal(account.keepAlive(restarted), 'ok');
    assert.equal(account.contested.length, 0);
  });

  it('also when a keep-alive of the one before is still on its way', async () => {
    const account = await atWork();
    account.close(first);
    assert.equal(reasonOf(account.keepAlive(first)), 'unavailable');
    assert.equal(account.register(restarted), 'ok');
    assert.equal(reasonOf(account.keepAlive(first)), 'unavailable');
    assert.equal(account.keepAlive(restarted), 'ok');
    assert.equal(account.contested.length, 0);
  });

  it('also when the stream is closed before its first keep-alive was counted', () => {
    const account = new Account();
    account.register(first);
    account.close(first);
    assert.equal(reasonOf(account.keepAlive(first)), 'unavailable');
    assert.equal(account.register(restarted), 'ok');
  });

  it('unless its last keep-alive is older than the registration: that stream is a former one', () => {
    const account = new Account();
    account.register(first);
    account.close({ ...first, stream: 'm2-b/7', revision: account.revision - 1 });
    assert.equal(reasonOf(account.register(restarted)), 'held-elsewhere');
    account.close({ ...first, revision: account.revision });
    assert.equal(account.register(restarted), 'ok');
  });

  it('which is current until it has sent nothing for 15 s', async () => {
    const account = await atWork();
    await account.time.runFor(currentMs - 1_001);
    assert.equal(reasonOf(account.register(restarted)), 'held-elsewhere');
    await account.time.runFor(1);
    assert.equal(account.register(restarted), 'ok');
  });

  it('and may change its address at any time', async () => {
    const account = await atWork();
    const moved = { ...first, nodeIp: '10.0.0.9', connection: '10.0.0.9:4009' };
    assert.equal(account.register(moved), 'ok');
    assert.equal(account.keepAlive(moved), 'ok');
    assert.equal(reasonOf(account.register(clone)), 'held-elsewhere');
  });

  it('and may open its stream at another master, before the former one is closed or after', async () => {
    const account = await atWork();
    const elsewhere = { ...first, stream: 'm2-b/1' };
    assert.equal(account.keepAlive(elsewhere), 'ok');
    account.close(first);
    assert.equal(reasonOf(account.register(restarted)), 'held-elsewhere', 'the former stream says nothing any more');
    account.close(elsewhere);
    assert.equal(account.keepAlive({ ...first, stream: 'm3-c/1' }), 'ok');
    assert.equal(reasonOf(account.register(restarted)), 'held-elsewhere');
  });

  it('and a late message of its former stream, and that stream closed, do not end it', async () => {
    const account = await atWork();
    const there = { ...first, stream: 'm2-b/7' };
    assert.equal(account.keepAlive(there), 'ok');
    assert.equal(account.keepAlive(first), 'ok');
    account.close(first);
    assert.equal(reasonOf(account.register(restarted)), 'held-elsewhere');
    account.close(there);
    assert.equal(account.register(restarted), 'ok');
  });

  it('and a former stream that was never closed does not count once it was silent for 15 s', async () => {
    const account = await atWork();
    const there = { ...first, stream: 'm2-b/7' };
    await account.keptAlive(there, currentMs);
    account.close(there);
    assert.equal(account.register(restarted), 'ok');
  });

  it('and when its stream breaks off, another place waits for it to be opened anew', async () => {
    const account = await atWork();
    account.close(first);
    assert.equal(reasonOf(account.register(clone)), 'held-elsewhere');
    await account.time.runFor(reopenMs - 1);
    assert.equal(reasonOf(account.register(clone)), 'held-elsewhere');
    await account.time.runFor(1);
    assert.equal(account.register(clone), 'ok');
  });

  it('and the one that went on while it stood still has lost it', async () => {
    const account = await atWork();
    await account.time.runFor(60_000);
    assert.equal(account.register(clone), 'ok');
    assert.equal(account.keepAlive(clone), 'ok');
    assert.equal(reasonOf(account.keepAlive(first)), 'held-elsewhere');
    await account.time.runFor(60_000);
    assert.equal(reasonOf(account.keepAlive(first)), 'aborted', 'it registers again before it has the lease back');
    assert.equal(account.register(first), 'ok');
  });

  it('and a lower sequence of another process is corrected by the answer, and only then', async () => {
    const account = await atWork();
    account.close(first);
    const behind = account.register(restarted, 2);
    assert.ok(behind instanceof RefusedError);
    assert.equal(behind.reason, 'aborted');
    assert.deepEqual(behind.details, { sequence: '6' });
    assert.equal(account.register(restarted, 7), 'ok');
    // The plan itself tells a late request of the same process.
    assert.equal(account.register(restarted, 7), 'ok', 'a retry');
  });

  it('and a copy of it does not give the lease back, until the first one is stopped', async () => {
    const account = await atWork();
    const leave = (caller: Caller): void => account.processes.leave(account.lease, caller);
    assert.throws(() => leave(clone), /leave of agent_id "h" from 10\.0\.0\.2:4002: .* at node_ip 10\.0\.0\.1 /);
    leave(first);
    account.close(first);
    leave(restarted);
  });

  it('also where two ask at a time, when the one before them has gone', async () => {
    const account = await atWork();
    account.close(first);
    await account.time.runFor(reopenMs);
    const { lease } = account;
    const asked = { ...restarted, nodeIp: parseIp(restarted.nodeIp), sequence: lease.sequence + 1 };
    const decided = account.processes.admit(lease, asked);
    account.processes.admit(lease, asked)();
    const refused = account.register(clone);
    assert.ok(refused instanceof RefusedError);
    assert.equal(refused.reason, 'unavailable');
    assert.match(refused.message, /register agent_id "h": a registration of another process is under way; ask again/);
    assert.throws(
      () => account.processes.leave(lease, clone),
      /leave of agent_id "h": a registration of another process/,
    );
    assert.equal(reasonOf(account.keepAlive(first)), 'unavailable', 'it may have lost the lease by now');
    decided();
    assert.equal(account.register(clone), 'ok', 'the first one was not decided in its favour');
    const arrived = account.processes.arriving(agentId, first.runId);
    assert.throws(
      () => account.processes.arriving(agentId, clone.runId),
      /a registration of another process is under way/,
    );
    arrived();
    account.processes.arriving(agentId, clone.runId)();
  });

  it('and a leader that has just taken office hears first, in 5 s, whether the process of a lease lives', async () => {
    const account = await atWork();
    const leave = (): void => account.processes.leave(account.lease, clone);
    account.processes.begin();
    await account.time.runFor(unheardMs - 1);
    assert.throws(
      leave,
      /leave of agent_id "h" from 10\.0\.0\.2:4002: the process at node_ip 10\.0\.0\.1, which registered last/,
    );
    await account.time.runFor(1);
    leave();
    account.processes.begin();
    assert.equal(account.keepAlive(first), 'ok');
    await account.time.runFor(unheardMs);
    assert.throws(leave, /leave of agent_id "h"/);
  });

  it('and where both are at one place, the refusal says so', async () => {
    const account = await atWork();
    const beside = account.register(restarted);
    assert.ok(beside instanceof RefusedError);
    assert.deepEqual(beside.details, { same_place: 'true' });
  });
});

describe('a caller without a run_id is its keep-alive stream', () => {
  const stream = { ...first, runId: undefined };
  const second = { ...stream, stream: 'm1-a/2', nodeIp: '10.0.0.2' };

  it('and the second stream of a lease is refused, also on the same connection, with both addresses named', async () => {
    const account = await atWork(stream);
    assert.equal(account.register(second), 'ok', 'it could be the same caller, whose address has changed');
    const refused = account.keepAlive(second);
    assert.ok(refused instanceof RefusedError);
    assert.equal(refused.reason, 'held-elsewhere');
    assert.match(refused.message, /10\.0\.0\.2.*10\.0\.0\.1/);
    assert.equal(account.keepAlive(stream), 'ok');
    const contests = account.processes.contests(10);
    assert.deepEqual(
      contests.map(({ holder, claimant }) => [describePlace(holder), describePlace(claimant)]),
      [['at node_ip 10.0.0.1 from 10.0.0.1:4001', 'at node_ip 10.0.0.2 from 10.0.0.1:4001']],
    );
  });

  it('and another connection does not change its address, from the same host neither', async () => {
    const account = await atWork(stream);
    const moved = { ...second, connection: '10.0.0.1:4002' };
    assert.equal(reasonOf(account.register(moved)), 'held-elsewhere');
    assert.equal(reasonOf(account.keepAlive({ ...moved, nodeIp: '', connection: '10.0.0.1:4003' })), 'held-elsewhere');
    const [contest] = account.processes.contests(1);
    assert.equal(contest && describePlace(contest.claimant), 'at node_ip 10.0.0.2 from 10.0.0.1:4003');
    assert.equal(reasonOf(account.keepAlive({ ...moved, nodeIp: '', connection: '10.0.0.3:4003' })), 'held-elsewhere');
    const [other] = account.processes.contests(1);
    assert.equal(other && describePlace(other.claimant), 'from 10.0.0.3:4003');
    assert.equal(reasonOf(account.register({ ...second, connection: '10.0.0.2:4002' })), 'held-elsewhere');
    await account.time.runFor(currentMs);
    assert.equal(account.register(moved), 'ok', 'the stream has been silent for 15 s');
  });

  it('and has the lease anew as soon as the former stream is closed', async () => {
    const account = await atWork(stream);
    account.close(stream);
    assert.equal(account.register(second), 'ok');
    assert.equal(account.keepAlive(second), 'ok');
  });

  it('and does not get in beside a process that has one', async () => {
    const account = await atWork();
    assert.equal(reasonOf(account.register(stream)), 'held-elsewhere');
    assert.equal(reasonOf(account.keepAlive(stream)), 'held-elsewhere');
  });

  it('and is not judged when a master of an earlier release has passed its keep-alive on', async () => {
    const account = await atWork(stream);
    assert.equal(account.keepAlive({ ...second, stream: '' }), 'ok');
    assert.equal(account.keepAlive(stream), 'ok');
  });
});

describe('a leader that has just taken office', () => {
  it('takes the process that registered last for current, for 15 s', async () => {
    const account = await atWork();
    await account.time.runFor(60_000);
    account.processes.begin();
    const refused = account.register(clone);
    assert.ok(refused instanceof RefusedError);
    assert.equal(refused.reason, 'held-elsewhere');
    assert.deepEqual(refused.details, { same_place: 'true' }, 'nothing proves that it lives');
    assert.equal(account.keepAlive(first), 'ok');
    await account.time.runFor(currentMs - 1);
    assert.equal(reasonOf(account.register(clone)), 'held-elsewhere');
    await account.time.runFor(1);
    assert.equal(account.register(clone), 'ok');
  });

  it('takes a process at the same node address for it after 5 s: all that live have been heard then', async () => {
    const account = await atWork();
    account.processes.begin();
    await account.time.runFor(unheardMs - 1);
    assert.equal(reasonOf(account.register(restarted)), 'held-elsewhere');
    await account.time.runFor(1);
    assert.equal(reasonOf(account.register(clone)), 'held-elsewhere');
    assert.equal(account.register(restarted), 'ok');

    account.processes.begin();
    account.processes.open(account.lease, restarted);
    await account.time.runFor(unheardMs);
    assert.equal(reasonOf(account.register(first)), 'held-elsewhere', 'its stream is open at another master');
  });

  it('learns from other masters which streams are open, and which were closed', async () => {
    const account = await atWork();
    account.processes.begin();
    account.processes.open(account.lease, first);
    const refused = account.register(clone);
    assert.deepEqual(refused instanceof RefusedError && refused.details, { same_place: 'false' });
    account.close(first);
    assert.equal(account.register(restarted), 'ok');

    account.processes.begin();
    account.close(restarted);
    assert.equal(account.register(first), 'ok', 'closed, and never heard by this leader');
  });

  it('learns of an open stream of a process after a closed one of the same process', async () => {
    const account = await atWork();
    account.processes.begin();
    account.close({ ...first, stream: 'm1-a/9' });
    account.processes.open(account.lease, first);
    await account.time.runFor(reopenMs);
    assert.equal(reasonOf(account.register(clone)), 'held-elsewhere');
    account.close(first);
    assert.equal(account.register(restarted), 'ok', 'the open one is closed, too');
  });

  it('takes no report of a stream that it knows to be closed for an open one', async () => {
    const account = await atWork();
    account.close(first);
    account.processes.open(account.lease, first);
    await account.time.runFor(reopenMs);
    assert.equal(account.register(clone), 'ok');
  });

  it('counts a reported stream beside the one that it has heard', async () => {
    const account = await atWork();
    account.processes.open(account.lease, { ...first, stream: 'm2-b/1' });
    account.close(first);
    await account.time.runFor(reopenMs);
    assert.equal(reasonOf(account.register(clone)), 'held-elsewhere');
  });

  it('ignores reports of streams of others', async () => {
    const account = await atWork();
    account.processes.begin();
    account.processes.open(account.lease, clone);
    account.close(clone);
    assert.equal(reasonOf(account.register(clone)), 'held-elsewhere');
    assert.equal(account.keepAlive(first), 'ok');
  });

  it('counts no time in which it stood still itself', async () => {
    const account = await atWork();
    await account.time.runFor(60_000);
    account.processes.paused();
    assert.equal(reasonOf(account.register(clone)), 'held-elsewhere');
  });
});

describe('a contested lease', () => {
  it('is reported once, and again when another place asks or after a minute', async () => {
    const account = await atWork();
    for (let at = 0; at < 20; at++) {
      account.register(clone);
      await account.keptAlive(first, 5_000);
    }
    assert.equal(account.contested.length, 1);
    account.register({ ...clone, connection: '10.0.0.3:4002' });
    assert.equal(account.contested.length, 2);
    await account.keptAlive(first, 60_000);
    assert.equal(account.processes.contestCount, 0);
    account.register({ ...clone, connection: '10.0.0.3:4002' });
    assert.equal(account.contested.length, 3);
  });

  it('is one no more when the other process has it, or the lease has ended', async () => {
    const account = await atWork();
    account.register(clone);
    assert.equal(account.processes.contestCount, 1);
    account.close(first);
    await account.time.runFor(reopenMs);
    account.register(clone);
    assert.equal(account.processes.contestCount, 0);
    account.register(restarted);
    account.processes.forget(agentId);
    assert.equal(account.processes.contestCount, 0);
  });

  it('is remembered for 1,024 leases', () => {
    const account = new Account();
    for (let at = 0; at < 2_000; at++) {
      const lease = { ...account.lease, agentId: parseAgentId(`h${at}`) };
      assert.equal(account.processes.keepAlive(lease, first), undefined);
      assert.ok(account.processes.keepAlive(lease, clone) instanceof RefusedError);
    }
    assert.equal(account.processes.contestCount, 1_024);
    assert.equal(account.processes.contests(1)[0]?.agentId, 'h1999');
  });
});
