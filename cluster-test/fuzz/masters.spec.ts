/** Inputs of every kind at the ports of real masters: they go on, their plan stays, and none finds an error that was not expected. */
import assert from 'node:assert/strict';
import { MasterClient } from '#api/master-client.js';
import { agentService, operatorService } from '#api/services.js';
import { benchConfig, registration } from '#cluster-test/bench/plan.js';
import { memoryOf } from '#cluster-test/bench/process-usage.js';
import { Amount, fuzzSeed, fuzzSoaks, fuzzTimeoutMs } from '#cluster-test/fuzz/amount.js';
import { Calls } from '#cluster-test/fuzz/calls.js';
import { Chance } from '#cluster-test/fuzz/chance.js';
import { sendAll } from '#cluster-test/fuzz/connections.js';
import { brokenConnection, settingsAfterGoAway } from '#cluster-test/fuzz/frames.js';
import { brokenRequest } from '#cluster-test/fuzz/http-requests.js';
import { methodsOf } from '#cluster-test/fuzz/messages.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters, peerOf } from '#cluster-test/process/masters.js';
import { readTlsFiles, type TlsMaterial } from '#tls/certificate/tls-files.js';
import type { Role } from '#tls/principal.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

const agents = 10;
/** Of each role. */
const identities = 60;
const apiServices = ['sublet.v1.AgentService', 'sublet.v1.OperatorService', 'sublet.v1.ClusterService'];
const peerServices = ['sublet.raft.v1.PeerService', 'sublet.peer.v1.ForwardService'];
/** Roles of the API, the peer port, and five of connections. */
const layers = 10;
/**
 * More than the compiled code, the grown heap, and what a master keeps of the last commands take (docs/masters.md): a soak of
 * eight minutes has measured 103 MB.
 */
const growthMbMax = 200;

