/**
 * Canonical JSON of the API's messages (protobuf.dev/programming-guides/json): lowerCamelCase, 64-bit numbers as
 * strings, enums by name, times as RFC 3339, default values left out. It is what a gRPC command line prints for
 * the same message. The descriptors are read when they are first needed: servers never pay for it.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Message, Root, Type } from 'protobufjs';
import type { MessageType, Method } from '#api/method.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

const descriptors = new URL('../../proto/sublet.json', import.meta.url);

type Loaded = {
  readonly root: Root;
  readonly toJson: (type: Type, message: object) => Json;
  readonly fromJson: (type: Type, json: unknown) => Message;
};
let loaded: Loaded | undefined;

function load(): Loaded {
  // Both are CommonJS without a default that ESM could name; loaded here, and not above, so that they are loaded late.
  const require = createRequire(import.meta.url);
  const { Root: RootClass }: typeof import('protobufjs') = require('protobufjs/light.js');
  const forms: Pick<Loaded, 'toJson' | 'fromJson'> = require('protobufjs/ext/protojson.js');
  const { toJson, fromJson } = forms;
  loaded ??= { root: RootClass.fromJSON(JSON.parse(readFileSync(descriptors, 'utf8'))), toJson, fromJson };
  return loaded;
}

/** The JSON of an encoded message, by its full name: `sublet.v1.Agent`. @throws Error for no such message, or bytes that are none. */
export function jsonOfBytes(name: string, bytes: Uint8Array): Json {
  const { root, toJson } = load();
  const type = root.lookupType(name);
  return toJson(type, type.decode(bytes));
}

/** The JSON of a message of the generated class `of`, whose full name is `name`. */
export function jsonOf<Properties, Decoded extends Properties>(
  name: string,
  of: MessageType<Properties, Decoded>,
  message: Properties,
): Json {
  return jsonOfBytes(name, of.encode(message).finish());
}

/** The JSON of a response of `method`, as `buf curl` prints it. */
export function responseJson<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
  method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
  response: Response,
): Json {
  return jsonOfBytes(methodAt(method.path).response, method.response.encode(response).finish());
}

/** A method as the descriptors have it. */
export type DescribedMethod = {
  /** Full names of its messages. */
  readonly request: string;
  readonly response: string;
  /** Whether it only looks (`idempotency_level = NO_SIDE_EFFECTS`). */
  readonly safe: boolean;
};

/** @throws RangeError for no such method */
export function methodAt(path: string): DescribedMethod {
  const [, service = '', name = ''] = path.split('/');
  const found = load().root.lookupService(service).methods[name];
  if (found === undefined) throw new RangeError(`no method ${path} in the descriptors`);
  const packageName = service.slice(0, service.lastIndexOf('.'));
  return {
    request: `${packageName}.${found.requestType}`,
    response: `${packageName}.${found.responseType}`,
    safe: found.options?.idempotency_level === 'NO_SIDE_EFFECTS',
  };
}

/**
 * The encoded message `name` of its JSON. Fields may have their names in JSON or in the .proto file; a field that the message
 * does not have is an error.
 * @throws Error that names the field and the value
 */
export function bytesOfJson(name: string, json: unknown): Uint8Array {
  const { root, fromJson } = load();
  const type = root.lookupType(name);
  const message = fromJson(type, json);
  checkNumbers(type, message);
  return type.encode(message).finish();
}

/** Numbers of 64 bits are encoded from doubles: one beyond 2^53 − 1 would become another. @throws RangeError */
function checkNumbers(type: Type, message: object): void {
  const values = new Map<string, unknown>(Object.entries(message));
  for (const field of type.fieldsArray) {
    const value = values.get(field.name);
    const each: readonly unknown[] = Array.isArray(value) ? value : [value];
    for (const one of each) {
      if (
        field.resolvedType !== null &&
        'fieldsArray' in field.resolvedType &&
        typeof one === 'object' &&
        one !== null
      ) {
        checkNumbers(field.resolvedType, one);
      } else if (field.resolvedType === null && typeof one === 'number' && !Number.isSafeInteger(one)) {
        throw new RangeError(`${field.fullName} is beyond ${Number.MAX_SAFE_INTEGER}, the largest number allowed`);
      }
    }
  }
}

/**
 * The fields of a message by their JSON names, each with the full name of the message that it holds; undefined: it holds
 * none, or a time, which is a text in JSON. @throws Error for no such message
 */
export function jsonFields(name: string): ReadonlyMap<string, string | undefined> {
  const fields = load()
    .root.lookupType(name)
    .fieldsArray.map((field) => field.resolve());
  return new Map(fields.map(({ jsonName, resolvedType }) => [jsonName, heldBy(resolvedType?.fullName.slice(1))]));
}

function heldBy(name: string | undefined): string | undefined {
  const found = name?.startsWith('sublet.') ? load().root.lookupTypeOrEnum(name) : undefined;
  return found !== undefined && 'fieldsArray' in found ? name : undefined;
}
