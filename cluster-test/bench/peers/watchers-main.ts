/**
 * The watching process of `watchers`. As `agents` it is so many agents, each with a connection of its own for its
 * registration, its keep-alives and its watch; as `shared`, so many watches on a few connections. Each message from the parent
 * asks for more; the answer comes when all of them have the whole plan, and every agent's first keep-alive is answered.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { registration } from '#cluster-test/bench/plan.js';
import { load } from '#cluster-test/bench/storms/load.js';
import { sublet } from '#proto/sublet.js';

/** Connections that `shared` watches share. */
const sharedConnections = 4;
/** Opened at a time, as agents do that come one after the other. */
const atOnce = 32;

const [master = '', mode = ''] = process.argv.slice(2);
const shared = Array.from({ length: sharedConnections }, () => new MasterClient({ masters: [master] }));
let opened = 0;

process.on('message', async (more: unknown) => {
  if (typeof more !== 'number') throw new TypeError(`a number of watchers was expected, not ${String(more)}`);
  const first = opened;
  opened += more;
  await load(more, atOnce, (at) => (mode === 'agents' ? agent(first + at) : watchOn(first + at)));
  process.send?.('subscribed');
});

async function agent(number: number): Promise<void> {
  const client = new MasterClient({ masters: [master] });
  const { agentId, instanceId } = registration(number);
  const { lease } = await client.call(agentService.register, registration(number), { idempotent: true });
  await Promise.all([
    watch(client),
    keepAlive(client, { agentId: agentId ?? '', instanceId: instanceId ?? '', epoch: lease?.epoch ?? 0 }),
  ]);
}

async function watchOn(number: number): Promise<void> {
  const client = shared[number % shared.length];
  if (client === undefined) throw new RangeError('there are shared connections');
  await watch(client);
}

/** Resolves once the snapshot is there; the watch stays. */
function watch(client: MasterClient): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = client.serverStream(agentService.watch, {
      peersOnly: true,
      peerForm: sublet.v1.PeerForm.PEER_FORM_SHORT,
    });
    stream.on('data', ({ snapshotEnd }) => {
      if (snapshotEnd) resolve();
    });
    stream.on('error', reject);
  });
}

/** Resolves with the first answer; goes on as the answers say. */
function keepAlive(
  client: MasterClient,
  request: { readonly agentId: string; readonly instanceId: string; readonly epoch: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = client.bidiStream(agentService.keepAlive);
    stream.on('data', async ({ nextInMs }) => {
      resolve();
      await delay(nextInMs);
      stream.write(request);
    });
    stream.on('error', reject);
    stream.write(request);
  });
}
