import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AddressError } from '#address/brand.js';
import { parseCidr4 } from '#address/cidr4.js';
import { parseCidr6 } from '#address/cidr6.js';
import { parseCidr, parseIp } from '#address/ip.js';
import { parseIpv4 } from '#address/ipv4.js';
import { decodeCommand, encodeCommand, UnknownCommandError } from '#ipam/codec/command-codec.js';
import { RecordError } from '#ipam/codec/wire.js';
import type { Action, Command, CreateToken } from '#ipam/commands/command.js';
import { commandKindOf, commandKinds, laterCommandKinds } from '#ipam/commands/command-kind.js';
import { parseAgentId, parseInstanceId, parseRunId } from '#ipam/identity.js';
import {
  parseHostname,
  parseNetworkConfig,
  parseNodeIp,
  parseSequence,
  parseStatusError,
} from '#ipam/registration-fields.js';
import { dcos, dcosSettings, everything, overlay } from '#ipam/testing/plan-under-test.js';
import { sublet } from '#proto/sublet.js';

const store = sublet.store.v1;
const agentId = parseAgentId('a');
const range = { overlay: 'dcos', subnet: parseCidr('9.0.1.0/24') };
const vtep = { overlay: undefined, subnet: parseCidr('44.128.0.7/32') };

const createToken: CreateToken = {
  kind: 'create-token',
  id: '1a'.repeat(16),
  secretHash: '2b'.repeat(32),
  role: 'agent',
  subject: 'host-7',
  nodeIp: undefined,
  ttlMs: 3_600_000,
  uses: 1,
};

