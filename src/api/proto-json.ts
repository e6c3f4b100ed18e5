/**
 * Canonical JSON of the API's messages (protobuf.dev/programming-guides/json): lowerCamelCase, 64-bit numbers as
 * strings, enums by name, times as RFC 3339, default values left out. It is what a gRPC command line prints for
 * the same message. The descriptors are read when they are first needed: servers never pay for it.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Root, Type } from 'protobufjs';
import type { MessageType, Method } from '#api/method.js';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

const descriptors = new URL('../../proto/sublet.json', import.meta.url);

type Loaded = { readonly root: Root; readonly toJson: (type: Type, message: object) => Json };
let loaded: Loaded | undefined;

function load(): Loaded {
  // Both are CommonJS without a default that ESM could name; loaded here, and not above, so that they are loaded late.
  const require = createRequire(import.meta.url);
  const { Root: RootClass }: typeof import('protobufjs') = require('protobufjs/light.js');
  const { toJson }: { toJson: Loaded['toJson'] } = require('protobufjs/ext/protojson.js');
  loaded ??= { root: RootClass.fromJSON(JSON.parse(readFileSync(descriptors, 'utf8'))), toJson };
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
  return jsonOfBytes(responseName(method.path), method.response.encode(response).finish());
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

/** `/sublet.v1.AgentService/Register` → `sublet.v1.RegisterResponse`. */
function responseName(path: string): string {
  const [, service = '', name = ''] = path.split('/');
  const found = load().root.lookupService(service).methods[name];
  if (found === undefined) throw new RangeError(`no method ${path} in the descriptors`);
  return `${service.slice(0, service.lastIndexOf('.'))}.${found.responseType}`;
}
