/**
 * What a site does to hosts and masters, all in one storm on real processes, with an independent record of each host's
 * input. It lasts 45 s with SUBLET_TEST_ALL=1, 15 s without, and SUBLET_SITE_SOAK_MINUTES, where that is set.
 */
import assert from 'node:assert/strict';
import { faultSeed } from '#cluster-test/faults/seed.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { replicaView } from '#cluster-test/process/replica-view.js';
import { SiteMasters } from '#cluster-test/site/masters.js';
import { blocksOf } from '#cluster-test/site/record.js';
import { Site } from '#cluster-test/site/site.js';
import { SiteStorm } from '#cluster-test/site/storm.js';

const soakMinutes = Number(process.env.SUBLET_SITE_SOAK_MINUTES ?? 0);
const stormMs = soakMinutes > 0 ? soakMinutes * 60_000 : process.env.SUBLET_TEST_ALL === '1' ? 45_000 : 15_000;
/** For the start, one step that is under way at the end, and settling. */
const extraMs = 300_000;
const convergedBoundMs = 30_000;
/** What a storm of so many minutes has done at least once. */
const soakOfAllMinutes = 10;
const mustCome = ['clones started', 'masters killed', 'masters put back', 'all masters put back', 'restores'];

describe('a site that clones, rewinds and restores', function () {
  this.timeout(stormMs + extraMs);
  let masters: SiteMasters | undefined;
  let site: Site | undefined;

  before(async () => {
    const seed = faultSeed('site');
    masters = await SiteMasters.start();
    site = new Site(masters, seed);
  });
  afterEach(function () {
    showOnFailure(this, masters?.all);
    if (this.currentTest?.state !== 'failed') return;
    console.log(site?.counts, site?.record.wrong, site?.record.newest.join('\n'));
  });
  after(async () => {
    await site?.stop();
    await masters?.masters[Symbol.asyncDispose]();
  });

  it('gives nothing to two hosts, and loses nothing that was acknowledged', async () => {
    assert.ok(masters !== undefined && site !== undefined);
    await new SiteStorm(site).run(performance.now() + stormMs);
    const { record, counts, holdings } = site;
    assert.deepEqual(record.wrong, []);
    const { all } = masters;
    const views = await until('equal plans on all masters', convergedBoundMs, async () => {
      const seen = await Promise.all(all.map(({ api }) => replicaView(api)));
      const [first] = seen;
      return seen.every(({ json }) => JSON.stringify(json) === JSON.stringify(first?.json)) ? seen : undefined;
    });
    const held = new Map(
      (views[0]?.agents ?? []).map(({ agentId, vxlan, overlays }) => [
        agentId ?? '',
        blocksOf(vxlan?.vtepIp ?? '', overlays ?? []),
      ]),
    );
    for (const [agentId, blocks] of holdings) assert.deepEqual(held.get(agentId), blocks, agentId);
    assert.ok(holds(record.granted > 0 && record.checks > 0));
    // A short storm draws some of its steps only; a soak has them all.
    if (soakMinutes >= soakOfAllMinutes) {
      assert.deepEqual(
        mustCome.filter((what) => counts[what] === undefined),
        [],
      );
    }
    const done = Object.entries(counts).map(([what, count]) => `${count} ${what}`);
    console.log(
      `      ${record.granted} registrations acknowledged, ${record.checks} comparisons: nothing in two hands, none lost`,
    );
    console.log(`      ${done.join(', ')}`);
  });
});
