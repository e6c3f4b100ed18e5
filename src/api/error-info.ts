/**
 * The reason of a refusal, for machines: a `google.rpc.ErrorInfo` of domain `sublet` in the details of the status, where
 * gRPC's rich error model puts it (trailing metadata `grpc-status-details-bin`). Clients of most languages and gRPC CLIs
 * can read it; several reasons share one status code. The three messages are few fields, written and read here by hand.
 */
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import { Reader, Writer } from 'protobufjs/minimal.js';
import { type RefusalDetails, type RefusalReason, type RefusedError, refusalReasons } from '#api/refusal.js';

/** Where gRPC carries an encoded `google.rpc.Status`. */
const detailsKey = 'grpc-status-details-bin';
export const errorInfoName = 'google.rpc.ErrorInfo';
const errorInfoType = `type.googleapis.com/${errorInfoName}`;
export const errorDomain = 'sublet';

/** Field numbers of google/rpc/status.proto, google/protobuf/any.proto and google/rpc/error_details.proto. */
const fields = {
  status: { code: 1, message: 2, details: 3 },
  any: { typeUrl: 1, value: 2 },
  errorInfo: { reason: 1, domain: 2, metadata: 3 },
  mapEntry: { key: 1, value: 2 },
} as const;
const [varint, delimited] = [0, 2];

/** `overloaded` → `OVERLOADED`: the spelling that ErrorInfo asks for. */
export function wireReason(reason: RefusalReason): string {
  return reason.replaceAll('-', '_').toUpperCase();
}

/** The encoded `google.rpc.ErrorInfo` of a refusal. */
export function errorInfoBytes({ reason, details }: Pick<RefusedError, 'reason' | 'details'>): Uint8Array {
  const info = Writer.create()
    .uint32(tag(fields.errorInfo.reason, delimited))
    .string(wireReason(reason))
    .uint32(tag(fields.errorInfo.domain, delimited))
    .string(errorDomain);
  for (const [key, value] of Object.entries(details)) {
    info
      .uint32(tag(fields.errorInfo.metadata, delimited))
      .fork()
      .uint32(tag(fields.mapEntry.key, delimited))
      .string(key)
      .uint32(tag(fields.mapEntry.value, delimited))
      .string(value)
      .ldelim();
  }
  return info.finish();
}

/** The trailing metadata of a call that is refused. */
export function refusalMetadata(refused: RefusedError): Metadata {
  const { code, message } = refused;
  const status = Writer.create()
    .uint32(tag(fields.status.code, varint))
    .int32(code)
    .uint32(tag(fields.status.message, delimited))
    .string(message)
    .uint32(tag(fields.status.details, delimited))
    .fork()
    .uint32(tag(fields.any.typeUrl, delimited))
    .string(errorInfoType)
    .uint32(tag(fields.any.value, delimited))
    .bytes(errorInfoBytes(refused))
    .ldelim()
    .finish();
  const metadata = new Metadata();
  metadata.set(detailsKey, Buffer.from(status));
  return metadata;
}

/** Why a master refused; undefined when no master did (the way to it failed), or one that gives other reasons. */
export function reasonOf(error: Pick<ServiceError, 'metadata'>): RefusalReason | undefined {
  return refusalInfoOf(error)?.reason;
}

/** As `reasonOf`, with what goes with the reason. */
export function refusalInfoOf({
  metadata,
}: Pick<ServiceError, 'metadata'>): { readonly reason: RefusalReason; readonly details: RefusalDetails } | undefined {
  for (const status of metadata?.get(detailsKey) ?? []) {
    if (typeof status === 'string') continue;
    const info = errorInfoOf(status);
    const reason = refusalReasons.find((one) => wireReason(one) === info?.reason);
    if (info !== undefined && reason !== undefined) return { reason, details: info.details };
  }
  return undefined;
}

type ErrorInfo = { readonly reason: string | undefined; readonly details: RefusalDetails };

/** The first ErrorInfo of this domain; undefined also for bytes that are no status. */
function errorInfoOf(details: Uint8Array): ErrorInfo | undefined {
  try {
    for (const any of delimitedFields(details, fields.status.details)) {
      const [typeUrl] = delimitedFields(any, fields.any.typeUrl).map(utf8);
      const [value] = delimitedFields(any, fields.any.value);
      if (typeUrl !== errorInfoType || value === undefined) continue;
      if (delimitedFields(value, fields.errorInfo.domain).map(utf8)[0] !== errorDomain) continue;
      const entries = delimitedFields(value, fields.errorInfo.metadata).map((entry): [string, string] => {
        const { key, value: text } = fields.mapEntry;
        return [delimitedFields(entry, key).map(utf8)[0] ?? '', delimitedFields(entry, text).map(utf8)[0] ?? ''];
      });
      return {
        reason: delimitedFields(value, fields.errorInfo.reason).map(utf8)[0],
        details: Object.fromEntries(entries),
      };
    }
  } catch {
    // protobufjs has no error type of its own. Whatever a stranger put there, the status code stands without it.
  }
  return undefined;
}

/** Every occurrence of one length-delimited field. */
function delimitedFields(message: Uint8Array, field: number): Uint8Array[] {
  const reader = Reader.create(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const key = reader.uint32();
    if (key === tag(field, delimited)) found.push(reader.bytes());
    else reader.skipType(key & 7);
  }
  return found;
}

function tag(field: number, wireType: number): number {
  return (field << 3) | wireType;
}

function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}
