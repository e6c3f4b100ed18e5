/** `sublet ca init|issue`: a certificate authority in a folder, and certificates for masters, agents and operators. */

import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Option } from 'commander';
import { type Define, examples } from '#cli/command-kit.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import type { Terminal } from '#cli/terminal.js';
import { errorText } from '#errors/unknown-error.js';
import { issueCertificate, makeAuthority, type PemPair } from '#tls/authority.js';
import { fingerprintOf } from '#tls/certificate.js';
import { formatPrincipal, PrincipalError, type PrincipalName, parsePrincipal, roles } from '#tls/principal.js';

const authorityDays = 3_650;
const certificateDays = 365;
const daysMax = 36_500;

export const define: Define = (command, terminal) => {
  command.description(
    'A certificate authority for TLS between masters, agents and operators. Its key is a file: the holder of the key can make a certificate of every identity.',
  );
  init(command, terminal);
  issue(command, terminal);
  examples(
    command,
    ['sublet ca init', 'makes ./sublet-ca'],
    ['sublet ca issue master m1', 'makes ./sublet-ca/master-m1'],
  );
};

function init(group: Parameters<Define>[0], terminal: Terminal): void {
  const command = group
    .command('init')
    .summary('make an authority')
    .description('Makes a certificate authority: ca.pem, which every process needs, and ca.key, which stays here.')
    .addOption(caOption())
    .option('--name <NAME>', 'common name of the authority, for people', 'Sublet')
    .addOption(daysOption(authorityDays));
  examples(command, ['sublet ca init --ca /root/sublet-ca', 'keep this folder off the masters']);
  command.action(async ({ ca, name, days }: { ca: string; name: string; days: number }) => {
    if (existsSync(join(ca, 'ca.key'))) {
      throw new Failure(exitCodes.refused, `${join(ca, 'ca.key')} is there already: an authority is not replaced`, [
        'Choose another folder with --ca, or move the former authority away.',
      ]);
    }
    const made = await makeAuthority(name, days, terminal.now());
    makePrivate(ca);
    writePair(ca, { cert: 'ca.pem', key: 'ca.key' }, made);
    terminal.write(
      `Made ${join(ca, 'ca.pem')} and ${join(ca, 'ca.key')}.\nThe authority is ${fingerprintOf(new X509Certificate(made.cert))}.\n`,
    );
  });
}

function issue(group: Parameters<Define>[0], terminal: Terminal): void {
  const command = group
    .command('issue')
    .summary('make a certificate and its key')
    .description(
      'Makes a certificate for one identity, with its key: cert.pem, key.pem and a copy of ca.pem in a folder of their own, to be copied to the machine that needs them.',
    )
    .argument('<ROLE>', `one of ${roles.join(', ')}`)
    .argument('<ID>', 'the name of a master, the id of an agent, or the name of a person or a program')
    .addOption(caOption())
    .option('--out <DIR>', 'where to write (default: ROLE-ID in the folder of the authority)')
    .addOption(daysOption(certificateDays));
  examples(
    command,
    ['sublet ca issue master m1', 'its name in cluster.members'],
    ['sublet ca issue agent host-7', 'its id'],
    ['sublet ca issue admin alice', 'for the commands of operators'],
  );
  command.action(async (role: string, id: string, options: { ca: string; out?: string; days: number }) => {
    const principal = principalOf(role, id);
    const authority = readAuthority(options.ca);
    const made = await issueCertificate(authority, principal, options.days, terminal.now());
    const out = options.out ?? join(options.ca, `${role}-${id}`);
    if (existsSync(join(out, 'key.pem'))) {
      throw new Failure(exitCodes.refused, `${join(out, 'key.pem')} is there already: a key is not replaced`, [
        'Choose another folder with --out, or move the former key away.',
      ]);
    }
    makePrivate(out);
    writePair(out, { cert: 'cert.pem', key: 'key.pem' }, made);
    writeFileSync(join(out, 'ca.pem'), authority.cert, { mode: 0o644 });
    terminal.write(
      `Made ${out} for ${formatPrincipal(principal)}, valid for ${options.days} days.\n${use(principal, out)}`,
    );
  });
}

/** @throws Failure */
function principalOf(role: string, id: string): PrincipalName {
  try {
    return parsePrincipal(`sublet://${role}/${id}`);
  } catch (error) {
    if (error instanceof PrincipalError) throw usage(`ROLE ID: ${error.message}`);
    throw error;
  }
}

function use({ role }: PrincipalName, out: string): string {
  const flags = `--tls-ca ${join(out, 'ca.pem')} --tls-cert ${join(out, 'cert.pem')} --tls-key ${join(out, 'key.pem')}`;
  const who = role === 'master' || role === 'agent' ? `sublet ${role} …` : 'sublet status';
  return `Use it: ${who} ${flags}\n`;
}

function caOption(): Option {
  return new Option('--ca <DIR>', 'folder of the authority').default('sublet-ca');
}

function daysOption(days: number): Option {
  return new Option('--days <N>', 'days that it is valid').default(days).argParser((text) => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < 1 || number > daysMax) {
      throw usage(`--days: "${text}" is out of range: 1 to ${daysMax} days are allowed`);
    }
    return number;
  });
}

/** @throws Failure */
function readAuthority(folder: string): PemPair {
  try {
    const key = join(folder, 'ca.key');
    if ((statSync(key).mode & 0o077) !== 0) {
      throw new Failure(exitCodes.refused, `${key} can be read or written by others: chmod 600 ${key}`);
    }
    return { cert: readFileSync(join(folder, 'ca.pem'), 'utf8'), key: readFileSync(key, 'utf8') };
  } catch (error) {
    if (error instanceof Failure) throw error;
    const why = errorText(error);
    throw new Failure(exitCodes.refused, `there is no authority in ${folder}: ${why}`, [
      'Make one with `sublet ca init`, or name its folder with --ca.',
    ]);
  }
}

function makePrivate(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

function writePair(folder: string, names: PemPair, { cert, key }: PemPair): void {
  // The key first, and only if there is none: a certificate without its key is of no use.
  writeFileSync(join(folder, names.key), key, { mode: 0o600, flag: 'wx' });
  chmodSync(join(folder, names.key), 0o600);
  writeFileSync(join(folder, names.cert), cert, { mode: 0o644 });
}
