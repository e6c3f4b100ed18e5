/** The registering process of `new-peer`, on a master's host: prints one `Registered` per line. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Registered } from '#cluster-test/bench/peers/new-peer.js';
import { agentOf, Registrar } from '#cluster-test/bench/plan.js';
import { load } from '#cluster-test/bench/storms/load.js';

const [masters = '', ...numbers] = process.argv.slice(2);
const [peers = 0, first = 0, atOnce = 1, everyMs = 0] = numbers.map(Number);
using registrar = new Registrar(masters.split(','));
await load(peers, atOnce, async (n) => {
  const sentNs = process.hrtime.bigint();
  const answer = await registrar.register(first + n);
  const answeredNs = process.hrtime.bigint();
  const result: Registered = {
    subnet: agentOf(answer).overlays?.[0]?.subnet ?? '',
    sentNs: String(sentNs),
    answeredNs: String(answeredNs),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (everyMs > 0) await delay(everyMs);
});
