import assert from 'node:assert/strict';
import { RefusedError } from '#api/refusal.js';
import { parseRegister } from '#master/services/register-request.js';
import { sublet } from '#proto/sublet.js';

const { RegisterRequest } = sublet.v1;

function parsed(change: sublet.v1.RegisterRequest.$Properties) {
  const request = { agentId: 'a0', instanceId: 'i', sequence: 1, nodeIp: '10.0.0.1', hostname: 'a0', ...change };
  return parseRegister(RegisterRequest.decode(RegisterRequest.encode(request).finish()));
}

function refusalOf(change: sublet.v1.RegisterRequest.$Properties): RefusedError {
  try {
    parsed(change);
  } catch (error) {
    if (error instanceof RefusedError) return error;
    throw error;
  }
  return assert.fail('the request was taken');
}

describe('a request to register', () => {
  it('is parsed into the values of the command; what it leaves out has its default', () => {
    const { runId, held, networkConfig } = parsed({ networkConfig: { dockerBridge: false, split: false } });
    assert.deepEqual([runId, held], [undefined, undefined]);
    assert.deepEqual(networkConfig, {
      allocateSubnet: true,
      mesosBridge: true,
      dockerBridge: false,
      enableIpv6: true,
      overlayMtu: 1420,
      split: false,
    });
    assert.equal(parsed({ runId: 'r1' }).runId, 'r1');
    assert.equal(parsed({ networkConfig: { overlayMtu: 576, enableIpv6: false } }).networkConfig.overlayMtu, 576);
  });

  for (const [what, change, field] of [
    ['an unspecified node address', { nodeIp: '0.0.0.0' }, 'node_ip'],
    ['a loopback node address', { nodeIp: '127.0.0.1' }, 'node_ip'],
    ['a link-local node address', { nodeIp: '169.254.1.1' }, 'node_ip'],
    ['the IPv6 loopback address', { nodeIp: '::1' }, 'node_ip'],
    ['an IPv6 link-local node address', { nodeIp: 'fe80::1' }, 'node_ip'],
    ['a multicast node address', { nodeIp: '224.0.0.1' }, 'node_ip'],
    ['the broadcast address', { nodeIp: '255.255.255.255' }, 'node_ip'],
    ['an IPv6 multicast node address', { nodeIp: 'ff02::1' }, 'node_ip'],
    ['a mapped node address', { nodeIp: '::ffff:10.0.0.1' }, 'node_ip'],
    ['a sequence beyond 2^53', { sequence: 2 ** 53 }, 'sequence'],
    ['a long hostname', { hostname: 'h'.repeat(254) }, 'hostname'],
    ['a hostname that paints', { hostname: 'a\u001b[31m' }, 'hostname'],
    ['a small overlay MTU', { networkConfig: { overlayMtu: 1279 } }, 'network_config.overlay_mtu'],
    [
      'a smaller one without IPv6',
      { networkConfig: { overlayMtu: 575, enableIpv6: false } },
      'network_config.overlay_mtu',
    ],
    ['a large overlay MTU', { networkConfig: { overlayMtu: 65_536 } }, 'network_config.overlay_mtu'],
    ['no split for two bridges', { networkConfig: { split: false } }, 'network_config.split'],
  ] as const) {
    it(`with ${what} is refused, naming the field`, () => {
      const { reason, details, message } = refusalOf(change);
      assert.deepEqual([reason, details], ['invalid-argument', { field }]);
      assert.ok(message.startsWith(`${field} `), message);
    });
  }

  it('with an address that others can’t reach names the way out', () => {
    const { message } = refusalOf({ nodeIp: '127.0.1.1' });
    assert.match(message, /node_ip 127\.0\.1\.1 is a loopback address: other hosts can’t reach .*--node-ip/);
  });

  it('without a split for two bridges says when it may be so', () => {
    const { message } = refusalOf({ networkConfig: { split: false } });
    assert.match(message, /split is false: it is allowed with one of mesos_bridge and docker_bridge/);
  });
});
