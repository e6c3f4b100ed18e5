import assert from 'node:assert/strict';
import { credentials } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { PeerLinks } from '#master/forward/peer-links.js';
import { memberId } from '#raft/log/entry.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { noCaller } from '#tls/caller.js';

describe('links to other masters', () => {
  it('are not opened any more once they are closed', async () => {
    const links = new PeerLinks({
      plan: { clusterId: 'test', incarnation: 'f1' },
      credentials: credentials.createInsecure(),
      clock: systemClock,
    });
    links.close();
    const member = { id: memberId(2), name: 'm2', peer: '127.0.0.1:9', storeId: 'two' };
    await assert.rejects(
      links.call(member, '/any', new Uint8Array(0), 1_000, noCaller),
      (error) => error instanceof RefusedError && error.reason === 'unavailable' && /is stopping/.test(error.message),
    );
  });
});
