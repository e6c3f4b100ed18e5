import assert from 'node:assert/strict';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { parseCidr4 } from '#address/cidr4.js';
import { reasonOf } from '#api/error-info.js';
import { toBuffer } from '#api/method.js';
import { refusals } from '#api/refusal.js';
import { agentService, clusterService, operatorService } from '#api/services.js';
import { holdPart, table } from '#api/testing/reference-page.js';
import type { Overlay } from '#ipam/network.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';
import { sublet } from '#proto/sublet.js';

type Encoding<Properties> = { encode(message: Properties): { finish(): Uint8Array } };

/** One line of the table: what is sent, and what is said about it. */
type Case = {
  readonly title: string;
  readonly path: string;
  readonly bytes: Uint8Array;
  /** OK: it is accepted, and the answer has the details. */
  readonly code: keyof typeof status;
  readonly says: RegExp;
};

type Answer = { readonly error: ServiceError | undefined; readonly bytes: Uint8Array };

function bad<Properties>(
  title: string,
  method: { readonly path: string; readonly request: Encoding<Properties> },
  request: Properties,
  code: keyof typeof status,
  says: RegExp,
): Case {
  return { title, path: method.path, bytes: method.request.encode(request).finish(), code, says };
}

const agent = { agentId: 'new', instanceId: 'i', sequence: 1, nodeIp: '10.9.0.1' };
const overlay = { name: 'blue', subnet: '10.128.0.0/9', prefix: 24, enabled: true };
/** Has room for two agents. */
const tiny: Overlay = {
  name: 'tiny',
  v4: { subnet: parseCidr4('192.168.0.0/27'), prefix: 28 },
  v6: undefined,
  enabled: true,
};
const { register, reportStatus, leave, watch } = agentService;
const { addOverlay, updateOverlay, removeOverlay, updateNetwork, reserve, unreserve, releaseAgents } = operatorService;
const { listAgents, getAgent, lookup, listHistory } = operatorService;

