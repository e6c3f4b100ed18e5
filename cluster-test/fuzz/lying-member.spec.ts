/**
 * A member whose certificate and store id are right sends running masters messages of consensus with any content. A member
 * that lies is not withstood: a master may stop by its messages, and its cluster may be of no use any more. But it takes a
 * message or refuses it, or it stops and names the reason: it neither hangs nor fails in a way that was not expected.
 */
import assert from 'node:assert/strict';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { Amount, fuzzSeed, fuzzTimeoutMs } from '#cluster-test/fuzz/amount.js';
import { Chance } from '#cluster-test/fuzz/chance.js';
import { peerMessage } from '#cluster-test/fuzz/peer-messages.js';
import { FalseMaster, memberNamed } from '#cluster-test/intrusions/false-master.js';
import { until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters, peerOf } from '#cluster-test/process/masters.js';
import { sublet } from '#proto/sublet.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

const { PeerMessage } = sublet.raft.v1;
const boundMs = 30_000;
/** Of a stream. */
const messagesMax = 20;
/** As a master ends that must not go on: the log has the reason. */
const stoppedCode = 70;

describe('masters beside a member that lies', function () {
  this.timeout(fuzzTimeoutMs);
  let masters: Masters | undefined;

  afterEach(async function () {
    showOnFailure(this, masters?.masters);
    await masters?.[Symbol.asyncDispose]();
  });

  it('take its messages, refuse them, or stop and say why', async () => {
    const chance = new Chance(fuzzSeed('lying-member'));
    const authority = await TestAuthority.make();
    const amount = new Amount({ inputs: 12, layers: 1 });
    let [sent, refused, stopped] = [0, 0, 0];
    while (amount.next()) {
      masters ??= await Masters.start({ count: 3, config: benchConfig(), authority });
      const victim = chance.pick(masters.masters);
      const liar = chance.pick(masters.masters.filter((master) => master !== victim)).name;
      const round = await lie(masters, victim, liar, authority, chance);
      sent += round.sent;
      if (round.outcome === 'refused') refused += 1;
      if (masters.masters.every(({ child }) => child.running)) continue;
      // What it has stored by then may be wrong for good.
      for (const { name, child } of masters.masters) {
        if (child.running) continue;
        stopped += 1;
        const { code } = await child.exited;
        assert.equal(code, stoppedCode, `${name} ended with ${code}:\n${child.output}`);
      }
      await masters[Symbol.asyncDispose]();
      masters = undefined;
    }
    amount.report(`streams with ${sent} messages (${refused} refused, ${stopped} masters stopped)`);
    assert.ok(sent > 0 && refused > 0, 'some are refused, and some are taken');
  });

  type Round = { readonly sent: number; readonly outcome: 'refused' | 'taken' };

  /** One stream, of which all messages are taken, or one is refused, or by one of which a master stops. */
  async function lie(
    cluster: Masters,
    victim: MasterProcess,
    name: string,
    authority: TestAuthority,
    chance: Chance,
  ): Promise<Round> {
    const files = await authority.files(`${cluster.folder}/liar-${name}`, `sublet://master/${name}`);
    using liar = new FalseMaster(peerOf(victim), readTlsFiles(files, ['master']));
    const membership = await answered(victim, async () => (await liar.hello()).membership);
    const now = await answered(victim, () => cluster.status(victim));
    if (membership === undefined || now === undefined) return { sent: 0, outcome: 'taken' };
    const self = memberNamed(membership, name);
    const delivery = liar.deliver(self, membership, memberNamed(membership, victim.name));
    const accepted = await delivery.accepted.then(
      () => true,
      () => false,
    );
    if (!accepted) return { sent: 0, outcome: 'refused' };
    const near = {
      from: Number(self.id),
      term: Number(now.term),
      index: Number(now.appliedIndex),
      voters: membership.confState.voters.map(Number),
    };
    let ended = '';
    void delivery.ended.then((text) => {
      ended = text;
    });
    const count = 1 + chance.below(messagesMax);
    let sent = 0;
    for (; sent < count && ended === ''; sent++) {
      const message = peerMessage(chance, near);
      const bytes = PeerMessage.encode(message).finish();
      const changed = chance.below(5) === 0 ? decoded(chance.mutated(bytes)) : message;
      if (changed !== undefined) delivery.send({ messages: [changed] });
    }
    await answered(victim, () => liar.hello());
    for (const { name: each, child } of cluster.masters) {
      assert.doesNotMatch(child.output, /not expected|uncaught/i, each);
    }
    return { sent, outcome: ended === '' ? 'taken' : 'refused' };
  }

  /** What the master answers, once it does; undefined: it has stopped, because of an earlier lie. @throws when it hangs */
  async function answered<T>({ name, child }: MasterProcess, ask: () => Promise<T>): Promise<T | undefined> {
    const answer = await until(`${name} answers or has stopped`, boundMs, async () => {
      if (!child.running) return { stopped: true } as const;
      return { stopped: false, value: await ask() } as const;
    });
    return answer.stopped ? undefined : answer.value;
  }

  function decoded(bytes: Uint8Array): sublet.raft.v1.PeerMessage.$Properties | undefined {
    try {
      return PeerMessage.decode(bytes);
    } catch {
      return undefined; // gRPC answers that itself.
    }
  }
});
