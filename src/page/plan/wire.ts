/**
 * Reads the messages of the watch in their short form. The page needs five of some hundred messages: protobuf's own code for
 * all of them would be larger than the page. `wire.spec.ts` compares it with the generated code.
 */

export type MapAgentOverlay = { readonly name: string; readonly subnet: Uint8Array; readonly subnet6: Uint8Array };

export type MapAgent = {
  readonly agentId: string;
  readonly nodeIp: Uint8Array;
  readonly vtepIp: Uint8Array;
  readonly overlays: readonly MapAgentOverlay[];
  /** Another agent has taken over its node address. */
  readonly unreachable: boolean;
};

export type MapOverlay = {
  readonly name: string;
  readonly subnet: string;
  readonly prefix: number;
  readonly subnet6: string;
  readonly prefix6: number;
  readonly enabled: boolean;
  readonly draining: boolean;
};

export type MapNetwork = {
  readonly vtepSubnet: string;
  readonly quarantineMs: number;
  readonly reclaimMs: number;
  readonly overlays: readonly MapOverlay[];
};

export type MapChange =
  | { readonly kind: 'peer'; readonly peer: MapAgent }
  | { readonly kind: 'removed'; readonly agentId: string }
  | { readonly kind: 'network'; readonly network: MapNetwork };

export type WatchMessage =
  | { readonly kind: 'begin'; readonly clusterId: string }
  /** Compressed by `deflate-raw`; inside is what `readChunk` reads. */
  | { readonly kind: 'deflated'; readonly bytes: Uint8Array }
  | { readonly kind: 'chunk'; readonly chunk: Chunk }
  | { readonly kind: 'end'; readonly revision: number; readonly branch: string }
  | {
      readonly kind: 'changes';
      readonly changes: readonly MapChange[];
      readonly revision: number;
      readonly branch: string;
    }
  | { readonly kind: 'progress'; readonly revision: number; readonly branch: string }
  | { readonly kind: 'unknown' };

export type Chunk = { readonly network: MapNetwork | undefined; readonly peers: readonly MapAgent[] };

type Field = { readonly number: number; readonly value: number; readonly bytes: Uint8Array };

const none: Uint8Array = new Uint8Array(0);
const utf8 = new TextDecoder();

export function readWatch(message: Uint8Array): WatchMessage {
  for (const { number, bytes } of fieldsOf(message)) {
    switch (number) {
      case 1:
        return { kind: 'begin', clusterId: text(bytes, 1) };
      case 2:
        return { kind: 'chunk', chunk: readChunk(bytes) };
      case 3:
        return { kind: 'end', revision: varint(bytes, 1), branch: text(bytes, 2) };
      case 4: {
        const changes = fieldsOf(bytes).flatMap((field) => (field.number === 1 ? readChange(field.bytes) : []));
        return { kind: 'changes', changes, revision: varint(bytes, 2), branch: text(bytes, 3) };
      }
      case 5:
        return { kind: 'progress', revision: varint(bytes, 1), branch: text(bytes, 2) };
      case 6:
        return { kind: 'deflated', bytes };
    }
  }
  return { kind: 'unknown' };
}

export function readChunk(bytes: Uint8Array): Chunk {
  let network: MapNetwork | undefined;
  const peers: MapAgent[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) network = readNetwork(field.bytes);
    else if (field.number === 3) peers.push(readPeer(field.bytes));
  }
  return { network, peers };
}

function readChange(bytes: Uint8Array): readonly MapChange[] {
  for (const field of fieldsOf(bytes)) {
    if (field.number === 3) return [{ kind: 'removed', agentId: utf8.decode(field.bytes) }];
    if (field.number === 4) return [{ kind: 'network', network: readNetwork(field.bytes) }];
    if (field.number === 5) return [{ kind: 'peer', peer: readPeer(field.bytes) }];
  }
  return [];
}

function readPeer(bytes: Uint8Array): MapAgent {
  let [agentId, unreachable] = ['', false];
  let [nodeIp, vtepIp] = [none, none];
  const overlays: MapAgentOverlay[] = [];
  for (const { number, value, bytes: part } of fieldsOf(bytes)) {
    if (number === 1) agentId = utf8.decode(part);
    else if (number === 2) nodeIp = part;
    else if (number === 3) vtepIp = part;
    else if (number === 6) unreachable = value !== 0;
    else if (number === 5) overlays.push(readPeerOverlay(part));
  }
  return { agentId, nodeIp, vtepIp, overlays, unreachable };
}

function readPeerOverlay(bytes: Uint8Array): MapAgentOverlay {
  let name = '';
  let [subnet, subnet6] = [none, none];
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) name = utf8.decode(field.bytes);
    else if (field.number === 2) subnet = field.bytes;
    else if (field.number === 3) subnet6 = field.bytes;
  }
  return { name, subnet, subnet6 };
}

function readNetwork(bytes: Uint8Array): MapNetwork {
  return {
    vtepSubnet: text(bytes, 1),
    quarantineMs: varint(bytes, 9),
    reclaimMs: varint(bytes, 10),
    overlays: fieldsOf(bytes).flatMap((field) => (field.number === 8 ? [readOverlay(field.bytes)] : [])),
  };
}

function readOverlay(bytes: Uint8Array): MapOverlay {
  return {
    name: text(bytes, 1),
    subnet: text(bytes, 2),
    prefix: varint(bytes, 3),
    subnet6: text(bytes, 4),
    prefix6: varint(bytes, 5),
    enabled: varint(bytes, 6) !== 0,
    draining: varint(bytes, 7) !== 0,
  };
}

function text(message: Uint8Array, number: number): string {
  return utf8.decode(fieldsOf(message).find((field) => field.number === number)?.bytes ?? none);
}

function varint(message: Uint8Array, number: number): number {
  return fieldsOf(message).find((field) => field.number === number)?.value ?? 0;
}

/** @throws RangeError for bytes that are no message */
function fieldsOf(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at];
      if (byte === undefined) throw new RangeError('the message ends within a field');
      at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = number();
    const wireType = key % 8;
    const length = wireType === 0 ? 0 : wireType === 1 ? 8 : wireType === 5 ? 4 : lengthOf(wireType, number);
    const value = wireType === 0 ? number() : 0;
    if (at + length > message.length) throw new RangeError('the message ends within a field');
    fields.push({ number: Math.floor(key / 8), value, bytes: message.subarray(at, at + length) });
    at += length;
  }
  return fields;
}

function lengthOf(wireType: number, number: () => number): number {
  if (wireType !== 2) throw new RangeError(`wire type ${wireType} is not known`);
  return number();
}