const registrations: readonly Case[] = [
  bad('an empty agent_id', register, { ...agent, agentId: '' }, 'INVALID_ARGUMENT', /agent_id is empty: 1 to 253/),
  bad(
    'an over-long agent_id',
    register,
    { ...agent, agentId: 'a'.repeat(254) },
    'INVALID_ARGUMENT',
    /agent_id "a{32}…" has 254 characters: 1 to 253/,
  ),
  bad(
    'an agent_id with a space',
    register,
    { ...agent, agentId: 'a b' },
    'INVALID_ARGUMENT',
    /agent_id "a b" has other characters than \[A-Za-z0-9._:-\]/,
  ),
  bad(
    'an empty instance_id',
    register,
    { ...agent, instanceId: '' },
    'INVALID_ARGUMENT',
    /instance_id is empty: 1 to 64/,
  ),
  bad(
    'an over-long instance_id',
    register,
    { ...agent, instanceId: 'i'.repeat(65) },
    'INVALID_ARGUMENT',
    /instance_id .* has 65 characters: 1 to 64/,
  ),
  bad(
    'a sequence beyond 2^53',
    register,
    { ...agent, sequence: 2 ** 60 },
    'INVALID_ARGUMENT',
    /sequence is beyond 9007199254740991/,
  ),
  bad('an empty node_ip', register, { ...agent, nodeIp: '' }, 'INVALID_ARGUMENT', /node_ip: "" is not an IP address/),
  bad(
    'a bad node_ip',
    register,
    { ...agent, nodeIp: '10.9.0' },
    'INVALID_ARGUMENT',
    /node_ip: "10.9.0" is not an IP address/,
  ),
  bad(
    'a node_ip inside an overlay',
    register,
    { ...agent, nodeIp: '9.1.2.3' },
    'INVALID_ARGUMENT',
    /node_ip 9\.1\.2\.3 .*9\.0\.0\.0\/8/,
  ),
  bad(
    'a node_ip inside the VTEP subnet',
    register,
    { ...agent, nodeIp: '44.128.0.9' },
    'INVALID_ARGUMENT',
    /node_ip 44\.128\.0\.9 .*44\.128\.0\.0\/2\d/,
  ),
  bad(
    'a second underlay family',
    register,
    { ...agent, nodeIp: 'fd00::1' },
    'FAILED_PRECONDITION',
    /node_ip fd00::1.*IPv4/s,
  ),
  bad(
    'an over-long hostname',
    register,
    { ...agent, hostname: 'h'.repeat(254) },
    'INVALID_ARGUMENT',
    /hostname .* has 254 characters: 253 at most/,
  ),
  bad(
    'a hostname that would play tricks on a terminal',
    register,
    { ...agent, hostname: 'host\u001b[2J' },
    'INVALID_ARGUMENT',
    /hostname "host\\u001b\[2J" has characters that no host name has: printable ASCII without spaces is allowed/,
  ),
  bad(
    'an overlay_mtu out of range',
    register,
    { ...agent, networkConfig: { overlayMtu: 70_000 } },
    'INVALID_ARGUMENT',
    /network_config.overlay_mtu is 70000: \d+ to 65535/,
  ),
  bad(
    'a held subnet that is none',
    register,
    { ...agent, held: { subnets: [{ overlay: 'dcos', subnet: '9.0.0.1/24' }] } },
    'INVALID_ARGUMENT',
    /held.subnets.subnet: "9.0.0.1\/24" has host bits/,
  ),
  bad(
    'a held overlay whose name is none',
    register,
    { ...agent, held: { subnets: [{ overlay: 'x'.repeat(2_000), subnet: '9.0.0.0/24' }] } },
    'INVALID_ARGUMENT',
    /held.subnets.overlay: "x{64}…": 1 to 13 characters of/,
  ),
  bad(
    'a held VTEP address that is none',
    register,
    { ...agent, held: { vtepIp: 'x' } },
    'INVALID_ARGUMENT',
    /held.vtep_ip: "x" is no/,
  ),
  bad(
    'an id that a live agent has',
    register,
    { ...agent, agentId: 'agent-1' },
    'ALREADY_EXISTS',
    /register agent_id "agent-1".*on node/s,
  ),
  bad('an exhausted VTEP subnet', register, agent, 'RESOURCE_EXHAUSTED', /VTEP.*44\.128\.0\.0\/28/s),
  bad(
    'a status of an unknown epoch',
    reportStatus,
    { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: 1 },
    'ABORTED',
    /epoch 1/,
  ),
  bad(
    'a status of an overlay not held',
    reportStatus,
    { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: 3, overlays: [{ overlay: 'x', state: { status: 1 } }] },
    'NOT_FOUND',
    /it holds nothing of overlay "x"/,
  ),
  bad(
    'a status of an overlay whose name is none',
    reportStatus,
    { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: 3, overlays: [{ overlay: 'X', state: { status: 1 } }] },
    'INVALID_ARGUMENT',
    /overlays.overlay: "X": 1 to 13 characters of/,
  ),
  bad(
    'a status that is none',
    reportStatus,
    { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: 3, overlays: [{ overlay: 'dcos' }] },
    'INVALID_ARGUMENT',
    /overlays.state.status is 0: OK, FAILED, CONFIGURING or PLANNED/,
  ),
  bad('leave of a stranger', leave, { agentId: 'x', instanceId: 'i', epoch: 1 }, 'ABORTED', /leave of agent_id "x"/),
];

