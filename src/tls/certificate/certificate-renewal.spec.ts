import assert from 'node:assert/strict';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { CertificateRenewal } from '#tls/certificate/certificate-renewal.js';
import type { Principal } from '#tls/principal.js';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** A certificate that is valid from now for ten hours. */
function certificateAt(nowMs: number): Principal {
  return { role: 'agent', id: 'host-7', serial: String(nowMs), beginsMs: nowMs, endsMs: nowMs + 10 * hourMs };
}

describe('the renewal of a certificate', () => {
  let time: VirtualTime;
  let renewed: number[];
  let fails: boolean;
  let warnings: string[];
  let drawn: number;
  let shift: number;

  function started(): CertificateRenewal {
    time = new VirtualTime();
    [renewed, warnings, fails, drawn, shift] = [[], [], false, 0, 0];
    const wallClock = (): number => time.now() + shift;
    let principal = certificateAt(0);
    return new CertificateRenewal({
      principal: () => principal,
      renew: async (of) => {
        assert.equal(of, principal);
        if (fails) throw new Error('no master can be reached');
        renewed.push(wallClock() / hourMs);
        principal = certificateAt(wallClock());
      },
      timer: time,
      wallClock,
      random: () => drawn,
      log: { info: () => undefined, warn: (_, message) => warnings.push(message) },
    }).start();
  }

  it('begins at half of its life, again and again', async () => {
    const renewal = started();
    await time.runFor(5 * hourMs - minuteMs);
    assert.deepEqual(renewed, []);
    await time.runFor(16 * hourMs);
    assert.deepEqual(renewed, [5, 10, 15, 20]);
    renewal.stop();
    await time.runFor(20 * hourMs);
    assert.equal(renewed.length, 4, 'and no more once it is stopped');
  });

  it('comes up to a tenth of its life later, as it is drawn', async () => {
    started();
    drawn = 0.999;
    await time.runFor(6 * hourMs + minuteMs);
    assert.deepEqual(renewed, [6]);
  });

  it('is tried again every five minutes until it succeeds', async () => {
    const renewal = started();
    fails = true;
    await time.runFor(5 * hourMs + 11 * minuteMs);
    assert.equal(renewal.failures, 3);
    assert.match(warnings[0] ?? '', /could not be renewed, and will be tried again: no master can be reached/);
    fails = false;
    await time.runFor(5 * minuteMs);
    assert.deepEqual([renewed.length, renewal.failures], [1, 0]);
  });

  it('follows the wall clock: a host that slept renews within a minute', async () => {
    started();
    await time.runFor(hourMs);
    shift = 5 * hourMs;
    await time.runFor(minuteMs);
    assert.equal(renewed.length, 1);
  });
});
