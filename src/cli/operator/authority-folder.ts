/** The folder of a certificate authority: ca.pem, ca.key, and folders with a certificate, its key and ca.pem each. */
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exitCodes, Failure } from '#cli/failure.js';
import { errorText } from '#errors/unknown-error.js';
import { makePrivateFolder } from '#files/private-folder.js';
import { issueCertificate, makeAuthority, type PemPair } from '#tls/certificate/authority.js';
import type { PrincipalName } from '#tls/principal.js';

/** Makes an authority in a folder for this user alone. @throws Failure when there is one */
export async function makeAuthorityIn(folder: string, name: string, days: number, nowMs: number): Promise<PemPair> {
  const key = join(folder, 'ca.key');
  if (existsSync(key)) {
    throw new Failure(exitCodes.refused, `${key} is there already: an authority is not replaced`, [
      'Choose another folder with --ca, or move the former authority away.',
    ]);
  }
  const made = await makeAuthority(name, days, nowMs);
  writePair(folder, { cert: 'ca.pem', key: 'ca.key' }, made);
  return made;
}

/** @throws Failure */
export function readAuthority(folder: string): PemPair {
  try {
    const key = join(folder, 'ca.key');
    if ((statSync(key).mode & 0o077) !== 0) {
      throw new Failure(exitCodes.refused, `${key} can be read or written by others: chmod 600 ${key}`);
    }
    return { cert: readFileSync(join(folder, 'ca.pem'), 'utf8'), key: readFileSync(key, 'utf8') };
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(exitCodes.refused, `there is no authority in ${folder}: ${errorText(error)}`, [
      'Make one with `sublet ca init`, or name its folder with --ca.',
    ]);
  }
}

/** Writes a certificate, its key and the authority's certificate into a folder for this user alone. @throws Failure for a key that is there */
export async function issueInto(
  out: string,
  authority: PemPair,
  principal: PrincipalName,
  days: number,
  nowMs: number,
): Promise<void> {
  const key = join(out, 'key.pem');
  if (existsSync(key)) {
    throw new Failure(exitCodes.refused, `${key} is there already: a key is not replaced`, [
      'Choose another folder with --out, or move the former key away.',
    ]);
  }
  const made = await issueCertificate(authority, principal, days, nowMs);
  writePair(out, { cert: 'cert.pem', key: 'key.pem' }, made);
  writeAnew(join(out, 'ca.pem'), authority.cert);
}

/** @throws Failure for a folder that can't be made, or that others may write in: they could take the key's place */
function writePair(folder: string, names: PemPair, { cert, key }: PemPair): void {
  try {
    makePrivateFolder(folder);
  } catch (error) {
    throw new Failure(exitCodes.refused, `${folder} can't be used: ${errorText(error)}`);
  }
  // The key first, and only if there is none: a certificate without its key is of no use.
  writeFileSync(join(folder, names.key), key, { mode: 0o600, flag: 'wx' });
  chmodSync(join(folder, names.key), 0o600);
  writeAnew(join(folder, names.cert), cert);
}

/** A link that was laid there is not followed. */
function writeAnew(file: string, content: string): void {
  rmSync(file, { force: true });
  writeFileSync(file, content, { mode: 0o644, flag: 'wx' });
}
