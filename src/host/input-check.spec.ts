import assert from 'node:assert/strict';
import type { HostInput } from '#host/input.js';
import { checkHostInput, HostInputError } from '#host/input-check.js';
import { exampleInput, examplePeer } from '#host/testing/example.js';

function withVxlan(changed: Partial<HostInput['lease']['vxlan']>): HostInput {
  const input = exampleInput();
  return { ...input, lease: { ...input.lease, vxlan: { ...input.lease.vxlan, ...changed } } };
}

describe('a host input', () => {
  it('that is canonical is taken as it is', () => {
    const input = exampleInput();
    assert.equal(checkHostInput(input).input, input);
  });

  const wrong: readonly (readonly [field: RegExp, input: HostInput])[] = [
    [/cluster id "a b"/, { ...exampleInput(), clusterId: 'a b' }],
    [/vtep_name "vtep;reboot"/, withVxlan({ vtepName: 'vtep;reboot' })],
    [/vtep_ip "44\.128\.0\.1"/, withVxlan({ vtepIp: '44.128.0.1' })],
    [/vtep_ip6 "fd01:a:0::1\/64"/, withVxlan({ vtepIp6: 'fd01:a:0::1/64' })],
    [/vtep_mac "70:B3:D5:80:00:01"/, withVxlan({ vtepMac: '70:B3:D5:80:00:01' })],
    [/vni 0 is not an integer from 1 to 16777215/, withVxlan({ vni: 0 })],
    [/vxlan_port 70000/, withVxlan({ port: 70_000 })],
    [/vtep_mtu 100/, withVxlan({ vtepMtu: 100 })],
    [/overlay "Dcos"/, { ...exampleInput(), overlays: [{ name: 'Dcos', enabled: true }] }],
    [/subnet "9\.0\.0\.1\/8"/, { ...exampleInput(), overlays: [{ name: 'dcos', subnet: '9.0.0.1/8', enabled: true }] }],
  ];
  for (const [field, input] of wrong) {
    it(`is refused for ${field.source}`, () => {
      assert.throws(
        () => checkHostInput(input),
        (error) => error instanceof HostInputError && field.test(error.message),
      );
    });
  }

  it('goes on without a peer that is not canonical: its words never reach a command line', () => {
    const good = examplePeer(2);
    const bad = { ...examplePeer(3), nodeIp: '10.0.0.3\nlink del dev eth0' };
    const { input, refusedPeers } = checkHostInput(exampleInput([good, bad]));
    assert.deepEqual(input.peers, [good]);
    assert.match(refusedPeers[0] ?? '', /peer "agent-3" gets no entries: node_ip/);
  });
});
