/**
 * Rules made with `nft` in the tables of iptables-nft: iptables can not print such a table and says so with exit code 0.
 * What is ours is found all the same, nothing is added twice, and leaving takes ours away and nothing else.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { hostTools } from '#cluster-test/host/requirements.js';
import { clusterId, inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { until } from '#cluster-test/process/condition.js';
import { command, requires } from '#cluster-test/requirement.js';

/** Well before the pass over everything, which comes after 60 s. */
const soonMs = 30_000;
const foreign = 'ct state vmap { established : accept, related : accept }';

describe('a rule of nft in the tables of iptables', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let host: Netns;

  before(function () {
    requires(this, ...hostTools, command('nft'), command('iptables-nft'));
  });

  beforeEach(() => {
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24');
  });

  afterEach(() => underlay.remove());

  const input = inputFor(
    1,
    [2],
    settingsFor('native-nft', { iptables: 'iptables-nft', usesDocker: false }),
    withoutDocker(leaseOf(1)),
  );
  const list = (family: string, table: string) => host.sh(`nft list table ${family} ${table}`);
  const count = (text: string, what: RegExp) => [...text.matchAll(new RegExp(what, 'g'))].length;

  /** Passes that looked at the firewall, beyond those so far. */
  async function someMorePasses(driver: HostDriver): Promise<void> {
    const from = (await driver.metrics()).passes;
    await until('three more passes', soonMs, async () =>
      (await driver.metrics()).passes >= from + 3 ? true : undefined,
    );
  }

  for (const [when, addsFirst] of [
    ['before', true],
    ['after', false],
  ] as const) {
    it(`stays as it was when it came ${when} ours; ours is there once, and gone after leaving`, async () => {
      const addForeign = () => {
        for (const family of ['ip', 'ip6']) {
          host.sh(`nft add table ${family} filter; nft add table ${family} nat`);
          host.sh(`nft 'add chain ${family} filter FORWARD { type filter hook forward priority 0; }'`);
          host.sh(`nft 'add chain ${family} nat POSTROUTING { type nat hook postrouting priority 100; }'`);
          host.sh(`nft 'add rule ${family} filter FORWARD ${foreign}; add rule ${family} nat POSTROUTING ${foreign}'`);
        }
        assert.match(host.sh('iptables-nft-save'), /filter' is incompatible/, 'iptables can not print it');
      };
      if (addsFirst) addForeign();
      const driver = new HostDriver(host);
      try {
        await driver.update(input);
        await driver.allOk();
        if (!addsFirst) addForeign();
        const before = await driver.metrics();
        await someMorePasses(driver);
        for (const family of ['ip', 'ip6']) {
          assert.equal(count(list(family, 'filter'), /jump SUBLET-FORWARD/), 1);
          assert.equal(count(list(family, 'nat'), /masquerade/), 1);
          assert.equal(count(list(family, 'filter'), /"m-dcos6?"/), 2);
        }
        assert.deepEqual((await driver.metrics()).stepsRun['filter-rule'], before.stepsRun['filter-rule']);
        const overlay = driver.status.overlays.find(({ name }) => name === 'dcos');
        assert.ok(overlay?.kind === 'ok', 'it works');
        assert.match(overlay.notes.join(), /can not show the table .*filter.*nft list table ip/);

        host.sh(
          "nft -a list chain ip filter FORWARD | sed -n 's/.*SUBLET-FORWARD # handle //p' | xargs nft delete rule ip filter FORWARD handle",
        );
        await until('the jump is back', soonMs, () =>
          count(list('ip', 'filter'), /jump SUBLET/) === 1 ? true : undefined,
        );

        const { left } = await driver.cleanup([clusterId], input.settings);
        assert.deepEqual(left, []);
        for (const family of ['ip', 'ip6']) {
          assert.doesNotMatch(list(family, 'filter') + list(family, 'nat'), /SUBLET|masquerade|m-dcos/);
          for (const table of ['filter', 'nat']) assert.ok(list(family, table).includes('vmap'), `${table} of others`);
        }
      } finally {
        await driver.stop();
      }
    });
  }

  it('is reported and nothing is added where nft has no JSON', async () => {
    host.sh(`nft add table ip filter; nft 'add chain ip filter FORWARD { type filter hook forward priority 0; }'`);
    host.sh(`nft 'add rule ip filter FORWARD ${foreign}'`);
    const { folder } = testFolder('nft-without-json');
    writeFileSync(join(folder, 'nft'), '#!/bin/sh\necho "Error: JSON support not compiled-in" >&2; exit 1\n', {
      mode: 0o755,
    });
    const driver = new HostDriver(host, { env: { PATH: `${folder}:${process.env.PATH}` } });
    try {
      await driver.update(input);
      await until('the overlay says so', soonMs, () => {
        const overlay = driver.status.overlays.find(({ name }) => name === 'dcos');
        if (overlay?.kind !== 'failed') return undefined;
        assert.match(overlay.error, /the table filter holds rules that iptables-nft can not show.*JSON support/);
        return true;
      });
      await someMorePasses(driver);
      assert.equal(count(list('ip', 'filter'), /SUBLET/), 0);
    } finally {
      await driver.stop();
    }
  });
});
