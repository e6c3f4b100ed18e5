/**
 * A certificate authority: its own certificate and key, and certificates for identities, all in PEM. Keys are ECDSA on
 * P-256. The module takes long to load: commands that issue certificates load it, and a master when it signs first.
 */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { type PrincipalName, principalUri, type Role } from '#tls/principal.js';

export type PemPair = { readonly cert: string; readonly key: string };

/** Certificates begin this much before they are issued, ms: clocks differ. */
const backdatedMs = 60_000;
const dayMs = 86_400_000;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/**
 * A new authority, valid for `days` from `nowMs`. It can sign certificates of identities and no further authorities. Its key
 * identifier (RFC 5280, 4.2.1.2) is in each certificate that it signs: TLS then tells it from another authority of its name
 * in the same `tls.ca`.
 */
export async function makeAuthority(name: string, days: number, nowMs: number): Promise<PemPair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [name] }],
    notBefore: new Date(nowMs - backdatedMs),
    notAfter: new Date(nowMs + days * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: `${certificate.toString('pem')}\n`, key: await keyPem(keys.privateKey) };
}

/**
 * A certificate of the authority for one identity, with a key of its own. A master may serve and call; every other role
 * may call.
 * @throws Error when `authority` has no certificate and key that can be read
 */
export async function issueCertificate(
  authority: PemPair,
  principal: PrincipalName,
  days: number,
  nowMs: number,
): Promise<PemPair> {
  return signCertificate(authority, contentFor(principal, days * dayMs, nowMs));
}

export type CertificateContent = {
  readonly commonName: string;
  /** Subject alternative names, in order. */
  readonly names: readonly { readonly type: 'url' | 'dns' | 'ip'; readonly value: string }[];
  readonly usages: readonly ('server' | 'client')[];
  readonly fromMs: number;
  readonly toMs: number;
};

/**
 * A certificate of the authority for the key of another machine, and nothing else of what that machine has sent.
 * @param publicKey SubjectPublicKeyInfo in DER
 * @throws Error when `authority` has no certificate and key that can be read
 */
export function certifyKey(
  authority: PemPair,
  publicKey: Uint8Array<ArrayBuffer>,
  principal: PrincipalName,
  lifetimeMs: number,
  nowMs: number,
): Promise<string> {
  return signKey(authority, publicKey, contentFor(principal, lifetimeMs, nowMs));
}

/** HTTP clients look for a host name. All masters have the one that masters have in TLS, all agents another one. */
const hostNames: Readonly<Partial<Record<Role, string>>> = { master: 'sublet', agent: 'sublet-agent' };

function contentFor(principal: PrincipalName, lifetimeMs: number, nowMs: number): CertificateContent {
  const hostName = hostNames[principal.role];
  return {
    commonName: `${principal.role} ${principal.id}`,
    names: [
      { type: 'url', value: principalUri(principal) },
      ...(hostName === undefined ? [] : [{ type: 'dns', value: hostName } as const]),
    ],
    // Agents serve HTTP.
    usages: hostName === undefined ? ['client'] : ['server', 'client'],
    fromMs: nowMs - backdatedMs,
    toMs: nowMs + lifetimeMs,
  };
}

/** A certificate with this content and a key of its own. It ends no later than the authority's. */
export async function signCertificate(authority: PemPair, content: CertificateContent): Promise<PemPair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const cert = await signKey(authority, keys.publicKey, content);
  return { cert, key: await keyPem(keys.privateKey) };
}

async function signKey(
  authority: PemPair,
  publicKey: webcrypto.CryptoKey | Uint8Array<ArrayBuffer>,
  content: CertificateContent,
): Promise<string> {
  const issuer = new x509.X509Certificate(authority.cert);
  const { names } = content;
  const usages = content.usages.map((usage) => x509.ExtendedKeyUsage[`${usage}Auth`]);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [content.commonName.slice(0, commonNameMax)] }],
    issuer: issuer.subject,
    notBefore: new Date(content.fromMs),
    notAfter: new Date(Math.min(content.toMs, issuer.notAfter.getTime())),
    signingAlgorithm: algorithm,
    publicKey,
    signingKey: await signingKey(authority.key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usages),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension([...names])]),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

/** X.520: of a common name. Nothing reads it. */
const commonNameMax = 64;

/** 16 random bytes, positive (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes.toString('hex');
}

async function keyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
}

function signingKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}
