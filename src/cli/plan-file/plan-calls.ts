/** The calls that change the plan, each with the command that makes the same call. */
import type { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { shellWord } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';
import { formatDuration } from '#text/duration.js';

type Messages = typeof sublet.v1;
type Request<Name extends keyof Messages> = Messages[Name] extends { new (properties?: infer Properties): object }
  ? NonNullable<Properties>
  : never;

export type PlanCall =
  | { readonly method: 'updateNetwork'; readonly request: Request<'UpdateNetworkRequest'> }
  | { readonly method: 'addOverlay'; readonly request: Request<'AddOverlayRequest'> }
  | { readonly method: 'updateOverlay'; readonly request: Request<'UpdateOverlayRequest'> }
  | { readonly method: 'removeOverlay'; readonly request: Request<'RemoveOverlayRequest'> }
  | { readonly method: 'reserve'; readonly request: Request<'ReserveRequest'> }
  | { readonly method: 'unreserve'; readonly request: Request<'UnreserveRequest'> };

/** Makes the call, if the plan is at this revision. @returns its revision after it */
export async function makeCall(client: MasterClient, call: PlanCall, expectedRevision: number): Promise<number> {
  const once = { idempotent: false } as const;
  switch (call.method) {
    case 'updateNetwork':
      return (await client.call(operatorService.updateNetwork, { ...call.request, expectedRevision }, once)).revision;
    case 'addOverlay':
      return (await client.call(operatorService.addOverlay, { ...call.request, expectedRevision }, once)).revision;
    case 'updateOverlay':
      return (await client.call(operatorService.updateOverlay, { ...call.request, expectedRevision }, once)).revision;
    case 'removeOverlay':
      return (await client.call(operatorService.removeOverlay, { ...call.request, expectedRevision }, once)).revision;
    case 'reserve':
      return (await client.call(operatorService.reserve, { ...call.request, expectedRevision }, once)).revision;
    case 'unreserve':
      return (await client.call(operatorService.unreserve, { ...call.request, expectedRevision }, once)).revision;
  }
}

/** `sublet overlay add blue --subnet 10.1.0.0/16 --prefix 24` */
export function planCommandOf(call: PlanCall): string {
  return ['sublet', ...wordsOf(call)].map(shellWord).join(' ');
}

function wordsOf(call: PlanCall): readonly string[] {
  switch (call.method) {
    case 'updateNetwork': {
      const { vtepSubnet, vtepSubnet6, vtepMtu, quarantineMs, reclaimMs } = call.request;
      if (vtepSubnet || vtepSubnet6) {
        return ['network', 'grow', ...flag('--vtep-subnet', vtepSubnet), ...flag('--vtep-subnet6', vtepSubnet6)];
      }
      return [
        ...['network', 'set'],
        ...(vtepMtu === null || vtepMtu === undefined ? [] : ['--vtep-mtu', String(vtepMtu)]),
        ...(quarantineMs === null || quarantineMs === undefined ? [] : ['--quarantine', formatDuration(quarantineMs)]),
        ...(reclaimMs === null || reclaimMs === undefined
          ? []
          : ['--reclaim', reclaimMs === 0 ? 'never' : formatDuration(reclaimMs)]),
      ];
    }
    case 'addOverlay': {
      const { name, subnet, prefix, subnet6, prefix6, enabled } = call.request.overlay ?? {};
      return [
        ...['overlay', 'add', name ?? ''],
        ...(subnet ? ['--subnet', subnet, '--prefix', String(prefix)] : []),
        ...(subnet6 ? ['--subnet6', subnet6, '--prefix6', String(prefix6)] : []),
        ...(enabled ? [] : ['--disabled']),
      ];
    }
    case 'updateOverlay': {
      const { name, enabled, drain, subnet, subnet6 } = call.request;
      if (drain) return ['overlay', 'drain', name ?? ''];
      if (enabled === true || enabled === false) return ['overlay', enabled ? 'enable' : 'disable', name ?? ''];
      return ['overlay', 'grow', name ?? '', ...flag('--subnet', subnet), ...flag('--subnet6', subnet6)];
    }
    case 'removeOverlay':
      return ['overlay', 'remove', call.request.name ?? ''];
    case 'reserve': {
      const { overlay, subnet, agentId, nodeIp } = call.request;
      if (nodeIp) return ['reserve', overlay ?? '', subnet ?? '', '--for-node', nodeIp];
      return agentId
        ? ['reserve', overlay ?? '', subnet ?? '', '--for', agentId]
        : ['exclude', overlay ?? '', subnet ?? ''];
    }
    case 'unreserve':
      return ['unreserve', call.request.overlay ?? '', call.request.subnet ?? ''];
  }
}

function flag(name: string, value: string | null | undefined): readonly string[] {
  return value ? [name, value] : [];
}
