import assert from 'node:assert/strict';
import {
  type AddressReservation,
  bootTimeMs,
  type ReservationView,
  staleReservations,
  unusedReservations,
} from '#host/apply/reservations.js';

const bootMs = 1_000_000;

function made(address: string, madeMs: number): AddressReservation {
  return { path: `/var/lib/cni/networks/dcos/${address}`, address, stamp: '1.2', madeMs };
}

const before = made('9.0.0.2', bootMs - 1);
const since = made('9.0.0.3', bootMs);

/** The addresses that are given up; `inUse` undefined: the check is skipped. */
async function stale(
  parts: Partial<ReservationView>,
  inUse?: { readonly addresses: readonly string[]; readonly all?: boolean },
): Promise<readonly string[]> {
  const view = { reservations: [before, since], bridge: false, cutOff: false, bootMs, ...parts };
  const found = await staleReservations(view, async () => {
    if (inUse === undefined) assert.fail('the namespaces need not be looked at');
    return { addresses: new Set(inUse.addresses), all: inUse.all ?? true };
  });
  return found.map(({ address }) => address);
}

describe('Addresses that host-local keeps', () => {
  it('are all free where nothing is on a veth pair of this network: after a boot, or a crash', async () => {
    assert.deepEqual(await stale({}), ['9.0.0.2', '9.0.0.3']);
  });

  it('are not free while their containers live, though another program deleted the bridge', async () => {
    assert.deepEqual(await stale({ cutOff: true }, { addresses: ['9.0.0.3', '10.0.0.1'] }), ['9.0.0.2']);
    assert.deepEqual(await stale({ cutOff: true }, { addresses: ['9.0.0.2', '9.0.0.3'] }), []);
  });

  it('of an earlier boot are free, also when containers came before the agent', async () => {
    assert.deepEqual(await stale({ bridge: true }, { addresses: [] }), ['9.0.0.2']);
  });

  it('of an earlier boot are not free when a container has them: the clock may have been wrong', async () => {
    assert.deepEqual(await stale({ bridge: true }, { addresses: ['9.0.0.2'] }), []);
  });

  it('of this boot are not free beside a bridge: the container may be just being made', async () => {
    assert.deepEqual(await stale({ bridge: true, reservations: [since] }), []);
  });

  it('are not free where containers may be that can’t be seen', async () => {
    assert.deepEqual(await stale({ bridge: true }, { addresses: [], all: false }), []);
    assert.deepEqual(await stale({ cutOff: true }, { addresses: [], all: false }), []);
  });

  it('are unused when they are older than 10 minutes and in no namespace, whenever the host was booted', async () => {
    const nowMs = 5_000_000;
    const [old, used, young] = [made('9.0.0.2', nowMs - 600_001), made('9.0.0.3', 0), made('9.0.0.4', nowMs - 600_000)];
    const unused = (all: boolean) =>
      unusedReservations([old, used, young], nowMs, async () => ({ addresses: new Set(['9.0.0.3']), all }));
    assert.deepEqual(await unused(true), [old]);
    assert.equal(await unused(false), undefined, 'a hidden process may have any address');
    assert.deepEqual(await unusedReservations([young], nowMs, () => assert.fail('nothing is old enough')), []);
  });

  it('are judged by the boot time in /proc/stat', () => {
    assert.equal(bootTimeMs('cpu 1 2\nctxt 5\nbtime 1790000000\nprocesses 7\n'), 1_790_000_000_000);
    assert.equal(bootTimeMs(''), 0);
  });
});