const overlays: readonly Case[] = [
  bad('no overlay', addOverlay, {}, 'INVALID_ARGUMENT', /overlay is missing/),
  bad('an overlay without a space', addOverlay, { overlay: { name: 'x' } }, 'INVALID_ARGUMENT', /x.*subnet/s),
  bad(
    'a bad CIDR',
    addOverlay,
    { overlay: { ...overlay, subnet: '10.128.0.0' } },
    'INVALID_ARGUMENT',
    /overlay.subnet: "10.128.0.0" is not an IPv4 network/,
  ),
  bad(
    'a CIDR with host bits',
    addOverlay,
    { overlay: { ...overlay, subnet: '10.128.0.1/9' } },
    'INVALID_ARGUMENT',
    /overlay.subnet: "10.128.0.1\/9" has host bits: 10.128.0.0\/9 is the network/,
  ),
  bad(
    'a prefix without a subnet',
    addOverlay,
    { overlay: { name: 'x', prefix: 24 } },
    'INVALID_ARGUMENT',
    /overlay.prefix is 24, but overlay.subnet is empty/,
  ),
  bad(
    'overlapping overlays',
    addOverlay,
    { overlay: { ...overlay, subnet: '9.4.0.0/16' } },
    'INVALID_ARGUMENT',
    /9\.4\.0\.0\/16.*overlap.*9\.0\.0\.0\/8/s,
  ),
  bad(
    'an overlay over the VTEP subnet',
    addOverlay,
    { overlay: { ...overlay, subnet: '44.0.0.0/8' } },
    'INVALID_ARGUMENT',
    /44\.0\.0\.0\/8.*overlap.*44\.128\.0\.0\/28/s,
  ),
  bad('a name that is taken', addOverlay, { overlay: { ...overlay, name: 'dcos' } }, 'ALREADY_EXISTS', /dcos/),
  ...['host', 'bridge', 'default', 'none'].map((name) =>
    bad(
      `the reserved name ${name}`,
      addOverlay,
      { overlay: { ...overlay, name } },
      'INVALID_ARGUMENT',
      new RegExp(`"${name}"`),
    ),
  ),
  bad(
    'a name that is too long',
    addOverlay,
    { overlay: { ...overlay, name: 'x'.repeat(14) } },
    'INVALID_ARGUMENT',
    /"x{14}".*13/s,
  ),
  bad(
    'an empty name',
    addOverlay,
    { overlay: { ...overlay, name: '' } },
    'INVALID_ARGUMENT',
    /the name is empty: 1 to 13/,
  ),
  bad(
    'a name in capitals',
    addOverlay,
    { overlay: { ...overlay, name: 'Blue' } },
    'INVALID_ARGUMENT',
    /"Blue".*\[a-z0-9-\]/s,
  ),
  bad('a prefix that is too long', addOverlay, { overlay: { ...overlay, prefix: 29 } }, 'INVALID_ARGUMENT', /29.*28/s),
  bad(
    "a prefix not longer than the subnet's",
    addOverlay,
    { overlay: { ...overlay, prefix: 9 } },
    'INVALID_ARGUMENT',
    /9/,
  ),
  bad(
    'an IPv6 prefix that is too long',
    addOverlay,
    { overlay: { name: 'six', subnet6: 'fd05::/64', prefix6: 127, enabled: true } },
    'INVALID_ARGUMENT',
    /127.*126/s,
  ),
  bad('an update of no overlay', updateOverlay, { name: 'x', enabled: true }, 'NOT_FOUND', /"x"/),
  bad(
    'an overlay that is to shrink',
    updateOverlay,
    { name: 'dcos', subnet: '9.0.0.0/16' },
    'FAILED_PRECONDITION',
    /9\.0\.0\.0\/16.*9\.0\.0\.0\/8/s,
  ),
  bad(
    'a drain with another change',
    updateOverlay,
    { name: 'dcos', drain: true, enabled: false },
    'INVALID_ARGUMENT',
    /drain: goes alone, without enabled, subnet and subnet6/,
  ),
  bad('the removal of an overlay in use', removeOverlay, { name: 'dcos' }, 'FAILED_PRECONDITION', /dcos.*\d/s),
  bad('the removal of no overlay', removeOverlay, { name: 'x' }, 'NOT_FOUND', /"x"/),
  bad(
    'a VTEP subnet wider than /8',
    updateNetwork,
    { vtepSubnet: '40.0.0.0/5' },
    'INVALID_ARGUMENT',
    /vtep_subnet.*\/5.*8/s,
  ),
  bad(
    'a VTEP subnet that is elsewhere',
    updateNetwork,
    { vtepSubnet: '45.0.0.0/20' },
    'FAILED_PRECONDITION',
    /45\.0\.0\.0\/20.*44\.128\.0\.0\/28/s,
  ),
  bad('a VTEP MTU out of range', updateNetwork, { vtepMtu: 99 }, 'INVALID_ARGUMENT', /vtep_mtu.*99.*576 to 65535/s),
  bad(
    'a quarantine out of range',
    updateNetwork,
    { quarantineMs: 1e14 },
    'INVALID_ARGUMENT',
    /lease\.quarantine.*1157407d9h46m40s/s,
  ),
  bad(
    'a TTL that agents out of reach would not know of',
    updateNetwork,
    { reclaimMs: 3_600_000 },
    'FAILED_PRECONDITION',
    /lease\.reclaim can't go from never to 1h/s,
  ),
  bad(
    'a change based on another revision',
    addOverlay,
    { overlay, expectedRevision: 1 },
    'ABORTED',
    /expected_revision 1: the plan is at revision \d+/,
  ),
];

