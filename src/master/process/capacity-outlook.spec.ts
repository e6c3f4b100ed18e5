import assert from 'node:assert/strict';
import { parseCidr4 } from '#address/cidr4.js';
import { clusterService, operatorService } from '#api/services.js';
import { Metrics } from '#master/process/metrics.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters, testOverlay } from '#master/testing/test-masters.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const hourMs = 3_600_000;

describe('the outlook of a master', () => {
  let masters: TestMasters;
  let time: VirtualTime;
  let wallTime = 1_750_000_000_000;
  let arrived = 0;

  before(async () => {
    time = new VirtualTime();
    // 16 blocks.
    const overlay = { ...testOverlay, v4: { subnet: parseCidr4('9.0.0.0/24'), prefix: 28 } };
    masters = await TestMasters.start({ clock: time, wallClock: () => wallTime, overlays: [overlay] });
  });
  after(() => masters[Symbol.asyncDispose]());

  async function arrive(count: number): Promise<void> {
    for (const end = arrived + count; arrived < end; arrived++) {
      wallTime += 6 * hourMs;
      await masters.register(`agent-${arrived}`);
    }
  }

  async function forecasts() {
    const { capacityForecasts } = await masters.client().call(clusterService.getStatus, {}, { idempotent: true });
    return capacityForecasts.map(({ overlay, subnet, fullInSeconds, arrivals, departures, historySeconds }) => {
      return { overlay, subnet, fullInSeconds, arrivals, departures, historySeconds };
    });
  }

  async function page(): Promise<string> {
    const { services, member } = masters.master(0);
    const status = () => member.status();
    return new Metrics({ services, status, storeBytes: async () => 0, version: '1' }).page();
  }

  it('is in the status and the metrics once the history bears it out', async () => {
    await arrive(5);
    assert.deepEqual(await forecasts(), []);
    await arrive(7);
    assert.deepEqual(await forecasts(), [], 'it is worked out once a minute');
    await time.runFor(60_000);
    assert.deepEqual(await forecasts(), [
      {
        overlay: 'dcos',
        subnet: '9.0.0.0/24',
        fullInSeconds: 22 * 3_600,
        arrivals: 12,
        departures: 0,
        historySeconds: 66 * 3_600,
      },
    ]);
    assert.match(await page(), /^sublet_overlay_full_seconds\{overlay="dcos",family="ipv4"\} 79200$/m);
    assert.doesNotMatch(await page(), /^sublet_overlay_full_seconds\{overlay="",/m);
  });

  it('is not there while an adoption lasts, in which nothing fresh is granted', async () => {
    const held = { clusterId: 'test', incarnation: '0123456789abcdef', epoch: 1 };
    await refusal(masters.register('agent-x', { held }));
    assert.equal(masters.master(0).machine.ipam.adoption, true);
    await time.runFor(60_000);
    assert.deepEqual(await forecasts(), []);
    await masters.client().call(clusterService.endAdoption, { althoughMissing: arrived }, { idempotent: false });
    await time.runFor(60_000);
    assert.equal((await forecasts()).length, 1);
  });

  it('is gone when the overlay has grown beyond it', async () => {
    const larger = { name: 'dcos', subnet: '9.0.0.0/16' };
    await masters.client().call(operatorService.updateOverlay, larger, { idempotent: false });
    await time.runFor(60_000);
    assert.deepEqual(await forecasts(), []);
    assert.doesNotMatch(await page(), /^sublet_overlay_full_seconds\{/m);
  });
});
