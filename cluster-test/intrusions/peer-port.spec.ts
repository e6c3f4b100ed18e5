/** What a valid certificate of a master does not give: rows 24 to 29 of docs/intrusions.md, against real processes. */
import assert from 'node:assert/strict';
import { MasterClient } from '#api/master-client.js';
import { agentService, clusterService, operatorService } from '#api/services.js';
import { benchConfig, registration } from '#cluster-test/bench/plan.js';
import { FalseMaster, memberNamed } from '#cluster-test/intrusions/false-master.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters, peerOf } from '#cluster-test/process/masters.js';
import { sublet } from '#proto/sublet.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import type { Role } from '#tls/principal.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

const boundMs = 20_000;
const agents = 20;
const Kind = sublet.raft.v1.PeerMessageKind;

describe('the peer port behind TLS', function () {
  this.timeout(60_000);
  let authority: TestAuthority;
  let masters: Masters;
  const closing: Disposable[] = [];

  before(async () => {
    authority = await TestAuthority.make();
    masters = await Masters.start({ count: 3, config: benchConfig(), authority });
    for (let number = 0; number < agents; number++) {
      const client = await clientOf('agent', `agent-${number}`);
      await client.call(agentService.register, registration(number), { idempotent: true });
    }
  });
  afterEach(function () {
    for (const each of closing.splice(0)) each[Symbol.dispose]();
    showOnFailure(this, masters?.masters);
  });
  after(() => masters?.[Symbol.asyncDispose]());

  async function clientOf(role: Role, id: string): Promise<MasterClient> {
    const client = new MasterClient({ masters: masters.addresses, ...(await masters.credentials(role, id)) });
    closing.push({ [Symbol.dispose]: () => client.close() });
    return client;
  }

  async function falseMaster(name: string, to: MasterProcess): Promise<FalseMaster> {
    const files = await authority.files(`${masters.folder}/false-${name}`, `sublet://master/${name}`);
    const made = new FalseMaster(peerOf(to), readTlsFiles(files, ['master']));
    closing.push(made);
    return made;
  }

  function named(name: string): MasterProcess {
    return masters.masters.find((master) => master.name === name) ?? assert.fail(`there is no ${name}`);
  }

  /** Holds one VTEP address for each agent, as the masters say it now. */
  async function leases(): Promise<ReadonlyMap<string, string>> {
    const viewer = await clientOf('viewer', 'vera');
    const { agents: all } = await viewer.call(operatorService.listAgents, { pageSize: 1_000 }, { idempotent: true });
    return new Map(all.map(({ agentId, vxlan }) => [agentId ?? '', vxlan?.vtepIp ?? '']));
  }

  it('row 26: hears no master that was never added, and shows it no store id', async () => {
    const leader = await masters.leader();
    const { term } = await masters.status(leader);
    const m9 = await falseMaster('m9', leader);
    const { membership } = await m9.hello();
    assert.ok(membership !== undefined);
    assert.deepEqual([...new Set(membership.members.map(({ storeId }) => storeId))], ['']);
    const self = await m9.newcomer(membership);
    const to = memberNamed(membership, leader.name);
    const { ended } = m9.deliver(self, membership, { ...to, storeId: 'a'.repeat(32) });
    assert.match(await ended, /^UNAVAILABLE: member \d+ is not known here yet/);
    // Nor does a refusal show one: it claims the place of a member with a store of its own.
    const asOther = { ...memberNamed(membership, 'm2'), storeId: 'f'.repeat(32) };
    const refused = await m9.deliver(asOther, membership, to).ended;
    assert.match(refused, /^UNAUTHENTICATED: the caller has the certificate of master\/m9 and calls itself m2/);
    assert.doesNotMatch(refused, /[0-9a-f]{32}/);
    // Nor may it hand on calls: it would name any caller that it likes.
    const { path, request } = operatorService.listOverlays;
    const caller = { address: '10.0.0.9:1', identity: { role: 'admin', id: 'root' } };
    await assert.rejects(
      m9.forward(membership, { method: path, request: request.encode({}).finish(), caller }),
      /FAILED_PRECONDITION: master\/m9 is not a member of this cluster, as this master knows it/,
    );
    const after = await masters.status(leader);
    assert.deepEqual([after.term, after.leader], [term, leader.name]);
  });

  it('R6: keeps 16 KiB of a stream before it knows the caller, and four streams of one master', async () => {
    const leader = await masters.leader();
    const m9 = await falseMaster('m9', leader);
    const { membership } = await m9.hello();
    assert.ok(membership !== undefined);
    const [self, to] = [await m9.newcomer(membership), memberNamed(membership, leader.name)];
    const long = m9.deliver(self, membership, to, { report: { ended: 'x'.repeat(20_000) } });
    assert.match(
      await long.ended,
      /^RESOURCE_EXHAUSTED: a first message of 20\d\d\d B: master\/m9 may send 16384 B at most/,
    );
    const streams = Array.from({ length: 5 }, () => m9.silent().ended);
    assert.match(await Promise.race(streams), /^UNAVAILABLE: /);
    await Promise.all(streams);
    const audited = /5 open streams \/sublet\.raft\.v1\.PeerService\/Deliver of this caller, and 4 are allowed/;
    await until('the log names the limit', boundMs, () => holds(audited.test(leader.child.output)));
  });

  it('row 26: takes a master that is added, behind TLS as without', async () => {
    const m4 = await masters.join('m4');
    const admin = await clientOf('admin', 'alice');
    const { addMember, removeMember } = clusterService;
    await until('m4 waits', boundMs, () => holds(/has no member/.test(m4.child.output)));
    await admin.call(addMember, { name: 'm4', peer: m4.peer }, { idempotent: true });
    await masters.ready([m4]);
    await admin.call(removeMember, { name: 'm4' }, { idempotent: false });
    assert.equal((await m4.child.exited).code, 71);
  });

  it('row 27: loses no lease by a heartbeat of a far term from a member, and has a leader again', async () => {
    const before = await leases();
    assert.equal(before.size, agents);
    const leader = await masters.leader();
    const { term } = await masters.status(leader);
    const follower = ['m1', 'm2', 'm3'].find((name) => name !== leader.name) ?? assert.fail('no follower');
    const liar = await falseMaster(follower, leader);
    const { membership } = await liar.hello();
    assert.ok(membership !== undefined);
    const self = memberNamed(membership, follower);
    const delivery = liar.deliver(self, membership, memberNamed(membership, leader.name));
    await delivery.accepted;
    const far = Number(term) + 1_000;
    delivery.send({ messages: [{ kind: Kind.PEER_MESSAGE_KIND_HEARTBEAT, from: self.id, term: far, commit: 0 }] });
    await until('an election', boundMs, async () => {
      const status = await masters.status(await masters.leader());
      return holds(Number(status.term) > far && status.leader !== '');
    });
    const client = await clientOf('agent', `agent-${agents}`);
    await until('a registration', boundMs, async () =>
      holds((await client.call(agentService.register, registration(agents), { idempotent: true })).agent != null),
    );
    const after = await leases();
    for (const [agentId, vtepIp] of before) assert.equal(after.get(agentId), vtepIp, agentId);
    for (const { name } of masters.masters.slice(0, 3)) assert.ok(named(name).child.running, name);
  });

  it('row 29: carries out what a member hands on, and names the caller that the member vouches for', async () => {
    const leader = await masters.leader();
    const follower = ['m1', 'm2', 'm3'].find((name) => name !== leader.name) ?? assert.fail('no follower');
    const liar = await falseMaster(follower, leader);
    const { membership } = await liar.hello();
    assert.ok(membership !== undefined);
    const { path, request } = operatorService.addOverlay;
    const overlay = { name: 'handed', subnet: '10.77.0.0/16', prefix: 24, enabled: true };
    const call = { method: path, request: request.encode({ overlay }).finish() };
    // The leader asks its own table again: no master makes a viewer an operator.
    const calledBy = (role: string, id: string) => ({
      ...call,
      caller: { address: '10.0.0.9:1', identity: { role, id } },
    });
    const denied = await liar.forward(membership, calledBy('viewer', 'vera'));
    assert.equal(denied.reason, 'permission-denied');
    const done = await liar.forward(membership, calledBy('operator', 'root'));
    assert.equal(done.reason || 'done', 'done', done.message ?? '');
    const viewer = await clientOf('viewer', 'vera');
    const { entries } = await viewer.call(operatorService.listHistory, {}, { idempotent: true });
    assert.match(entries.at(-1)?.who ?? '', /^operator\/root@10\.0\.0\.9/);
  });
});