const others: readonly Case[] = [
  bad(
    'a block that is none',
    reserve,
    { overlay: 'dcos', subnet: '9.0.0.0/25', agentId: 'a' },
    'INVALID_ARGUMENT',
    /9\.0\.0\.0\/25/,
  ),
  bad('a block of no overlay', reserve, { overlay: 'x', subnet: '9.0.0.0/24', agentId: 'a' }, 'NOT_FOUND', /"x"/),
  bad(
    'a range outside of its overlay',
    reserve,
    { overlay: 'dcos', subnet: '10.0.0.0/24' },
    'INVALID_ARGUMENT',
    /10\.0\.0\.0\/24/,
  ),
  bad(
    'a node address that no agent can have',
    reserve,
    { overlay: 'dcos', subnet: '9.8.0.0/24', nodeIp: '9.0.0.1' },
    'INVALID_ARGUMENT',
    /node_ip 9\.0\.0\.1 lies in overlay "dcos"/,
  ),
  bad(
    'a reservation for an agent and a node address',
    reserve,
    { overlay: 'dcos', subnet: '9.8.0.0/24', agentId: 'a', nodeIp: '10.0.0.9' },
    'INVALID_ARGUMENT',
    /node_ip "10\.0\.0\.9" beside agent_id "a"/,
  ),
  bad('an end to no reservation', unreserve, { overlay: 'dcos', subnet: '9.8.0.0/24' }, 'NOT_FOUND', /9\.8\.0\.0\/24/),
  bad('a release of no agent', releaseAgents, {}, 'INVALID_ARGUMENT', /agent_ids is empty/),
  bad('a release of a stranger', releaseAgents, { agentIds: ['x'] }, 'NOT_FOUND', /release agent_id "x"/),
  bad(
    'a release of a live agent',
    releaseAgents,
    { agentIds: ['agent-1'] },
    'FAILED_PRECONDITION',
    /release agent_id "agent-1".*force/s,
  ),
  bad(
    'a release of too many',
    releaseAgents,
    { agentIds: Array.from({ length: 1_001 }, (_, at) => `a${at}`) },
    'INVALID_ARGUMENT',
    /agent_ids has 1001 entries: 1000 at most/,
  ),
  bad(
    'a page that is too large',
    listAgents,
    { pageSize: 1_001 },
    'INVALID_ARGUMENT',
    /page_size is 1001: 1000 at most/,
  ),
  bad(
    'a page token that is none',
    listAgents,
    { pageToken: ' ' },
    'INVALID_ARGUMENT',
    /page_token: agent_id " " has other characters than \[A-Za-z0-9\._:-\]/,
  ),
  bad('a question for a stranger', getAgent, { agentId: 'x' }, 'NOT_FOUND', /agent_id "x"/),
  bad('a look-up of no address', lookup, { ip: '1.2.3' }, 'INVALID_ARGUMENT', /ip: "1.2.3" is not an IP address/),
  bad('too much history', listHistory, { limit: 1_001 }, 'INVALID_ARGUMENT', /limit is 1001: 1000 at most/),
  bad(
    'changes of no kind that there is',
    listHistory,
    { what: ['release', 'releases'] },
    'INVALID_ARGUMENT',
    /what: "releases": one of configure-network, .*, revoke-token, .* is allowed/,
  ),
];