/** At least one of each kind, with every field set and with every optional one left out. */
const actions: readonly Action[] = [
  { kind: 'configure-network', settings: dcosSettings, overlays: [dcos, overlay('six', 'fd01:b::/64', 80)] },
  {
    kind: 'configure-network',
    settings: { ...dcosSettings, vtepSubnet6: undefined, reclaimMs: 86_400_000 },
    overlays: [],
  },
  { kind: 'update-network' },
  {
    kind: 'update-network',
    vtepSubnet: parseCidr4('44.0.0.0/8'),
    vtepSubnet6: parseCidr6('fd01::/32'),
    vtepMtu: 0,
    quarantineMs: 0,
    reclaim: { ttlMs: 86_400_000 },
  },
  { kind: 'update-network', reclaim: { ttlMs: undefined } },
  { kind: 'add-overlay', overlay: overlay('both', '9.0.0.0/8', 24, 'fd01:b::/64', 80), source: 'config' },
  { kind: 'add-overlay', overlay: { ...dcos, enabled: false }, source: 'operator' },
  { kind: 'update-overlay', name: 'dcos' },
  {
    kind: 'update-overlay',
    name: 'dcos',
    enabled: false,
    subnet: parseCidr4('8.0.0.0/7'),
    subnet6: parseCidr6('fd00::/16'),
  },
  { kind: 'remove-overlay', name: 'dcos' },
  {
    kind: 'register',
    agentId,
    instanceId: parseInstanceId('i'),
    runId: parseRunId('r'),
    sequence: parseSequence(Number.MAX_SAFE_INTEGER),
    nodeIp: parseNodeIp(parseIp('255.255.255.254')),
    hostname: parseHostname('~host'),
    networkConfig: parseNetworkConfig(everything),
    takeover: true,
    held: {
      vtepIp: parseIpv4('44.128.0.1'),
      subnets: [
        { overlay: 'dcos', subnet: parseCidr4('9.0.1.0/24'), subnet6: undefined },
        { overlay: 'six', subnet: undefined, subnet6: parseCidr6('fd01:b::/80') },
      ],
    },
    heldUnconfirmed: true,
    holders: [
      { agentId, epoch: 7, silent: true, lastHeard: 1_700_000_000_000 },
      { agentId, epoch: 8, silent: false, lastHeard: undefined },
    ],
  },
  {
    kind: 'register',
    agentId,
    instanceId: parseInstanceId('i'),
    runId: undefined,
    sequence: parseSequence(0),
    nodeIp: parseNodeIp(parseIp('fd00::1')),
    hostname: parseHostname(''),
    networkConfig: parseNetworkConfig({
      allocateSubnet: false,
      mesosBridge: false,
      dockerBridge: false,
      enableIpv6: false,
      overlayMtu: 576,
      split: false,
    }),
    takeover: false,
    held: undefined,
    heldUnconfirmed: false,
    holders: [],
  },
  {
    kind: 'report-status',
    agentId,
    epoch: 9,
    overlays: [
      { overlay: 'a', status: 'none', error: parseStatusError('') },
      { overlay: 'b', status: 'ok', error: parseStatusError('') },
      { overlay: 'c', status: 'failed', error: parseStatusError('no Docker') },
      { overlay: 'd', status: 'configuring', error: parseStatusError('') },
    ],
  },
  { kind: 'leave', agentId, epoch: 9 },
  {
    kind: 'release',
    agentIds: [agentId, parseAgentId('b')],
    force: true,
    holders: [{ agentId, epoch: 1, silent: true, lastHeard: 0 }],
  },
  { kind: 'expire', agentId, epoch: 9 },
  { kind: 'reserve', ...range, agentId },
  { kind: 'reserve', ...vtep, agentId },
  { kind: 'reserve', ...range, nodeIp: parseNodeIp(parseIp('10.0.0.1')) },
  { kind: 'reserve', ...vtep, nodeIp: parseNodeIp(parseIp('fd00::1')) },
  { kind: 'unreserve', ...range },
  { kind: 'unreserve', ...vtep },
  { kind: 'exclude', overlay: 'six', subnet: parseCidr('fd01:b::/70') },
  { kind: 'unexclude', ...range },
  { kind: 'begin-adoption' },
  { kind: 'begin-adoption', proof: { reason: 'höher', claimedEpoch: 2 ** 52, value: '00aa00bb00cd' } },
  { kind: 'begin-adoption', proof: { reason: '', claimedEpoch: 0, value: '' } },
  { kind: 'end-adoption', missing: 4 },
  { kind: 'end-adoption', missing: 0 },
  ...(['add', 'promote', 'remove'] as const).map(
    (kind): Action => ({ kind: 'record-membership', change: { kind, master: { name: 'm3', peer: '10.0.0.3:7071' } } }),
  ),
  {
    kind: 'record-membership',
    change: {
      kind: 'replace',
      master: { name: 'm3', peer: '10.0.0.3:7071' },
      by: { name: 'm4', peer: '[fd00::4]:7071' },
    },
  },
  { kind: 'drain-overlay', name: 'web' },
  { kind: 'return-overlays', agentId: parseAgentId('a'), epoch: 7, overlays: ['web', 'dcos'] },
  {
    kind: 'replace-agent',
    agentId: parseAgentId('a'),
    successor: parseAgentId('b'),
    off: true,
    holders: [{ agentId: parseAgentId('a'), epoch: 7, silent: true, lastHeard: undefined }],
  },
  { kind: 'mark-branch', value: '00aa00bb00cc' },
  createToken,
  { ...createToken, role: 'master', subject: 'm3', nodeIp: parseIp('fd00::4') },
  {
    kind: 'use-token',
    id: createToken.id,
    secretHash: createToken.secretHash,
    role: 'agent',
    subject: 'host-7',
    address: parseIp('10.0.0.7'),
    keyHash: '3c'.repeat(32),
  },
  { kind: 'revoke-token', id: createToken.id },
  { kind: 'revoke-identity', identity: 'agent/host-7', cause: 'operator', release: true },
  { kind: 'revoke-identity', identity: 'master/m3', cause: 'removal', release: false },
  { kind: 'unrevoke-identity', identity: 'agent/host-7', cause: 'operator', acceptedFrom: 1_790_000_000_000 },
  { kind: 'unrevoke-identity', identity: 'master/m3', cause: 'removal', acceptedFrom: undefined },
  { kind: 'record-backup', master: 'm1' },
];

/** Without the fields that are undefined: leaving one out means the same. */
const defined = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part)));

