import assert from 'node:assert/strict';
import { addressAwayMs, type Destination, NodeAddress, NoNodeAddressError } from '#agent/node-address.js';
import type { HostAddress } from '#host/observe/host-addresses.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

/** A host of a test: its addresses, its names, and what the kernel would send from. */
class FakeView {
  addresses: HostAddress[] = [];
  names: Record<string, readonly string[]> = {};
  /** By destination; the others have no route. */
  sources: Record<string, string> = {};

  async resolve(host: string): Promise<readonly string[]> {
    const found = this.names[host] ?? (/^[0-9a-f.:]+$/.test(host) ? [host] : undefined);
    if (found === undefined) throw new Error(`getaddrinfo ENOTFOUND ${host}`);
    return found;
  }

  async sourceTowards(address: string): Promise<string> {
    // The kernel answers for itself from the same address, and for loopback from 127.0.0.1.
    if (this.addresses.some((own) => own.address === address)) return address;
    if (address.startsWith('127.')) return '127.0.0.1';
    const source = this.sources[address];
    if (source === undefined) throw new Error('connect ENETUNREACH');
    return source;
  }

  async hostAddresses(): Promise<readonly HostAddress[]> {
    return this.addresses;
  }
}

function on(device: string, cidr: string, parts: Partial<HostAddress> = {}): HostAddress {
  const [address = '', prefix] = cidr.split('/');
  return { address, prefix: Number(prefix), device, up: true, temporary: false, secondary: false, ...parts };
}