const malformed: readonly Case[] = [
  register,
  reportStatus,
  leave,
  addOverlay,
  listAgents,
  clusterService.getStatus,
].map(({ path }) => ({
  title: `malformed protobuf for ${path.split('/').at(-1)}`,
  path,
  bytes: Uint8Array.of(0x0a, 0xff, 0xff, 0xff),
  code: 'INVALID_ARGUMENT',
  says: new RegExp(`${path}: the 4 bytes are not a request of this method`),
}));

const invalidText: Case = {
  title: 'text that is no UTF-8',
  path: register.path,
  bytes: Uint8Array.of(0x0a, 0x02, 0xc3, 0x28),
  code: 'INVALID_ARGUMENT',
  says: /not a request of this method/,
};

const tooLarge: Case = {
  title: 'an over-large message',
  path: register.path,
  bytes: new Uint8Array(1024 * 1024 + 1),
  code: 'RESOURCE_EXHAUSTED',
  says: /larger than max \(1048577 vs 1048576\)/,
};

/** What the first registration of `agent-1` said, as a retry. */
const retry = { agentId: 'agent-1', instanceId: 'agent-1-1', sequence: 1, nodeIp: '10.0.0.1' };

const letPass: readonly Case[] = [
  {
    title: 'unknown fields',
    path: register.path,
    bytes: sublet.v1.RegisterRequest.encode(retry)
      .uint32((100 << 3) | 2)
      .string('news')
      .finish(),
    code: 'OK',
    says: /^$/,
  },
  {
    title: 'an exhausted overlay',
    path: register.path,
    bytes: register.request
      .encode({ agentId: 'agent-3', instanceId: 'agent-3-1', sequence: 1, nodeIp: '10.0.0.3' })
      .finish(),
    code: 'OK',
    says: /^overlay "tiny" \(192\.168\.0\.0\/27\) has no free \/28/,
  },
];

const cases: readonly Case[] = [
  ...registrations,
  ...overlays,
  ...others,
  ...malformed,
  invalidText,
  tooLarge,
  ...letPass,
];

/** The answer to the caller: the error's message, or the problems that a registration lists. */
function told({ error, bytes }: Answer): string {
  if (error !== undefined) return error.details;
  const { problems } = sublet.v1.RegisterResponse.decode(bytes);
  return problems.map(({ reason }) => reason).join('; ');
}

