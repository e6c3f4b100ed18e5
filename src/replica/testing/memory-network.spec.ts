import { peerNetworkContract } from '#replica/contracts/peer-network-contract.js';
import { MemoryHub, MemoryPeerNetwork } from '#replica/testing/memory-network.js';
import { SeededRandom } from '#replica/testing/seeded-random.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

describe('a network in memory', () => {
  for (const { name, run } of peerNetworkContract(async () => {
    const time = new VirtualTime();
    const hub = new MemoryHub(time, new SeededRandom(1));
    const networks = ['a:1', 'b:1', 'c:1'].map((peer) => ({
      peer,
      network: new MemoryPeerNetwork(hub, peer, (action) => action()),
    }));
    const until = (what: string, holds: () => boolean) => time.runUntil(holds, 60_000, what);
    return { value: { networks, nowhere: 'd:1', until } };
  })) {
    it(name, run);
  }
});
