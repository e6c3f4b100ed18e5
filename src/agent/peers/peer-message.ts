/** Another agent as a watch brings it, in either form, and what a host needs of it. */

import { constants, inflateRawSync } from 'node:zlib';
import { AddressError } from '#address/brand.js';
import { formatCidr, formatIp, isIpv4 } from '#address/ip.js';
import { cidrOfBytes, ipOfBytes } from '#address/ip-bytes.js';
import { formatMac, macFor, parseOui } from '#address/mac.js';
import { errorText } from '#errors/unknown-error.js';
import type { Peer, PeerOverlay } from '#host/input.js';
import { sublet } from '#proto/sublet.js';

/** Bytes of a chunk of a snapshot, or of a batch of changes, before it is compressed, as the API says. */
const inflatedBytesMax = 1024 * 1024;

/** The master sent something that the protocol does not allow here; the watch must begin anew. */
export class WatchProtocolError extends Error {
  override readonly name = 'WatchProtocolError';
}

/** Undefined for an agent that nothing is sent to: another one has taken over its node address. */
export function peerOfAgent(agent: sublet.v1.Agent.$Properties): Peer | undefined {
  const { agentId, nodeIp, vxlan } = agent;
  if (!agent.reachable || !agentId || !nodeIp || !vxlan?.vtepIp) return undefined;
  return {
    agentId,
    nodeIp,
    vtepIp: bare(vxlan.vtepIp),
    ...(vxlan.vtepIp6 ? { vtepIp6: bare(vxlan.vtepIp6) } : {}),
    vtepMac: vxlan.vtepMac ?? '',
    overlays: (agent.overlays ?? []).flatMap(({ info, subnet, subnet6 }): PeerOverlay[] =>
      subnet || subnet6
        ? [{ name: info?.name ?? '', ...(subnet ? { subnet } : {}), ...(subnet6 ? { subnet6 } : {}) }]
        : [],
    ),
  };
}

/** As `peerOfAgent`, of the short form. @throws WatchProtocolError */
export function peerOfShort(message: sublet.v1.Peer.$Properties, vtepMacOui: string): Peer | undefined {
  const { agentId, nodeIp, vtepIp, vtepIp6, overlays, unreachable } = message;
  if (unreachable || !agentId) return undefined;
  try {
    const vtep = ipOfBytes(vtepIp ?? none);
    if (!isIpv4(vtep)) throw new AddressError(formatIp(vtep), 'is not an IPv4 address');
    return {
      agentId,
      nodeIp: formatIp(ipOfBytes(nodeIp ?? none)),
      vtepIp: formatIp(vtep),
      ...(vtepIp6?.length ? { vtepIp6: formatIp(ipOfBytes(vtepIp6)) } : {}),
      vtepMac: formatMac(macFor(parseOui(vtepMacOui), vtep)),
      overlays: (overlays ?? []).map(({ name, subnet, subnet6 }) => ({
        name: name ?? '',
        ...(subnet?.length ? { subnet: formatCidr(cidrOfBytes(subnet)) } : {}),
        ...(subnet6?.length ? { subnet6: formatCidr(cidrOfBytes(subnet6)) } : {}),
      })),
    };
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    throw new WatchProtocolError(`peer "${agentId}": ${error.message}`);
  }
}

/** @throws WatchProtocolError for what is no compressed chunk, or a longer one than the API has */
export function inflateChunk(bytes: Uint8Array): sublet.v1.SnapshotChunk {
  return inflate('chunk', bytes, (inflated) => sublet.v1.SnapshotChunk.decode(inflated));
}

/** @throws WatchProtocolError as `inflateChunk` */
export function inflateChanges(message: sublet.v1.DeflatedChanges.$Properties): sublet.v1.Changes.$Properties {
  const { changes } = inflate('batch of changes', message.changes ?? none, (inflated) =>
    sublet.v1.Changes.decode(inflated),
  );
  return { changes, revision: message.revision ?? 0, branch: message.branch ?? '' };
}

function inflate<Message>(what: string, bytes: Uint8Array, decode: (inflated: Uint8Array) => Message): Message {
  try {
    return decode(inflateRawSync(bytes, { maxOutputLength: inflatedBytesMax, finishFlush: constants.Z_FINISH }));
  } catch (error) {
    // zlib and protobufjs have no error types of their own: whatever it is, the bytes are not what they should be.
    throw new WatchProtocolError(`a compressed ${what} of ${bytes.length} bytes: ${errorText(error)}`);
  }
}

const none = new Uint8Array();

/** `44.128.0.2/20` → `44.128.0.2`. */
function bare(address: string): string {
  return address.replace(/\/\d+$/, '');
}