describe('bad input like', () => {
  let masters: TestMasters;
  let client: Client;

  before(async () => {
    masters = await TestMasters.start({
      settings: { vtepSubnet: parseCidr4('44.128.0.0/28') },
      overlays: [
        { name: 'dcos', v4: { subnet: parseCidr4('9.0.0.0/8'), prefix: 24 }, v6: undefined, enabled: true },
        tiny,
      ],
    });
    client = new Client(masters.master(0).api, credentials.createInsecure());
    // As many agents as the VTEP subnet has addresses.
    for (let number = 1; number <= 14; number++) await masters.register(`agent-${number}`);
  });

  after(async () => {
    client.close();
    await masters[Symbol.asyncDispose]();
  });

  const send = (path: string, bytes: Uint8Array): Promise<Answer> =>
    new Promise((resolve) => {
      const same = (buffer: Buffer): Buffer => buffer;
      client.makeUnaryRequest(path, same, same, toBuffer(bytes), (error, answer) => {
        resolve({ error: error ?? undefined, bytes: answer ?? new Uint8Array(0) });
      });
    });

  let untouched: string;
  beforeEach(() => {
    untouched = masters.master(0).machine.ipam.hash();
  });

  afterEach('and the state is untouched, and the master answers as before', async () => {
    assert.equal(masters.master(0).machine.ipam.hash(), untouched);
    assert.equal((await send(listAgents.path, new Uint8Array(0))).error, undefined);
  });

  for (const { title, path, bytes, code, says } of cases) {
    it(`${title} is ${code}, and changes nothing`, async () => {
      const answer = await send(path, bytes);
      const { error } = answer;
      assert.equal(error === undefined ? 'OK' : status[error.code], code, error?.details);
      assert.match(told(answer), says);
      // gRPC itself turns down what is too large, and gives no reason.
      if (error === undefined || bytes === tooLarge.bytes) return;
      // A machine learns from the status what the table in the documentation calls the reason.
      const reason = reasonOf(error);
      assert.ok(reason !== undefined && refusals[reason].code === error.code, reason);
    });
  }

  it('this is in the documentation, line by line', async () => {
    const rows: string[][] = [];
    for (const { title, path, bytes, code } of cases) {
      const message = told(await send(path, bytes)).replace(/[\dhms.]+ ago/, 'N ago');
      rows.push([title, path.split('/').at(-1) ?? '', `\`${code}\``, message]);
    }
    holdPart('bad-input.md', 'bad input', table(['input', 'call', 'status', 'message'], rows));
  });

  it('a method that is not there is UNIMPLEMENTED', async () => {
    const { error } = await send('/sublet.v1.AgentService/Nonsense', new Uint8Array(0));
    assert.equal(error?.code, status.UNIMPLEMENTED);
  });

  it('unknown fields is none: the answer is the one without them', async () => {
    const [withThem] = letPass;
    assert.ok(withThem);
    const answers = [
      await send(register.path, withThem.bytes),
      await send(register.path, register.request.encode(retry).finish()),
    ];
    const [news, plain] = answers.map(({ bytes }) => sublet.v1.RegisterResponse.decode(bytes));
    assert.deepEqual(news, plain);
  });

  it('an exhausted overlay takes nothing from the rest, which is granted', async () => {
    const { problems, agent: let2 } = await masters.register('agent-3');
    assert.equal(problems.length, 1);
    assert.equal(let2?.overlays?.[0]?.subnet, '9.0.2.0/24');
  });

  it('this on a watch ends the stream with INVALID_ARGUMENT', async () => {
    const ended = (bytes: Uint8Array): Promise<ServiceError> =>
      new Promise((resolve) => {
        const same = (buffer: Buffer): Buffer => buffer;
        const stream = client.makeServerStreamRequest(watch.path, same, same, toBuffer(bytes));
        stream.on('data', () => undefined);
        stream.on('error', (error: ServiceError) => resolve(error));
      });
    assert.equal((await ended(Uint8Array.of(0x0a, 0xff))).code, status.INVALID_ARGUMENT);
    const tooLong = await ended(watch.request.encode({ clusterId: 'c'.repeat(64) }).finish());
    assert.equal(tooLong.code, status.INVALID_ARGUMENT);
    assert.match(tooLong.details, /cluster_id has 64 characters: 63 at most/);
    const alone = await ended(watch.request.encode({ peerForm: 1 }).finish());
    assert.equal(alone.code, status.INVALID_ARGUMENT);
    assert.match(alone.details, /peer_form is PEER_FORM_SHORT: it needs peers_only/);
    // Field 3, peers_only, and field 6, peer_form.
    const unknown = await ended(Uint8Array.of(0x18, 1, 0x30, 2));
    assert.match(unknown.details, /peer_form is 2: 0 and 1 are allowed/);
  });

  it('this on a keep-alive stream ends it with the code that a call would have', async () => {
    const ended = (bytes: Uint8Array): Promise<ServiceError> =>
      new Promise((resolve) => {
        const same = (buffer: Buffer): Buffer => buffer;
        const stream = client.makeBidiStreamRequest(agentService.keepAlive.path, same, same);
        stream.on('data', () => undefined);
        stream.on('error', (error: ServiceError) => resolve(error));
        stream.write(toBuffer(bytes));
      });
    const { request } = agentService.keepAlive;
    assert.equal((await ended(Uint8Array.of(0x0a, 0xff))).code, status.INVALID_ARGUMENT);
    assert.equal((await ended(request.encode({}).finish())).code, status.INVALID_ARGUMENT);
    const stale = request.encode({ agentId: 'agent-1', instanceId: 'agent-1-1', epoch: 1 }).finish();
    assert.equal((await ended(stale)).code, status.ABORTED);
    const unknown = request.encode({ agentId: 'x', instanceId: 'i', epoch: 1 }).finish();
    assert.equal((await ended(unknown)).code, status.ABORTED);
    await until('the streams are let go', () => masters.master(0).services.admission.total.streams === 0);
  });
});
