/**
 * The URIs in the subject alternative names of a certificate (RFC 5280, 4.2.1.6), read from its DER. Node prints these
 * names as one text, in which a name with a comma could pass for two; an principal is not read from a text like that.
 * Reads only what it needs, and refuses what is not DER of a certificate.
 */
import { PrincipalError } from '#tls/principal.js';

const tagSequence = 0x30;
const tagOid = 0x06;
const tagBoolean = 0x01;
const tagOctets = 0x04;
/** TBSCertificate.extensions: [3] EXPLICIT. */
const tagExtensions = 0xa3;
/** GeneralName.uniformResourceIdentifier: [6] IMPLICIT IA5String. */
const tagUri = 0x86;
/** 2.5.29.17 */
const oidSubjectAltName = Buffer.from([0x55, 0x1d, 0x11]);
/** Certificates that people make have a few names. */
const namesMax = 100;
const extensionsMax = 100;

type Element = { readonly tag: number; readonly content: Buffer; readonly rest: Buffer };

/** @throws PrincipalError */
export function uriNamesOf(certificate: Uint8Array): readonly string[] {
  const der = Buffer.from(certificate.buffer, certificate.byteOffset, certificate.byteLength);
  const whole = expect(der, tagSequence, 'a certificate');
  if (whole.rest.length > 0) throw malformed('bytes after the certificate');
  const tbs = expect(whole.content, tagSequence, 'TBSCertificate');
  const extensions = extensionsIn(tbs.content);
  if (extensions === undefined) return [];
  const uris: string[] = [];
  let found = false;
  let left = extensions;
  for (let at = 0; left.length > 0; at++) {
    if (at >= extensionsMax) throw malformed(`more than ${extensionsMax} extensions`);
    const extension = expect(left, tagSequence, 'an extension');
    left = extension.rest;
    const oid = expect(extension.content, tagOid, 'the id of an extension');
    if (!oid.content.equals(oidSubjectAltName)) continue;
    if (found) throw malformed('two extensions of subject alternative names');
    found = true;
    uris.push(...urisIn(octetsOf(oid.rest)));
  }
  return uris;
}

/** The last of its fields, if it has them. */
function extensionsIn(tbs: Buffer): Buffer | undefined {
  let left = tbs;
  while (left.length > 0) {
    const field = read(left);
    if (field.tag === tagExtensions) {
      if (field.rest.length > 0) throw malformed('fields after the extensions');
      const all = expect(field.content, tagSequence, 'the extensions');
      if (all.rest.length > 0) throw malformed('bytes after the extensions');
      return all.content;
    }
    left = field.rest;
  }
  return undefined;
}

/** Of an extension: an OCTET STRING, perhaps after a mark that it is critical. */
function octetsOf(fields: Buffer): Buffer {
  const first = read(fields);
  const value = first.tag === tagBoolean ? expect(first.rest, tagOctets, 'an extension') : first;
  if (value.tag !== tagOctets || value.rest.length > 0) throw malformed('an extension without a value');
  return value.content;
}

function urisIn(value: Buffer): readonly string[] {
  const names = expect(value, tagSequence, 'the subject alternative names');
  if (names.rest.length > 0) throw malformed('bytes after the subject alternative names');
  const uris: string[] = [];
  let left = names.content;
  for (let at = 0; left.length > 0; at++) {
    if (at >= namesMax) throw malformed(`more than ${namesMax} subject alternative names`);
    const name = read(left);
    left = name.rest;
    // One character for each byte: what is not ASCII is no principal, and can't become one by decoding.
    if (name.tag === tagUri) uris.push(name.content.toString('latin1'));
  }
  return uris;
}

function expect(bytes: Buffer, tag: number, what: string): Element {
  const element = read(bytes);
  if (element.tag !== tag) throw malformed(`${what} has tag ${element.tag}`);
  return element;
}

/** One element in DER: lengths in the shortest form, of 2^24 − 1 bytes at most. */
function read(bytes: Buffer): Element {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw malformed('it ends too soon');
  const more = first & 0x80 ? first & 0x7f : 0;
  if (more > 3 || (first & 0x80 && more === 0) || bytes.length < 2 + more) throw malformed('a length');
  const length = more === 0 ? first : bytes.readUIntBE(2, more);
  const shortest = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
  const begin = 2 + more;
  if (more !== shortest || bytes.length < begin + length) throw malformed('a length');
  return { tag, content: bytes.subarray(begin, begin + length), rest: bytes.subarray(begin + length) };
}

function malformed(what: string): PrincipalError {
  return new PrincipalError(`the certificate can't be read: ${what}`);
}
