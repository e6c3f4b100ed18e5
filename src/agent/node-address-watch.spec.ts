import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { NodeAddressWatch } from '#agent/node-address-watch.js';
import { HandClock } from '#storage/testing/hand-clock.js';

/** A host whose address the spec sets, and the looks at it. */
class Site {
  readonly clock = new HandClock();
  readonly found: string[] = [];
  readonly warnings: string[] = [];
  address: string | undefined = '10.0.0.1';
  /** Stands before each answer. */
  answer: Promise<void> = Promise.resolve();
  readonly watch = new NodeAddressWatch({
    clock: this.clock,
    log: { debug: () => {}, info: () => {}, warn: (_, message) => this.warnings.push(message), error: () => {} },
    nodeIp: async (inUse) => {
      assert.equal(inUse, '10.0.0.9');
      const { address } = this;
      await this.answer;
      if (address === undefined) throw new Error('no route to the masters');
      return address;
    },
    inUse: () => '10.0.0.9',
    found: (nodeIp) => this.found.push(nodeIp),
  });

  /** `count` looks, one after the other. */
  async looks(count: number): Promise<void> {
    for (let look = 0; look < count; look++) {
      this.clock.turn(10_000);
      await nextTurn();
    }
  }
}

describe('the watch on the node address', () => {
  it('looks every 10 s, and not before', async () => {
    const site = new Site();
    site.watch.start();
    site.clock.turn(9_999);
    await nextTurn();
    assert.deepEqual(site.found, []);
    site.clock.turn(1);
    await nextTurn();
    assert.deepEqual(site.found, ['10.0.0.1']);
    site.address = '10.0.0.2';
    await site.looks(2);
    assert.deepEqual(site.found, ['10.0.0.1', '10.0.0.2', '10.0.0.2']);
  });

  it('logs once that there is no address, and has the reason until there is one', async () => {
    const site = new Site();
    site.watch.start();
    site.address = undefined;
    await site.looks(3);
    assert.deepEqual(site.warnings, ['this host has no node_ip now']);
    assert.equal(site.watch.error, 'no route to the masters');
    site.address = '10.0.0.1';
    await site.looks(1);
    assert.equal(site.watch.error, '');
    assert.deepEqual(site.found, ['10.0.0.1']);
  });

  it('leaves no timer behind and reports no address when it is stopped, also during a look', async () => {
    const site = new Site();
    site.watch.start();
    let end = (): void => undefined;
    site.answer = new Promise((resolve) => {
      end = resolve;
    });
    await site.looks(1);
    site.watch.stop();
    end();
    await nextTurn();
    assert.equal(site.clock.pending, 0);
    assert.deepEqual(site.found, []);
    const other = new Site();
    other.watch.start();
    other.watch.stop();
    assert.equal(other.clock.pending, 0);
  });
});
