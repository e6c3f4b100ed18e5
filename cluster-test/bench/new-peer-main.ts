/** The registering process of `new-peer`, on a master's host: prints one `Registered` per line. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Registered } from '#cluster-test/bench/new-peer.js';
import { Registrar } from '#cluster-test/bench/plan.js';

/** Apart enough that each registration travels alone. */
const everyMs = 200;
/** Beyond the numbers of the real agents. */
const firstNumber = 1_000;

const [masters = '', peers = '0'] = process.argv.slice(2);
using registrar = new Registrar(masters.split(','));
for (let n = 0; n < Number(peers); n++) {
  const sentNs = process.hrtime.bigint();
  const { agent } = await registrar.register(firstNumber + n);
  const result: Registered = {
    subnet: agent?.overlays?.[0]?.subnet ?? '',
    sentNs: String(sentNs),
    answeredNs: String(process.hrtime.bigint()),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  await delay(everyMs);
}
