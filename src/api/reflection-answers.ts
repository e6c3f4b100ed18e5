/**
 * The answers of gRPC server reflection (`grpc.reflection.v1` and `v1alpha`, whose messages are the same), made of an
 * encoded `FileDescriptorSet`. A file goes out as the bytes that the compiler wrote, followed by the files it imports.
 */

import { status } from '@grpc/grpc-js';
import { Reader, Writer } from 'protobufjs/minimal.js';
import { RefusedError } from '#api/refusal.js';
import { errorText } from '#errors/unknown-error.js';

/** Field numbers of google/protobuf/descriptor.proto. */
const fileField = { name: 1, package: 2, dependency: 3, message: 4, enum: 5, service: 6 } as const;
const messageField = { name: 1, field: 2, nested: 3, enum: 4, oneof: 8 } as const;
const enumField = { name: 1, value: 2 } as const;
const serviceField = { name: 1, method: 2 } as const;
const nameField = 1;

/** Field numbers of ServerReflectionRequest and ServerReflectionResponse. */
const requestField = { host: 1, fileByName: 3, fileOfSymbol: 4, fileOfExtension: 5, extensionNumbers: 6, services: 7 };
const responseField = { validHost: 1, originalRequest: 2, files: 4, services: 6, error: 7 } as const;

type DescribedFile = { readonly bytes: Uint8Array; readonly imports: readonly string[] };

export class ReflectionAnswers {
  readonly #files = new Map<string, DescribedFile>();
  /** Full name of a message, field, enum, value, service or method → name of its file. */
  readonly #symbols = new Map<string, string>();
  readonly #services: string[] = [];

  /** @param set an encoded FileDescriptorSet; the first of two files with one name counts */
  constructor(set: Uint8Array) {
    for (const bytes of Fields.of(set).all(1)) {
      const fields = Fields.of(bytes);
      const name = fields.text(fileField.name);
      if (this.#files.has(name)) continue;
      this.#files.set(name, { bytes, imports: fields.all(fileField.dependency).map(textOf) });
      this.#addSymbols(name, fields);
    }
  }

  /**
   * The ServerReflectionResponse to a ServerReflectionRequest; what is not found is an error within it.
   * @throws RefusedError `malformed` for bytes that are no request
   */
  answer(request: Uint8Array): Uint8Array {
    const asked = requestFields(request);
    const response = Writer.create();
    const host = asked.all(requestField.host).at(-1);
    if (host !== undefined) writeBytes(response, responseField.validHost, host);
    writeBytes(response, responseField.originalRequest, request);
    this.#write(response, asked);
    return response.finish();
  }

  #write(response: Writer, asked: Fields): void {
    const byName = asked.all(requestField.fileByName).at(-1);
    const bySymbol = asked.all(requestField.fileOfSymbol).at(-1);
    if (asked.all(requestField.services).length > 0) {
      const listed = this.#services.map((name) => writeBytes(Writer.create(), nameField, Buffer.from(name)).finish());
      writeList(response, responseField.services, listed);
    } else if (byName !== undefined) {
      this.#writeFiles(response, textOf(byName), textOf(byName));
    } else if (bySymbol !== undefined) {
      this.#writeFiles(response, this.#symbols.get(textOf(bySymbol)), textOf(bySymbol));
    } else if (asked.all(requestField.fileOfExtension).length + asked.all(requestField.extensionNumbers).length > 0) {
      writeError(response, status.NOT_FOUND, 'this API has no extensions');
    } else {
      writeError(response, status.UNIMPLEMENTED, 'message_request: none that is known');
    }
  }

  #writeFiles(response: Writer, name: string | undefined, asked: string): void {
    const files = name === undefined ? [] : this.#withImports(name);
    if (files.length === 0) writeError(response, status.NOT_FOUND, `there is no file or symbol "${asked}"`);
    else writeList(response, responseField.files, files);
  }

  /** The file, then all that it imports, directly or not, each once. */
  #withImports(name: string): Uint8Array[] {
    const names = new Set([name]);
    // A set's iteration goes on to what is added meanwhile.
    for (const each of names) for (const more of this.#files.get(each)?.imports ?? []) names.add(more);
    return [...names].flatMap((each) => this.#files.get(each)?.bytes ?? []);
  }

  #addSymbols(file: string, fields: Fields): void {
    const prefix = fields.text(fileField.package);
    const add = (scope: string, of: Fields): string => {
      const name = scope === '' ? of.text(nameField) : `${scope}.${of.text(nameField)}`;
      this.#symbols.set(name, file);
      return name;
    };
    const addMessage = (scope: string, of: Fields): void => {
      const name = add(scope, of);
      for (const member of [...of.nested(messageField.field), ...of.nested(messageField.oneof)]) add(name, member);
      for (const inner of of.nested(messageField.nested)) addMessage(name, inner);
      for (const inner of of.nested(messageField.enum)) addEnum(name, inner);
    };
    // Values of an enum are named beside it, not within (descriptor.proto, EnumValueDescriptorProto).
    const addEnum = (scope: string, of: Fields): void => {
      add(scope, of);
      for (const value of of.nested(enumField.value)) add(scope, value);
    };
    for (const message of fields.nested(fileField.message)) addMessage(prefix, message);
    for (const each of fields.nested(fileField.enum)) addEnum(prefix, each);
    for (const service of fields.nested(fileField.service)) {
      const name = add(prefix, service);
      this.#services.push(name);
      for (const method of service.nested(serviceField.method)) add(name, method);
    }
  }
}

/** An encoded message, by field number: the values of its length-delimited fields, in their order. */
class Fields {
  readonly #values = new Map<number, Uint8Array[]>();

  /** @throws RangeError, Error (protobufjs) for bytes that are no message */
  static of(bytes: Uint8Array): Fields {
    const fields = new Fields();
    const reader = Reader.create(bytes);
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if ((tag & 7) === 2) fields.#add(tag >>> 3, reader.bytes());
      else reader.skipType(tag & 7);
    }
    return fields;
  }

  all(field: number): readonly Uint8Array[] {
    return this.#values.get(field) ?? [];
  }

  /** The last value counts (protobuf); empty when there is none. */
  text(field: number): string {
    const value = this.all(field).at(-1);
    return value === undefined ? '' : textOf(value);
  }

  nested(field: number): Fields[] {
    return this.all(field).map((bytes) => Fields.of(bytes));
  }

  #add(field: number, value: Uint8Array): void {
    const values = this.#values.get(field);
    if (values === undefined) this.#values.set(field, [value]);
    else values.push(value);
  }
}

function requestFields(request: Uint8Array): Fields {
  try {
    return Fields.of(request);
  } catch (error) {
    const reason = errorText(error);
    throw new RefusedError('malformed', `the request is not a ServerReflectionRequest: ${reason}`);
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

function writeBytes(writer: Writer, field: number, bytes: Uint8Array): Writer {
  return writer.uint32((field << 3) | 2).bytes(bytes);
}

/** A message whose field 1 is repeated. */
function writeList(writer: Writer, field: number, items: readonly Uint8Array[]): void {
  const list = Writer.create();
  for (const item of items) writeBytes(list, 1, item);
  writeBytes(writer, field, list.finish());
}

function writeError(writer: Writer, code: number, message: string): void {
  const error = Writer.create()
    .uint32(1 << 3)
    .int32(code);
  writeBytes(writer, responseField.error, writeBytes(error, 2, Buffer.from(message)).finish());
}