describe('masters under any input', function () {
  this.timeout(fuzzTimeoutMs);
  let chance: Chance;
  let authority: TestAuthority;
  let secure: Masters;
  let plain: Masters;
  let planBefore: Awaited<ReturnType<typeof plan>>;
  let memoryMb: ReadonlyMap<number, number>;

  before(async () => {
    chance = new Chance(fuzzSeed('masters'));
    authority = await TestAuthority.make();
    secure = await Masters.start({ count: 3, config: benchConfig(), authority });
    plain = await Masters.start({ count: 1, config: benchConfig() });
    for (let number = 0; number < agents; number++) {
      const client = new MasterClient({
        masters: secure.addresses,
        ...(await secure.credentials('agent', `agent-${number}`)),
      });
      await client.call(agentService.register, registration(number), { idempotent: true });
      client.close();
    }
    planBefore = await plan();
    memoryMb = new Map(all().map(({ child }) => [child.pid, memoryOf(child.pid).residentMb]));
  });
  afterEach(async function () {
    showOnFailure(this, secure?.masters, plain?.masters);
  });
  after(async () => {
    await secure?.[Symbol.asyncDispose]();
    await plain?.[Symbol.asyncDispose]();
  });

  const all = (): readonly MasterProcess[] => [...secure.masters, ...plain.masters];

  const fuzzedId = (number: number): string => `fuzzed-${number}`;

  function materialsOf(role: Role): Promise<readonly TlsMaterial[]> {
    return Promise.all(Array.from({ length: identities }, (_, number) => materialOf(role, fuzzedId(number))));
  }

  async function materialOf(role: Role, id: string): Promise<TlsMaterial> {
    const files = await authority.files(`${secure.folder}/fuzz-${role}-${id}`, `sublet://${role}/${id}`);
    return readTlsFiles(files, [role]);
  }

  /** What must stay as it is: all but the agent that the inputs may be of. */
  async function plan(): Promise<{ readonly leases: readonly object[]; readonly settings: object }> {
    const client = new MasterClient({ masters: secure.addresses, ...(await secure.credentials('viewer', 'vera')) });
    const once = { idempotent: true };
    try {
      const { agents: held } = await client.call(operatorService.listAgents, { pageSize: 1_000 }, once);
      const { network } = await client.call(operatorService.getNetwork, {}, once);
      const { reservations } = await client.call(operatorService.listReservations, {}, once);
      const leases = held.flatMap(({ agentId, vxlan, overlays, nodeIp }) =>
        agentId?.startsWith('fuzzed-')
          ? []
          : [
              {
                agentId,
                nodeIp,
                vtepIp: vxlan?.vtepIp?.split('/')[0],
                vtepMac: vxlan?.vtepMac,
                subnets: overlays?.map(({ subnet }) => subnet),
              },
            ],
      );
      return { leases, settings: { network, reservations } };
    } finally {
      client.close();
    }
  }

  /** Cheap, for after each input. */
  function check(): void {
    for (const { name, child } of all()) {
      assert.ok(child.running, `${name} has ended`);
      assert.doesNotMatch(child.output, /not expected|uncaught/i);
    }
  }

  /** `changes`: the inputs may be right ones of a role that may change the settings; the leases stay all the same. */
  async function held(changes = false): Promise<void> {
    check();
    await secure.ready();
    await plain.ready();
    const { leases, settings } = await plan();
    assert.deepEqual(leases, planBefore.leases);
    if (!changes) assert.deepEqual(settings, planBefore.settings);
    planBefore = { leases, settings };
    const grown = all().map(({ child }) => memoryOf(child.pid).residentMb - (memoryMb.get(child.pid) ?? 0));
    const text = `masters have grown by ${grown.map(Math.round).join(', ')} MB`;
    if (fuzzSoaks) console.log(`      ${text}`);
    assert.ok(Math.max(...grown) <= growthMbMax, text);
  }

  for (const [role, inputs] of [
    ['agent', 2_000],
    ['viewer', 1_000],
    ['operator', 1_500],
    ['admin', 1_500],
  ] as const) {
    it(`take any message of the role ${role} for any method`, async () => {
      const amount = new Amount({ inputs, layers });
      const methods = methodsOf(apiServices);
      const [to = assert.fail()] = secure.masters;
      using calls = new Calls({ to: to.api, materials: await materialsOf(role), methods }, chance);
      await calls.run(amount, check);
      amount.report(
        `calls (${[...calls.outcomes]
          .sort()
          .map(([status, count]) => `${status}: ${count}`)
          .join(', ')})`,
      );
      await held(role === 'operator' || role === 'admin');
    });
  }

  it('take any message of a master for any method of the peer port', async () => {
    const amount = new Amount({ inputs: 2_000, layers });
    const methods = methodsOf(peerServices);
    const [to = assert.fail()] = secure.masters;
    const materials = [await materialOf('master', 'm2')];
    using calls = new Calls({ to: peerOf(to), materials, methods }, chance);
    await calls.run(amount, check);
    amount.report(
      `calls (${[...calls.outcomes]
        .sort()
        .map(([status, count]) => `${status}: ${count}`)
        .join(', ')})`,
    );
    await held();
  });

  it('row 47: outlive calls of an unknown method that are cancelled at once', async () => {
    const [known = assert.fail()] = methodsOf(peerServices);
    const methods = [{ ...known, path: '/no.Such/Method' }];
    const [to = assert.fail()] = secure.masters;
    const amount = new Amount({ inputs: 2_000, layers: layers * 10 });
    const materials = [await materialOf('master', 'm2')];
    using calls = new Calls({ to: peerOf(to), materials, methods, cancelsOneOf: 3 }, chance);
    await calls.run(amount, check);
    await held();
  });

  it('row 47: outlive the frames that end a Node.js with an old nghttp2, in clear and behind TLS', async () => {
    const protocol = 'h2';
    const bytes = (): Buffer => settingsAfterGoAway;
    const [secured = assert.fail()] = secure.masters;
    const [clear = assert.fail()] = plain.masters;
    const agent = await materialOf('agent', fuzzedId(0));
    const master = await materialOf('master', 'm2');
    for (const [to, material] of [
      [clear.api, undefined],
      [peerOf(clear), undefined],
      [secured.api, agent],
      [peerOf(secured), master],
    ] as const) {
      const amount = new Amount({ inputs: 60, layers: layers * 10 });
      await sendAll({ to, protocol, bytes, amount, check, ...(material === undefined ? {} : { material }) });
    }
    await held();
  });

  for (const [what, inputs, secured, port] of [
    ['the API in clear', 1_500, false, 'api'],
    ['the peer port in clear', 1_000, false, 'peer'],
    ['the API behind TLS', 500, true, 'api'],
    ['the peer port behind TLS', 500, true, 'peer'],
  ] as const) {
    it(`row 47: take broken frames at ${what}`, async () => {
      const amount = new Amount({ inputs, layers });
      const [to = assert.fail()] = (secured ? secure : plain).masters;
      const [role, id] = port === 'api' ? (['agent', fuzzedId(0)] as const) : (['master', 'm2'] as const);
      await sendAll({
        to: port === 'api' ? to.api : peerOf(to),
        protocol: 'h2',
        amount,
        check,
        ...(secured ? { material: await materialOf(role, id) } : {}),
        bytes: () => brokenConnection(chance),
      });
      amount.report('connections');
      await held();
    });
  }

  it('take broken requests at the HTTP port', async () => {
    const amount = new Amount({ inputs: 2_000, layers });
    const [to = assert.fail()] = secure.masters;
    await sendAll({ to: to.http, protocol: 'http/1.1', bytes: () => brokenRequest(chance), amount, check });
    amount.report('connections');
    await held();
  });
});
