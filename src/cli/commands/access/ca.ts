/** `sublet ca init|issue`: a certificate authority in a folder, and certificates for masters, agents and operators. */

import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { Option } from 'commander';
import { type Define, examples } from '#cli/command-kit.js';
import { usage } from '#cli/failure.js';
import { issueInto, makeAuthorityIn, readAuthority } from '#cli/operator/authority-folder.js';
import type { Terminal } from '#cli/terminal.js';
import type { PemPair } from '#tls/certificate/authority.js';
import { fingerprintOf } from '#tls/certificate/certificate.js';
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
    .addOption(daysOption(authorityDays))
    .option('--masters <NAME,…>', 'masters that get a certificate at once, for a year')
    .option('--admin <NAME>', 'an admin that gets one, too');
  examples(
    command,
    ['sublet ca init --ca /root/sublet-ca', 'the authority alone'],
    ['sublet ca init --masters m1,m2,m3 --admin alice', 'and certificates for three masters and for you'],
  );
  type Options = { ca: string; name: string; days: number; masters?: string; admin?: string };
  command.action(async ({ ca, name, days, masters, admin }: Options) => {
    const wanted = [
      ...(masters?.split(',').map((id) => principalOf('master', id.trim())) ?? []),
      ...(admin === undefined ? [] : [principalOf('admin', admin)]),
    ];
    const made = await makeAuthorityIn(ca, name, days, terminal.now());
    terminal.write(
      `Made ${join(ca, 'ca.pem')} and ${join(ca, 'ca.key')}.\nThe authority is ${fingerprintOf(new X509Certificate(made.cert))}.\n`,
    );
    for (const principal of wanted) {
      await issueOne(made, principal, join(ca, folderOf(principal)), certificateDays, terminal);
    }
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
    .argument('<ID...>', 'the name of a master, the id of an agent, or the name of a person or a program; one or more')
    .addOption(caOption())
    .option('--out <DIR>', 'where to write (default: ROLE-ID in the folder of the authority)')
    .addOption(daysOption(certificateDays));
  examples(
    command,
    ['sublet ca issue master m1 m2 m3', 'their names in cluster.members'],
    ['sublet ca issue agent host-7', 'its id'],
    ['sublet ca issue admin alice', 'for the commands of operators'],
  );
  command.action(async (role: string, ids: readonly string[], options: { ca: string; out?: string; days: number }) => {
    const principals = ids.map((id) => principalOf(role, id));
    if (options.out !== undefined && ids.length > 1) throw usage('--out: one folder is for one ID');
    const authority = readAuthority(options.ca);
    for (const principal of principals) {
      const out = options.out ?? join(options.ca, folderOf(principal));
      await issueOne(authority, principal, out, options.days, terminal);
    }
  });
}

function folderOf({ role, id }: PrincipalName): string {
  return `${role}-${id}`;
}

/** @throws Failure */
async function issueOne(
  authority: PemPair,
  principal: PrincipalName,
  out: string,
  days: number,
  terminal: Terminal,
): Promise<void> {
  await issueInto(out, authority, principal, days, terminal.now());
  terminal.write(`Made ${out} for ${formatPrincipal(principal)}, valid for ${days} days.\n${use(principal, out)}`);
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
  const who = role === 'master' || role === 'agent' ? `sublet ${role} …` : 'sublet status';
  return `Use it: ${who} --tls ${out}\n`;
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
