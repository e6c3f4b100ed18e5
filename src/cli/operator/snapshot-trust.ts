/** Whether a backup is what a master has saved: its signature, the authority that it is verified by, and keys of encryption. */
import type { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import {
  AgeError,
  type AgeIdentity,
  type AgeRecipient,
  identitiesIn,
  newIdentityFile,
  parseRecipient,
} from '#age/age-keys.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { tlsFile } from '#cli/operator/operator.js';
import { whyUnreadable } from '#cli/operator/unreadable.js';
import { errorCode, errorText } from '#errors/unknown-error.js';
import type { SnapshotFileContent } from '#storage/snapshots/snapshot-file.js';
import { certificatesIn } from '#tls/certificate/certificate.js';
import { SignatureError, verifyDocument } from '#tls/certificate/document-signature.js';
import { timeText } from '#tls/certificate/tls-files.js';
import { formatPrincipal } from '#tls/principal.js';

/** What is known of the origin of a backup. */
export type SnapshotOrigin =
  | { readonly kind: 'unsigned' }
  /** There is no authority to verify it by. */
  | { readonly kind: 'unverified' }
  /** `by`: `master/m1`. */
  | { readonly kind: 'verified'; readonly by: string };

/** Adds the options of commands that read a backup. */
export function readsBackup(command: Command): Command {
  return command
    .addOption(new Option('--tls <DIR>', 'folder with the ca.pem that the signature is verified by (or SUBLET_TLS)'))
    .addOption(new Option('--tls-ca <FILE>', 'that authority itself, PEM (or SUBLET_TLS_CA)'))
    .addOption(
      new Option('--identity <FILE>', 'identity of the recipient of an encrypted backup (sublet snapshot keygen)'),
    );
}

/** The authority that the settings name. @throws Failure */
export function authoritiesOf(command: Command): readonly X509Certificate[] | undefined {
  const file = tlsFile(command, 'ca');
  if (file === undefined) return undefined;
  try {
    return certificatesIn(readFileSync(file));
  } catch (error) {
    throw usage(`--tls-ca: ${file}: ${whyUnreadable(file, error)?.why ?? errorText(error)}`);
  }
}

/** @throws Failure for a signature that is wrong, or of another authority, or of another master than the file names */
export function originOf(
  file: string,
  { header, signature }: SnapshotFileContent,
  authorities: readonly X509Certificate[] | undefined,
): SnapshotOrigin {
  if (signature === undefined) return { kind: 'unsigned' };
  if (authorities === undefined) return { kind: 'unverified' };
  try {
    const principal = verifyDocument(signature.signed, signature.statement, authorities, header.savedAt);
    const by = formatPrincipal(principal);
    if (principal.id !== header.savedBy) {
      throw new SignatureError(`it is signed by ${by}, and says that ${header.savedBy} has saved it`);
    }
    return { kind: 'verified', by };
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    throw new Failure(exitCodes.refused, `${file}: ${error.message}`, [
      'Take another backup. A backup of masters that had another authority then is verified by that one: --tls-ca FILE',
    ]);
  }
}

/**
 * Why a restore goes on that verifies nothing, for the operator; undefined: the origin is verified. Without TLS settings an
 * unsigned backup is taken: masters without TLS have no other.
 * @throws Failure when the origin is not verified
 */
export function checkOrigin(
  file: string,
  origin: SnapshotOrigin,
  authorities: readonly X509Certificate[] | undefined,
): string | undefined {
  const anyway = 'If you know that nothing has changed it: --unverified';
  if (origin.kind === 'unsigned' && authorities === undefined) {
    return `${file} is not signed: its masters had no TLS, or it was changed. With --tls DIR an unsigned backup is refused.`;
  }
  if (origin.kind === 'unsigned') {
    throw usage(
      `${file}: it is not signed: its masters had no TLS, or it was changed`,
      'A plan that was changed can give the addresses of one host to another.',
      anyway,
    );
  }
  if (origin.kind === 'unverified') {
    throw usage(
      `${file}: it is signed, and there is no authority to verify it by`,
      'Name the ca.pem of the masters that saved it: --tls-ca FILE, or --tls DIR',
      anyway,
    );
  }
  return undefined;
}

export function originText(origin: SnapshotOrigin, savedAt: number): string {
  switch (origin.kind) {
    case 'unsigned':
      return 'no: a change by a program would not show';
    case 'unverified':
      return 'yes, not verified: name the authority with --tls-ca FILE';
    case 'verified':
      return `by ${origin.by} at ${timeText(savedAt)}, verified`;
  }
}

/** For commander. @throws Failure */
export function recipientsIn(text: string): readonly AgeRecipient[] {
  return text.split(',').map((each) => {
    try {
      return parseRecipient(each.trim());
    } catch (error) {
      if (!(error instanceof AgeError)) throw error;
      throw usage(`--encrypt-to: ${error.message}`);
    }
  });
}

/** @throws Failure */
export function identitiesFrom(file: string | undefined): readonly AgeIdentity[] | undefined {
  if (file === undefined) return undefined;
  try {
    return identitiesIn(readFileSync(file, 'utf8'));
  } catch (error) {
    const why = error instanceof AgeError ? error.message : (whyUnreadable(file, error)?.why ?? errorText(error));
    throw usage(`--identity: ${file}: ${why}`);
  }
}

/** Makes a key file for this user alone, and returns the recipient. @throws Failure when the file is there */
export function makeIdentityFile(file: string): string {
  const { content, recipient } = newIdentityFile();
  try {
    writeFileSync(file, content, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    const exists = errorCode(error) === 'EEXIST';
    const why = exists ? 'it is there already: a key is not replaced' : errorText(error);
    throw new Failure(exitCodes.refused, `${file}: ${why}`);
  }
  return recipient;
}
