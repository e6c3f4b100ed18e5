/** What changes of the plan that can be undone do, in words, before they are made. */
import { operatorService } from '#api/services.js';
import type { Consequences } from '#cli/operator/consent.js';
import { blocksOf, holdersOf } from '#cli/operator/consequences.js';
import type { Operator } from '#cli/operator/operator.js';
import { count, plural } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';
import { formatDuration } from '#text/duration.js';

type Client = Operator['client'];
type Overlay = sublet.v1.Overlay.$Properties;

const again = { idempotent: true } as const;

/** `described`: the overlay in words. */
export async function overlayAddition(client: Client, overlay: Overlay, described: string): Promise<Consequences> {
  const { vtep } = await client.call(operatorService.listOverlays, {}, again);
  const agents = vtep?.held ?? 0;
  const { subnet, prefix, subnet6, prefix6 } = overlay;
  const most = Math.min(
    subnet ? blocksOf(subnet, prefix ?? 0) : Number.POSITIVE_INFINITY,
    subnet6 ? blocksOf(subnet6, prefix6 ?? 0) : Number.POSITIVE_INFINITY,
  );
  const gets = overlay.enabled
    ? `${plural(agents, 'agent')} ${agents === 1 ? 'gets' : 'get'} a block of it within 30 seconds, if ${agents === 1 ? 'it runs' : 'they run'} with subnets.`
    : 'No agent gets a block of it until it is enabled.';
  const lacking =
    overlay.enabled && agents > most
      ? [
          `It has ${count(most)} blocks: ${plural(agents - most, 'agent')} ${agents - most === 1 ? 'gets' : 'get'} none.`,
        ]
      : [];
  return [`Overlay ${described}, would be added.`, gets, ...lacking];
}

export async function overlaySwitch(client: Client, name: string, enabled: boolean): Promise<Consequences> {
  const holders = await holdersOf(client, name);
  const { length } = holders;
  const hold = `${plural(length, 'agent')} ${length === 1 ? 'holds' : 'hold'} a block of ${name}`;
  return enabled
    ? [`Agents get blocks of ${name} again. ${hold} now; the others get one within 30 seconds.`]
    : [`No agent gets a block of ${name} from then on. ${hold}, and ${length === 1 ? 'keeps' : 'keep'} it.`];
}

export async function settingsChange(
  client: Client,
  wish: Pick<sublet.v1.UpdateNetworkRequest.$Properties, 'vtepMtu' | 'quarantineMs' | 'reclaimMs'>,
): Promise<Consequences> {
  const { network } = await client.call(operatorService.getNetwork, {}, again);
  const mtu = (bytes: number): string => (bytes === 0 ? 'the underlay’s, less the encapsulation' : String(bytes));
  const reclaim = (ms: number): string => (ms === 0 ? 'never' : `after ${formatDuration(ms)}`);
  const lines = [
    ...(wish.vtepMtu == null
      ? []
      : [
          `VTEP MTU: ${mtu(network?.vtepMtu ?? 0)} becomes ${mtu(wish.vtepMtu)}. Every agent takes it over within 30 seconds.`,
        ]),
    ...(wish.quarantineMs == null
      ? []
      : [
          `Quarantine: ${formatDuration(network?.quarantineMs ?? 0)} becomes ${formatDuration(wish.quarantineMs)}, for blocks that are freed from then on.`,
        ]),
    ...(wish.reclaimMs == null
      ? []
      : [`The lease of a silent agent ends: ${reclaim(network?.reclaimMs ?? 0)} becomes ${reclaim(wish.reclaimMs)}.`]),
  ];
  return [lines[0] ?? '', ...lines.slice(1)];
}

export async function unreservation(client: Client, overlay: string, subnet: string): Promise<Consequences> {
  const { reservations } = await client.call(operatorService.listReservations, {}, again);
  const found = reservations.find((each) => each.overlay === overlay && each.subnet === subnet);
  const whom = found?.agentId || (found?.nodeIp ? `node ${found.nodeIp}` : '');
  const was = whom === '' ? 'is excluded' : `is reserved for ${whom}`;
  return [`${subnet} of ${overlay || 'the VTEP subnet'} ${was} now, and can be allocated to any agent from then on.`];
}
