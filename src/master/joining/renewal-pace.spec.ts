import assert from 'node:assert/strict';
import { RefusedError } from '#api/refusal.js';
import { RenewalPace } from '#master/joining/renewal-pace.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

describe('renewals of one identity', () => {
  it('are one in a minute, whatever others ask', async () => {
    const time = new VirtualTime();
    const pace = new RenewalPace(time);
    const refused = (): void =>
      assert.throws(
        () => pace.enter('agent/host-7'),
        (error) =>
          error instanceof RefusedError && error.reason === 'overloaded' && /within the last 1m/.test(error.message),
      );
    pace.enter('agent/host-7');
    pace.enter('agent/host-8');
    refused();
    await time.runFor(59_999);
    refused();
    await time.runFor(1);
    pace.enter('agent/host-7');
    refused();
  });
});
