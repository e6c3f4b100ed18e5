/** Every method that the .proto files have, and messages for it with any content that its fields can hold, or none that they can. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import type { Chance } from '#cluster-test/fuzz/chance.js';

const depthMax = 4;

export type FuzzedMethod = {
  readonly path: string;
  readonly streams: boolean;
  readonly request: protobuf.Type;
};

/** The methods of these services, by their full names. */
export function methodsOf(services: readonly string[]): readonly FuzzedMethod[] {
  const names = readdirSync('proto', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.proto'));
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join('proto', target);
  root.loadSync(names);
  root.resolveAll();
  return services.flatMap((service) =>
    root.lookupService(service).methodsArray.map((method) => ({
      path: `/${service}/${method.name}`,
      streams: method.requestStream === true || method.responseStream === true,
      request: root.lookupType(method.resolvedRequestType?.fullName ?? method.requestType),
    })),
  );
}

function value(chance: Chance, of: protobuf.Field, depth: number): unknown {
  if (of.resolvedType instanceof protobuf.Type) return content(chance, of.resolvedType, depth + 1);
  if (of.resolvedType instanceof protobuf.Enum) return chance.below(12);
  switch (of.type) {
    case 'string':
      return chance.text();
    case 'bytes':
      return chance.bytes(200);
    case 'bool':
      return chance.below(2) === 0;
    case 'double':
    case 'float':
      return chance.pick([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]);
    default:
      return chance.below(8) === 0 ? -1 : chance.number();
  }
}

function content(chance: Chance, type: protobuf.Type, depth: number): object {
  const filled: Record<string, unknown> = {};
  for (const of of type.fieldsArray) {
    if (chance.below(3) === 0 || (depth >= depthMax && of.resolvedType instanceof protobuf.Type)) continue;
    const count = of.repeated ? chance.below(4) : 1;
    const values = Array.from({ length: count }, () => value(chance, of, depth));
    if (!of.map) filled[of.name] = of.repeated ? values : values[0];
  }
  return filled;
}

/** A request of the method, or bytes that are none. */
export function messageFor(chance: Chance, { request }: FuzzedMethod): Buffer {
  switch (chance.below(8)) {
    case 0:
      return chance.bytes(200);
    case 1:
      // Groups within groups, or messages within messages.
      return Buffer.alloc(1 + chance.below(4_000), chance.pick([0x0b, 0x0a, 0x12, 0x1b]));
    default: {
      const message = Buffer.from(request.encode(request.create(content(chance, request, 0))).finish());
      return chance.below(3) === 0 ? chance.mutated(message) : message;
    }
  }
}

/** As gRPC frames it; now and then with another flag or length. */
export function framed(chance: Chance, message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head[0] = chance.below(12) === 0 ? chance.below(256) : 0;
  head.writeUInt32BE(chance.below(30) === 0 ? chance.below(2 ** 31) : message.length, 1);
  return Buffer.concat([head, message]);
}

const odd: readonly Readonly<Record<string, string>>[] = [
  ...[{}, {}, {}, {}, {}, {}, { 'grpc-timeout': '1n' }, { 'grpc-timeout': '99999999H' }, { 'grpc-timeout': 'x' }],
  ...[{ 'grpc-encoding': 'gzip' }, { 'grpc-encoding': 'br' }, { 'content-type': 'application/grpc+json' }],
  ...[{ 'content-type': 'text/plain' }, { 'x-bin': '!!!' }, { 'sublet-cluster-id': 'test' }],
];

export function headersFor(chance: Chance, path: string): Record<string, string> {
  const base = {
    ':method': 'POST',
    ':path': chance.below(50) === 0 ? chance.pick(['/', '/x', '/__proto__/a', '//']) : path,
  };
  return { ...base, 'content-type': 'application/grpc', te: 'trailers', ...chance.pick(odd) };
}
