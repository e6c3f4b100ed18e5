/** The row in the title is that of docs/intrusions.md. */

import assert from 'node:assert/strict';
import { parseCidr, parseIp } from '#address/ip.js';
import { checkNodeAddress, type NodeAddressRules } from '#master/access/node-address-check.js';
import { callerNamed } from '#tls/testing/test-caller.js';

const masters = (): readonly string[] => ['10.0.0.1:7071', '[fd00::1]:7071', 'm3.example:7071'];

describe('row 41: a node_ip', () => {
  const check = (nodeIp: string, caller: string, rules: Partial<NodeAddressRules> = {}): void =>
    checkNodeAddress('register', parseIp(nodeIp), callerNamed(caller), { allowed: undefined, masters, ...rules });
  const allowed = [parseCidr('10.0.0.0/16'), parseCidr('fd00::/64')];

  it('lies in one of node_ips, or is the address that the agent calls from', () => {
    check('10.0.9.9', 'agent/a@192.0.2.1:5', { allowed });
    check('fd00::9', 'agent/a@fd00::8:5', { allowed });
    check('192.0.2.1', 'agent/a@192.0.2.1:5', { allowed });
    check('192.0.2.1', 'agent/a@::ffff:192.0.2.1:5', { allowed });
    check('2001:db8::1', 'agent/a@2001:db8::1:5', { allowed });
    assert.throws(
      () => check('8.8.8.8', 'agent/a@10.0.0.7:5', { allowed }),
      /^RefusedError: register: node_ip 8\.8\.8\.8 lies in none of node_ips \(10\.0\.0\.0\/16, fd00::\/64\), and agent\/a at 10\.0\.0\.7:5 does not call from it$/,
    );
    assert.throws(() => check('10.1.0.1', '10.0.0.7:5', { allowed }), /10\.0\.0\.7:5 does not call from it/);
    assert.throws(() => check('fd01::1', 'agent/a@10.0.0.7:5', { allowed }), /lies in none of node_ips/);
  });

  it('is not a master’s, but for an agent on its machine', () => {
    for (const nodeIp of ['10.0.0.1', 'fd00::1']) {
      assert.throws(() => check(nodeIp, 'agent/a@10.0.0.7:5'), /is the address of a master, and agent\/a at/);
      assert.throws(() => check(nodeIp, 'agent/a@10.0.0.7:5', { allowed }), /is the address of a master/);
    }
    check('10.0.0.1', 'agent/a@10.0.0.1:5');
    check('10.0.0.1', 'agent/a@127.0.0.1:5');
    check('10.0.0.1', 'agent/a@::ffff:127.0.0.1:5');
    check('fd00::1', 'agent/a@::1:5');
    check('fd00::1', 'agent/a@fd00::1:5');
    check('10.0.0.2', 'agent/a@10.0.0.7:5');
  });

  it('may be any without TLS and node_ips', () => {
    check('10.0.0.1', '10.0.0.7:5');
    check('8.8.8.8', '10.0.0.7:5');
  });
});
