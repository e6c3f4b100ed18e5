import assert from 'node:assert/strict';
import { desired } from '#host/desired/desired.js';
import { exampleInput, underlay } from '#host/testing/example.js';
import { areasOf } from '#host/tools/kernel-event.js';

const wish = desired(exampleInput(), { underlay });
const at = (line: string) => areasOf(line, wish, { ...underlay, index: 2 });

describe('a kernel event', () => {
  it('is no drift when it is the echo of our own change', () => {
    for (const line of [
      '44.128.0.2 dev vtep1024 lladdr 70:b3:d5:80:00:02 PERMANENT proto 205 ',
      'fd01:a::2 dev vtep1024 lladdr 70:b3:d5:80:00:02 PERMANENT proto 205 ',
      '10.0.0.2 dev vtep1024 lladdr 70:b3:d5:80:00:02 NOARP PERMANENT ',
      '9.0.1.0/24 via 44.128.0.2 dev vtep1024 proto 205 scope 7 ',
      '10.0.0.2 via 44.128.0.2 dev vtep1024 table 42 proto 205 scope 7 ',
      'fd01:b:0:0:1::/80 via fd01:a::2 dev vtep1024 proto 205 metric 1024 pref medium',
      'Deleted 9.0.9.0/24 via 44.128.0.9 dev vtep1024 proto 205 ',
      'Deleted 44.128.0.9 dev vtep1024 lladdr 70:b3:d5:80:00:09 PERMANENT proto 205 ',
      'Deleted 10.0.0.9 dev vtep1024 lladdr 70:b3:d5:80:00:09 NOARP PERMANENT ',
    ]) {
      assert.deepEqual(at(line), [], line);
    }
  });

  it('is drift when an entry is gone, changed, or should not be', () => {
    for (const line of [
      'Deleted 44.128.0.2 dev vtep1024 lladdr 70:b3:d5:80:00:02 PERMANENT proto 205 ',
      '44.128.0.2 dev vtep1024 lladdr 02:00:00:00:00:01 PERMANENT proto 205 ',
      '44.128.0.2 dev vtep1024 lladdr 70:b3:d5:80:00:02 STALE ',
      '44.128.0.9 dev vtep1024 lladdr 70:b3:d5:80:00:09 PERMANENT proto 205 ',
      'Deleted 10.0.0.2 dev vtep1024 lladdr 70:b3:d5:80:00:02 NOARP PERMANENT ',
      '10.0.0.77 dev vtep1024 lladdr 70:b3:d5:80:00:02 NOARP PERMANENT ',
      'Deleted 9.0.1.0/24 via 44.128.0.2 dev vtep1024 proto 205 scope 7 ',
      '9.0.1.0/24 via 44.128.0.9 dev vtep1024 proto 205 ',
      'Deleted 10.0.0.2 via 44.128.0.2 dev vtep1024 table 42 proto 205 ',
    ]) {
      assert.deepEqual(at(line), ['peers'], line);
    }
  });

  it('looks at links that are ours, and at everything behind a device that goes down or away', () => {
    assert.deepEqual(at('7: vtep1024: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN'), [
      'links',
    ]);
    assert.deepEqual(at('7: vtep1024: <BROADCAST,MULTICAST> mtu 1450 qdisc noqueue state DOWN group 0'), [
      'links',
      'peers',
    ]);
    assert.deepEqual(at('Deleted 7: vtep1024: <BROADCAST,MULTICAST> mtu 1450 qdisc noop state DOWN'), [
      'links',
      'peers',
    ]);
    assert.deepEqual(at('Deleted 7: vtep1024    inet 44.128.0.1/16 scope 0 vtep1024'), ['links', 'peers']);
    assert.deepEqual(at('9: m-dcos: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500'), ['links', 'sysctls']);
    assert.deepEqual(at('2: eth0    inet 10.0.0.1/24 brd 10.0.0.255 scope 0 eth0'), ['links']);
    assert.deepEqual(at('Deleted 32042:\tfrom 9.0.0.0/8 lookup 42 proto 205'), ['rules']);
  });

  it('of others is none of our business', () => {
    for (const line of [
      '12: veth12ab@if11: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN',
      '10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 REACHABLE ',
      '44.128.0.77 dev vtep1024 FAILED ',
      '10.7.0.0/16 via 10.0.0.9 dev eth0 ',
      'default via 10.0.0.254 dev eth0 ',
      '2 9.0.1.1 dev eth5 table 255 proto 2 scope 254 src 9.0.1.1 ',
      '',
    ]) {
      assert.deepEqual(at(line), [], line);
    }
  });

  it('of a rule of others is looked at, whatever it does', () => {
    for (const line of [
      '100:\tfrom all lookup 100',
      'Deleted 100:\tnot from all fwmark 0xca6c lookup 51820',
      '90:\tfrom all to 9.0.0.0/8 blackhole',
      '5270:\tfrom all lookup 52 proto 3',
    ]) {
      assert.deepEqual(at(line), ['strangers'], line);
    }
  });

  it('of the underlay is followed by its number or the node’s address, whatever it is called', () => {
    assert.deepEqual(at('2: wan0@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1280 qdisc noqueue'), ['links']);
    assert.deepEqual(at('Deleted 2: eth0: <BROADCAST,MULTICAST> mtu 1500'), ['links']);
    assert.deepEqual(at('9: wan1    inet 10.0.0.1/24 scope 0 wan1'), ['links']);
    assert.deepEqual(at('9: wan1    inet 10.0.0.17/24 scope 0 wan1'), []);
    assert.deepEqual(at('Deleted 9: wan1    inet 9.0.1.1/25 scope 0 wan1'), ['links'], 'it hid a peer');
  });

  it('of a route that others have put where ours are is looked at', () => {
    for (const line of [
      '9.0.1.0/25 dev eth5 proto 2 scope 253 src 9.0.1.1 ',
      'Deleted 9.0.1.0/25 dev eth5 proto 2 scope 253 src 9.0.1.1 ',
      '6 9.0.1.0/25 ',
      '9.0.1.0/24 via 10.0.0.9 dev eth0 ',
      'Deleted 9.0.1.0/24 via 44.128.0.2 dev vtep1024 proto 186 ',
      'default via 10.0.0.254 dev eth0 table 42 ',
      'fd01:b:0:0:1:1::/96 dev eth5 proto 3 metric 1024 pref medium',
    ]) {
      assert.deepEqual(at(line), ['strangers'], line);
    }
  });

  it('may bring the node’s address while that is on no interface', () => {
    const without = desired(exampleInput(), {});
    assert.deepEqual(areasOf('2: eth0    inet 10.0.0.1/24 scope 0 eth0', without, undefined), ['links']);
    assert.deepEqual(areasOf('10.0.0.9 dev eth0 lladdr 02:00:00:00:00:09 REACHABLE ', without, undefined), []);
  });
});