describe('The node address', () => {
  let time: VirtualTime;
  let view: FakeView;
  let logged: object[];

  beforeEach(() => {
    time = new VirtualTime();
    view = new FakeView();
    view.addresses = [on('lo', '127.0.0.1/8'), on('lo', '::1/128'), on('eth0', '10.0.0.1/24')];
    view.sources = { '10.0.0.100': '10.0.0.1', '192.0.2.1': '10.0.0.1' };
    logged = [];
  });

  function nodeAddress(...masters: readonly string[]): NodeAddress {
    const destinations = masters.map((host): Destination => ({ host, port: 7070 }));
    const log = { debug: () => {}, info: () => {}, warn: (fields: object) => logged.push(fields), error: () => {} };
    return new NodeAddress({ masters: destinations, clock: time, log, view });
  }

  describe('at first', () => {
    it('is the source of the route to the first master that there is a route to', async () => {
      assert.equal(await nodeAddress('10.9.9.9', '10.0.0.100').find(undefined), '10.0.0.1');
    });

    it('is not a loopback address: the next master is asked', async () => {
      view.names = { 'host-a': ['127.0.1.1'], localhost: ['::1', '127.0.0.1'] };
      const masters = ['127.0.0.1', '::1', 'host-a', 'localhost', '10.0.0.100'];
      assert.equal(await nodeAddress(...masters).find(undefined), '10.0.0.1');
    });

    for (const masters of [['127.0.0.1'], ['::1'], ['localhost'], ['127.0.0.1', '10.9.9.9']]) {
      it(`can't be known from ${masters.join(' and ')} alone: the error says what to give`, async () => {
        view.names = { localhost: ['::1', '127.0.0.1'] };
        await assert.rejects(nodeAddress(...masters).find(undefined), (error) => {
          assert.ok(error instanceof NoNodeAddressError);
          assert.match(error.message, /loopback address.*: give one with node_ip \(--node-ip\)/);
          return true;
        });
      });
    }

    it('is not one of a link-local route', async () => {
      view.sources = { 'fd00::100': 'fe80::1%eth0', '10.0.0.100': '169.254.7.7' };
      await assert.rejects(
        nodeAddress('fd00::100', '10.0.0.100').find(undefined),
        /leaves from fe80::1%eth0, a link-local/,
      );
    });

    it('comes of each address of a name', async () => {
      view.names = { masters: ['fd00::100', '10.0.0.100'] };
      assert.equal(await nodeAddress('masters').find(undefined), '10.0.0.1');
    });

    it('is that of the master beside it', async () => {
      assert.equal(await nodeAddress('10.0.0.1').find(undefined), '10.0.0.1');
    });

    it('is taken from a master elsewhere before one on this host', async () => {
      view.addresses.push(on('eth1', '192.168.7.1/24'));
      assert.equal(await nodeAddress('192.168.7.1', '10.0.0.100').find(undefined), '10.0.0.1');
    });

    for (const [what, vip] of [
      ['a /32 on the same device', on('eth0', '10.0.0.200/32')],
      ['a second address of the subnet', on('eth0', '10.0.0.200/24', { secondary: true })],
      ['a /32 on lo', on('lo', '10.0.0.200/32')],
      ['a /32 on a dummy device', on('dummy0', '10.0.0.200/32')],
      ['a /32 on a device that is down', on('kube-ipvs0', '10.0.0.200/32', { up: false })],
    ] as const) {
      it(`is not the VIP of the masters, ${what}`, async () => {
        view.addresses.push(vip);
        const address = nodeAddress('10.0.0.200', '10.0.0.100');
        assert.equal(await address.find(undefined), '10.0.0.1');
        // As the only master that is given.
        const found = await nodeAddress('10.0.0.200')
          .find(undefined)
          .catch((error: Error) => error.message);
        assert.match(found, /^10\.0\.0\.1$|may share with others/);
      });
    }

    it('is not a VIP that was there first', async () => {
      view.addresses = [on('eth0', '10.0.0.200/32'), on('eth0', '10.0.0.1/24')];
      assert.equal(await nodeAddress('10.0.0.200').find(undefined), '10.0.0.1');
    });

    it('is the /32 of a host that has nothing else, as in some clouds', async () => {
      view.addresses = [on('eth0', '10.128.0.5/32')];
      view.sources = { '192.0.2.1': '10.128.0.5' };
      assert.equal(await nodeAddress('10.128.0.5').find(undefined), '10.128.0.5');
    });

    it('is never a temporary IPv6 address, but the lasting one beside it', async () => {
      const temporary = on('eth0', '2001:db8:1::aaaa/64', { temporary: true, secondary: true });
      view.addresses.push(on('eth0', 'fe80::1/64'), temporary, on('eth0', '2001:db8:1::1/64'));
      view.sources = { '2001:db8:1::100': '2001:db8:1::aaaa' };
      assert.equal(await nodeAddress('2001:db8:1::100').find(undefined), '2001:db8:1::1');
      view.addresses.pop();
      await assert.rejects(
        nodeAddress('2001:db8:1::100').find(undefined),
        /temporary address, and there is no lasting/,
      );
    });
  });

  describe('in use', () => {
    const vpn = on('vpn0', '100.64.0.1/32');

    it('stays while it is on a device that is up, wherever the routes go', async () => {
      const address = nodeAddress('10.0.0.100');
      assert.equal(await address.find('10.0.0.1'), '10.0.0.1');
      view.addresses.push(vpn);
      view.sources = { '10.0.0.100': '100.64.0.1' };
      await time.runFor(60_000);
      assert.equal(await address.find('10.0.0.1'), '10.0.0.1');
      view.sources = {};
      view.names = {};
      assert.equal(await address.find('10.0.0.1'), '10.0.0.1');
      // The control: an agent that had none takes the other one.
      view.sources = { '10.0.0.100': '100.64.0.1' };
      assert.equal(await address.find(undefined), '100.64.0.1');
      assert.deepEqual(logged, []);
    });

    it('stays over a restart, whatever the route is by then', async () => {
      view.addresses.push(vpn);
      view.sources = { '10.0.0.100': '100.64.0.1' };
      assert.equal(await nodeAddress('10.0.0.100').find('10.0.0.1'), '10.0.0.1');
    });

    for (const [what, lost] of [
      ['gone', []],
      ['on a device that is down', [on('eth0', '10.0.0.1/24', { up: false })]],
    ] as const) {
      it(`is waited for when it is ${what}, and given up after ${addressAwayMs / 1000} s, with both in the log`, async () => {
        const address = nodeAddress('10.0.0.100');
        await address.find('10.0.0.1');
        view.addresses = [on('eth1', '10.1.0.1/24'), ...lost];
        view.sources = { '10.0.0.100': '10.1.0.1' };
        await time.runFor(addressAwayMs - 1);
        assert.equal(await address.find('10.0.0.1'), '10.0.0.1');
        await time.runFor(1);
        assert.equal(await address.find('10.0.0.1'), '10.1.0.1');
        assert.equal(await address.find('10.0.0.1'), '10.1.0.1');
        const why = lost.length === 0 ? 'is on no device of this host' : 'is on eth0, which is down';
        const source = 'it is the source of the route to master 10.0.0.100';
        assert.deepEqual(logged, [{ from: '10.0.0.1', to: '10.1.0.1', why: `10.0.0.1 ${why}; ${source}` }]);
      });
    }

    it('does not flap: what comes back is not taken again', async () => {
      const address = nodeAddress('10.0.0.100');
      await address.find('10.0.0.1');
      view.addresses = [on('eth1', '10.1.0.1/24')];
      view.sources = { '10.0.0.100': '10.1.0.1' };
      await time.runFor(addressAwayMs);
      assert.equal(await address.find('10.0.0.1'), '10.1.0.1');
      view.addresses.push(on('eth0', '10.0.0.1/24'));
      view.sources = { '10.0.0.100': '10.0.0.1' };
      for (let round = 0; round < 10; round++) {
        await time.runFor(10_000);
        assert.equal(await address.find('10.1.0.1'), '10.1.0.1');
      }
      assert.equal(logged.length, 1);
    });

    it('stays when its device is removed and made anew', async () => {
      const address = nodeAddress('10.0.0.100');
      await address.find('10.0.0.1');
      const before = view.addresses;
      view.addresses = [];
      view.sources = {};
      await time.runFor(addressAwayMs - 1);
      assert.equal(await address.find('10.0.0.1'), '10.0.0.1');
      await time.runFor(60_000);
      await assert.rejects(address.find('10.0.0.1'), NoNodeAddressError);
      view.addresses = before;
      assert.equal(await address.find('10.0.0.1'), '10.0.0.1');
      assert.deepEqual(logged, []);
    });

    it('of a state directory that was copied to another host is not waited for', async () => {
      assert.equal(await nodeAddress('10.0.0.100').find('10.0.0.77'), '10.0.0.1');
    });

    it('is given up at the start when it is temporary, as an earlier version may have chosen it', async () => {
      const temporary = on('eth0', '2001:db8:1::aaaa/64', { temporary: true, secondary: true });
      view.addresses.push(temporary, on('eth0', '2001:db8:1::1/64'));
      view.sources = { '2001:db8:1::100': '2001:db8:1::aaaa' };
      assert.equal(await nodeAddress('2001:db8:1::100').find('2001:db8:1::aaaa'), '2001:db8:1::1');
      assert.match(JSON.stringify(logged), /2001:db8:1::aaaa is a temporary address/);
    });
  });
});
