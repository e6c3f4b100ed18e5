/** Responses of a small cluster, for what the command line shows of them. */
import { secondsAgo } from '#cli/testing/recorded-terminal.js';
import { sublet } from '#proto/sublet.js';

const { MemberRole, OverlayStatus, PresenceState } = sublet.v1;
type Agent = sublet.v1.Agent.$Properties;

const dcos = { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true };
const dcos6 = { name: 'dcos6', subnet6: 'fd01:b::/64', prefix6: 80, enabled: true };

/** The first agent of the worked example. */
export const agent1: Agent = {
  agentId: 'agent-1',
  instanceId: '6d1f0c9e-1111-4222-8333-444455556666',
  nodeIp: '10.0.0.1',
  hostname: 'host-1.example',
  vxlan: {
    vni: 1024,
    vtepName: 'vtep1024',
    vtepIp: '44.128.0.1/20',
    vtepMac: '70:b3:d5:80:00:01',
    vtepIp6: 'fd01:a::1/64',
    vxlanPort: 64_000,
  },
  overlays: [
    {
      info: dcos,
      subnet: '9.0.0.0/24',
      mesosBridge: { name: 'm-dcos', ip: '9.0.0.0/25' },
      dockerBridge: { name: 'd-dcos', ip: '9.0.0.128/25' },
      state: { status: OverlayStatus.OVERLAY_STATUS_OK },
    },
    {
      info: dcos6,
      subnet6: 'fd01:b::/80',
      mesosBridge: { name: 'm-dcos6', ip6: 'fd01:b::/81' },
      dockerBridge: { name: 'd-dcos6', ip6: 'fd01:b:0:0:0:8000::/81' },
      state: { status: OverlayStatus.OVERLAY_STATUS_FAILED, error: 'Docker does not answer at /var/run/docker.sock' },
    },
  ],
  lease: { epoch: 7 },
  presence: { state: PresenceState.PRESENCE_STATE_LIVE, lastHeard: secondsAgo(4) },
  registeredAt: secondsAgo(90_000),
  reachable: true,
};

/** An agent without subnets that has not been heard for a while. */
export const agent2: Agent = {
  agentId: 'agent-2',
  nodeIp: '10.0.0.2',
  vxlan: { vni: 1024, vtepName: 'vtep1024', vtepIp: '44.128.0.2/20', vtepMac: '70:b3:d5:80:00:02', vxlanPort: 64_000 },
  lease: { epoch: 9, ttlSeconds: 86_400 },
  presence: { state: PresenceState.PRESENCE_STATE_SILENT, silentSince: secondsAgo(3_725) },
  reachable: true,
};

export const status = new sublet.v1.GetStatusResponse({
  clusterId: 'sublet',
  name: 'm2',
  role: MemberRole.MEMBER_ROLE_FOLLOWER,
  leader: 'm1',
  term: 3,
  commitIndex: 1_234,
  appliedIndex: 1_234,
  members: [
    {
      id: 1,
      name: 'm1',
      peer: '10.0.0.11:7071',
      api: '10.0.0.11:7070',
      role: MemberRole.MEMBER_ROLE_LEADER,
      lastContact: secondsAgo(0),
    },
    {
      id: 2,
      name: 'm2',
      peer: '10.0.0.12:7071',
      api: '10.0.0.12:7070',
      role: MemberRole.MEMBER_ROLE_FOLLOWER,
      self: true,
    },
    { id: 3, name: 'm3', peer: '10.0.0.13:7071', role: MemberRole.MEMBER_ROLE_FOLLOWER, lastContact: secondsAgo(75) },
  ],
  agents: { total: 2, live: 1, silent: 1 },
  silentAgents: [{ agentId: 'agent-2', nodeIp: '10.0.0.2', silentSince: secondsAgo(3_725) }],
  warnings: [
    {
      message: 'the file of m2 does not have network.overlays.blue, the plan does: 10.128.0.0/16 prefix 24, enabled',
      remedy: 'add it to the file',
      notice: true,
    },
    {
      message:
        'overlay dcos is full: 65536 of 65536 pieces are held, reserved, excluded or quarantined, so new agents do not get it',
      remedy: 'sublet overlay grow dcos --subnet CIDR',
    },
  ],
  version: '0.1.0',
  nodeVersion: '24.21.0',
});

export const sampleOverlays = new sublet.v1.ListOverlaysResponse({
  overlays: [
    { overlay: dcos, usage: { held: 1, reserved: 1, excluded: 16_384, quarantined: 2, free: 49_148, total: 65_536 } },
    { overlay: { ...dcos6, enabled: false }, usage6: { held: 1, free: 65_535, total: 65_536 } },
  ],
  vtep: { held: 2, free: 4_092, total: 4_094 },
  revision: 1_234,
});

export const history = new sublet.v1.ListHistoryResponse({
  entries: [
    {
      revision: 2,
      time: secondsAgo(90_000),
      what: 'configure-network',
      who: '',
      subjects: ['44.128.0.0/20'],
      detail: 'established by m1',
    },
    {
      revision: 7,
      time: secondsAgo(600),
      what: 'register',
      who: 'agent-1',
      subjects: ['9.0.0.0/24', 'fd01:b::/80', '44.128.0.1'],
    },
    {
      revision: 8,
      time: secondsAgo(60),
      what: 'update-network',
      who: 'operator@10.0.0.7',
      subjects: ['network.vtep_mtu', 'lease.quarantine'],
      detail: 'network.vtep_mtu 0 → 1400, lease.quarantine 15m → 1h',
    },
    {
      revision: 9,
      time: secondsAgo(50),
      what: 'remove-member',
      who: 'bob',
      subjects: ['m2'],
      detail: 'at 10.0.0.2:7071',
    },
    {
      revision: 10,
      time: secondsAgo(40),
      what: 'replace-member',
      who: 'bob',
      subjects: ['m3', 'm4'],
      detail: 'm3 at 10.0.0.3:7071 by m4 at 10.0.0.4:7071',
    },
  ],
  revision: 10,
});