describe('commands', () => {
  for (const [position, action] of actions.entries()) {
    it(`read back as they were written: ${action.kind} (${position})`, () => {
      for (const origin of [
        { wallTime: 1_700_000_000_000, by: 'ann', expectedRevision: 0 },
        { wallTime: 0, by: '' },
      ]) {
        const command: Command = { ...origin, ...action };
        assert.deepEqual(defined(decodeCommand(encodeCommand(command))), defined(command));
      }
    });
  }

  it('are all among the kinds that a member advertises', () => {
    assert.deepEqual([...new Set(actions.map(({ kind }) => kind))], commandKinds);
  });

  it('that came after the first release are the last of them', () => {
    const first = commandKinds.slice(0, commandKinds.length - laterCommandKinds.length);
    assert.deepEqual([...first, ...laterCommandKinds], commandKinds);
  });

  it('have a kind that is read, and unreadable ones have none', () => {
    for (const action of actions) {
      const origin = { wallTime: 1_700_000_000_000, by: 'ann', expectedRevision: 7 };
      assert.equal(commandKindOf(encodeCommand({ ...origin, ...action })), action.kind);
    }
    assert.equal(commandKindOf(new Uint8Array()), '');
    assert.equal(commandKindOf(Uint8Array.of(0xff)), '');
    const unknown = Uint8Array.of(0x9a, 0x06, 0);
    assert.equal(commandKindOf(unknown), '', 'field 99, which a newer version might have');
  });

  it('of an unknown kind are an error of their own', () => {
    // Field 99, a message of no bytes: what a newer version might propose.
    const newer = new Uint8Array([
      ...encodeCommand({ kind: 'begin-adoption', wallTime: 7, by: '' }).slice(0, 2),
      0x9a,
      0x06,
      0,
    ]);
    assert.throws(() => decodeCommand(newer), UnknownCommandError);
    assert.throws(() => decodeCommand(new Uint8Array()), UnknownCommandError);
  });

  it('that are damaged are an error, never a crash and never something else', () => {
    const whole = actions.map((action) => encodeCommand({ wallTime: 1, by: 'ann', ...action }));
    const damaged = fc
      .tuple(fc.constantFrom(...whole), fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat())
      .map(([bytes, at, value, length]) => {
        const copy = new Uint8Array(bytes);
        copy[at % copy.length] = value;
        return copy.slice(0, length % 3 === 0 ? length % copy.length : copy.length);
      });
    fc.assert(
      fc.property(damaged, (bytes) => {
        try {
          decodeCommand(bytes);
        } catch (error) {
          assert.ok(error instanceof RecordError || error instanceof UnknownCommandError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('of an agent are read with the limits of a request: one beyond them is damaged', () => {
    const [registered] = actions.filter(({ kind }) => kind === 'register');
    const [reported] = actions.filter(({ kind }) => kind === 'report-status');
    if (registered === undefined || reported === undefined) throw new Error('one of each kind');
    const changed = (action: Action, change: (stored: sublet.store.v1.Command) => void): Uint8Array => {
      const stored = store.Command.decode(encodeCommand({ ...action, wallTime: 0, by: '' }));
      change(stored);
      return store.Command.encode(stored).finish();
    };
    const register = (fields: sublet.store.v1.Register.$Properties) =>
      changed(registered, (stored) => Object.assign(stored.register ?? {}, fields));
    const config = { enableIpv6: true, mesosBridge: true, dockerBridge: true };
    for (const [bytes, wrong] of [
      [register({ sequence: 2 ** 53 }), /sequence/],
      [register({ hostname: 'a\u001b[31m' }), /hostname/],
      [register({ hostname: 'h'.repeat(254) }), /hostname/],
      [register({ nodeIp: Uint8Array.of(127, 0, 0, 1) }), /node_ip 127\.0\.0\.1 is a loopback address/],
      [register({ networkConfig: { ...config, overlayMtu: 1279 } }), /overlay_mtu is 1279/],
      [register({ networkConfig: { ...config, overlayMtu: 1420, unsplit: true } }), /split/],
      [
        changed(reported, (stored) =>
          Object.assign(stored.reportStatus?.overlays?.[0] ?? {}, { error: 'x'.repeat(1025) }),
        ),
        /error has 1025 characters: 1024 at most/,
      ],
    ] as const) {
      assert.throws(() => decodeCommand(bytes), RecordError);
      assert.throws(() => decodeCommand(bytes), wrong);
    }
  });

  it('name what is wrong with them', () => {
    const bytes = encodeCommand({ kind: 'leave', agentId, epoch: 9, wallTime: 0, by: '' });
    const changed = new Uint8Array(bytes).map((byte) => (byte === 'a'.charCodeAt(0) ? '/'.charCodeAt(0) : byte));
    assert.throws(() => decodeCommand(changed), /a command can't be read: agent_id "\/" has other characters/);
    assert.equal(new AddressError('x', 'y').message, '"x" y');
  });
});
