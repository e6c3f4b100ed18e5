import assert from 'node:assert/strict';
import { clientNameProblem, ownNameProblem } from '#master/members/own-name.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

describe('the name that a master listens at', () => {
  const names: Readonly<Record<string, readonly string[]>> = {
    'm1.test': ['127.0.1.1'],
    'm2.test': ['10.0.0.2'],
    'm3.test': ['127.0.0.3', '::1'],
    'dual.test': ['127.0.1.1', '10.0.0.1'],
  };
  const lookup = async (host: string): Promise<readonly string[]> => {
    const found = names[host];
    if (found === undefined) throw new Error(`getaddrinfo ENOTFOUND ${host}`);
    return found;
  };
  const problem = (peerListen: string, ...others: readonly string[]) =>
    ownNameProblem({ peerListen, others, lookup, clock: new VirtualTime() });

  it('is a problem where it is loopback and another master is on another machine, by name or address', async () => {
    for (const [other, says] of [
      ['m2.test:7071', 'm2.test is 10.0.0.2'],
      ['10.0.0.2:7071', 'another one is at 10.0.0.2:7071'],
      ['[fd00::2]:7071', 'another one is at [fd00::2]:7071'],
    ] as const) {
      const found = await problem('m1.test:7071', other);
      assert.equal(found?.kind, 'elsewhere');
      assert.equal(
        found.message,
        `peer_listen: m1.test is 127.0.1.1 on this machine, where no other machine reaches it, and the other masters are configured to reach it by that name (${says}): correct /etc/hosts, or set peer_listen (--peer-listen) to an address of this machine, or to 0.0.0.0:7071`,
      );
    }
  });

  it('may be one while the names of the others are not known', async () => {
    const found = await problem('m1.test:7071', 'later.test:7071', 'm3.test:7071');
    assert.equal(found?.kind, 'unknown');
    assert.match(found.message, /later\.test is not known on this machine/);
  });

  it('is none where all masters are on one machine, or this one has an address beside loopback', async () => {
    assert.equal(await problem('m1.test:7071', 'm3.test:7072', '127.0.0.1:7073', 'localhost:7074'), undefined);
    assert.equal(await problem('dual.test:7071', 'm2.test:7071'), undefined);
    assert.equal(await problem('m2.test:7071', '10.0.0.9:7071'), undefined);
    assert.equal(await problem('unknown.test:7071', 'm2.test:7071'), undefined, 'listening fails, and says so');
  });

  it('is none where it listens at an address, or is alone', async () => {
    for (const own of ['127.0.0.1:7071', '[::1]:7071', '0.0.0.0:7071', 'localhost:7071']) {
      assert.equal(await problem(own, 'm2.test:7071'), undefined);
    }
    assert.equal(await problem('m1.test:7071'), undefined);
  });

  it('is said of the ports for clients, too, with the setting', async () => {
    const said = (setting: string, listen: string) =>
      clientNameProblem(setting, listen, { lookup, clock: new VirtualTime() });
    assert.equal(
      await said('listen', 'm1.test:7070'),
      'listen: m1.test is 127.0.1.1 on this machine, where no other machine reaches it: correct /etc/hosts, or set listen (--listen) to an address of this machine, or to 0.0.0.0:7070',
    );
    assert.match((await said('http_listen', 'm3.test:80')) ?? '', /m3\.test is 127\.0\.0\.3, ::1 .*\(--http-listen\)/);
    for (const listen of ['dual.test:7070', 'm2.test:7070', 'unknown.test:7070', '127.0.0.1:7070', 'localhost:7070']) {
      assert.equal(await said('listen', listen), undefined, listen);
    }
  });

  it('does not wait for a name server that does not answer', async () => {
    const time = new VirtualTime();
    const found = ownNameProblem({
      peerListen: 'm1.test:7071',
      others: ['slow.test:7071'],
      clock: time,
      lookup: (host) => (host === 'slow.test' ? new Promise(() => undefined) : lookup(host)),
    });
    await time.runFor(2_000);
    assert.equal((await found)?.kind, 'unknown');
  });
});
