/** `sublet certs list|revoke|unrevoke`: the identities whose certificates the masters refuse. */
import { accessService } from '#api/services.js';
import { connectsAndLists, type Define, examples, groupAction, writes } from '#cli/command-kit.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import {
  type ConsentOptions,
  type Consequences,
  consented,
  needsConsent,
  previewed,
  previews,
} from '#cli/operator/consent.js';
import { operate, print } from '#cli/operator/operator.js';
import { type List, type ListOptions, printList, type TableShape } from '#cli/output/list.js';
import { type Cell, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { clockTime } from '#cli/words.js';
import { sublet } from '#proto/sublet.js';
import { formatPrincipal, PrincipalError, type PrincipalName, parseIdentity } from '#tls/principal.js';

type Group = Parameters<Define>[0];
type Revocation = sublet.v1.Revocation.$Properties;

const { REVOCATION_CAUSE_REMOVAL } = sublet.v1.RevocationCause;

export const define: Define = (command, terminal) => {
  command.description(
    'Identities whose certificates the masters refuse. An identity is ROLE/ID, such as agent/host-7; a revocation is for all of its certificates.',
  );
  list(command, terminal);
  revoke(command, terminal);
  unrevoke(command, terminal);
  examples(
    command,
    ['sublet certs list', 'what is revoked, since when, and by whom'],
    ['sublet certs revoke agent/host-7', 'a stolen key, a host that is gone'],
    ['sublet certs unrevoke agent/host-7', 'it was a mistake'],
  );
  groupAction(command, async () => command.outputHelp());
};

function list(group: Group, terminal: Terminal): void {
  const command = connectsAndLists(group.command('list').summary('the identities that are revoked'))
    .description('The identities that are revoked, by role and id.')
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(command, ['sublet certs list', 'all of them']);
  command.action((options: ListOptions & { stale?: true }) =>
    operate(command, terminal, async (operator) => {
      const request = { stale: options.stale === true };
      const response = await operator.client.call(accessService.listRevocations, request, { idempotent: true });
      printList(operator, accessService.listRevocations, response, revocationList, options);
    }),
  );
}

function revoke(group: Group, terminal: Terminal): void {
  const command = needsConsent(writes(group.command('revoke').summary('refuse an identity')))
    .description(
      'Has all masters refuse every certificate of an identity, those that are issued later included, until `sublet certs unrevoke`. Its connections are ended at once. A master is revoked by `sublet members remove`.',
    )
    .argument('<ROLE/ID>', 'the identity, such as agent/host-7 or operator/alice')
    .option('--release', 'of an agent: release what it holds, too, although it may be live');
  examples(
    command,
    ['sublet certs revoke operator/alice', 'her key was stolen'],
    ['sublet certs revoke agent/host-7 --release', 'its subnets are leased again after the quarantine'],
  );
  type Options = ConsentOptions & { release?: true; expectedRevision?: number };
  command.action((text: string, options: Options) =>
    operate(command, terminal, async (operator) => {
      const identity = identityArgument(text);
      const name = formatPrincipal(identity);
      const release = options.release === true;
      const own = operator.material !== undefined && formatPrincipal(operator.material.principal) === name;
      const consequences = async (): Promise<[string, ...string[]]> => [
        `All masters refuse ${name} from now on, and end its connections.`,
        ...(own
          ? [
              'It is your own identity: only another admin, or root on a master (--master unix:DATA_DIR/admin.sock), can take it back.',
            ]
          : []),
        ...(release
          ? [
              `What agent ${identity.id} holds is released: its containers are not reached any more. This can't be undone.`,
            ]
          : []),
      ];
      // A revocation alone can be taken back, and mostly by its author.
      const goOn =
        release || own ? consented(operator, options, consequences) : previewed(operator, options, consequences);
      if (!(await goOn)) return;
      const request = { identity, release, expectedRevision: options.expectedRevision ?? 0 };
      const response = await operator.client.call(accessService.revokeIdentity, request, { idempotent: true });
      print(operator, accessService.revokeIdentity, response, () => {
        const released = response.released.length === 0 ? '' : ` Quarantined now: ${response.released.join(', ')}.`;
        return `Revoked ${name}.${released}\n`;
      });
    }),
  );
}

function unrevoke(group: Group, terminal: Terminal): void {
  const command = previews(writes(group.command('unrevoke').summary('accept an identity again')))
    .description(
      'Has the masters accept an identity again. All of its certificates are good again, a stolen one as well, unless --later-only is given.',
    )
    .argument('<ROLE/ID>', 'the identity, such as agent/host-7')
    .option('--later-only', 'certificates alone that are issued from now on; those that there are stay revoked');
  examples(
    command,
    ['sublet certs unrevoke agent/host-7', 'it was revoked by mistake'],
    ['sublet certs unrevoke agent/host-7 --later-only', 'its host was made anew: issue a certificate after this'],
  );
  type Options = ConsentOptions & { laterOnly?: true; expectedRevision?: number };
  command.action((text: string, options: Options) =>
    operate(command, terminal, async (operator) => {
      const identity = identityArgument(text);
      const laterCertificatesOnly = options.laterOnly === true;
      const request = { identity, laterCertificatesOnly, expectedRevision: options.expectedRevision ?? 0 };
      const lines = async (): Promise<Consequences> => {
        const { revocations } = await operator.client.call(accessService.listRevocations, {}, { idempotent: true });
        const name = formatPrincipal(identity);
        if (!revocations.some((each) => nameOf(each) === name)) {
          throw new Failure(exitCodes.refused, `${name} is not revoked`, ['sublet certs list']);
        }
        return [
          `The masters accept ${name} again: ${laterCertificatesOnly ? 'certificates that are issued from then on' : 'all of its certificates'}.`,
        ];
      };
      if (!(await previewed(operator, options, lines))) return;
      const response = await operator.client.call(accessService.unrevokeIdentity, request, { idempotent: false });
      const which = laterCertificatesOnly
        ? `certificates of ${formatPrincipal(identity)} that are issued from now on`
        : `all certificates of ${formatPrincipal(identity)}`;
      print(operator, accessService.unrevokeIdentity, response, () => `Accepted: ${which}.\n`);
    }),
  );
}

/** @throws Failure */
function identityArgument(text: string): PrincipalName {
  try {
    return parseIdentity(text);
  } catch (error) {
    if (error instanceof PrincipalError) throw usage(`ROLE/ID: ${error.message}`);
    throw error;
  }
}

function nameOf({ identity }: Revocation): string {
  return `${identity?.role ?? ''}/${identity?.id ?? ''}`;
}

const revocationList: List<sublet.v1.ListRevocationsResponse, Revocation> = {
  one: 'a revocation',
  type: 'sublet.v1.Revocation',
  message: sublet.v1.Revocation,
  items: ({ revocations }) => revocations,
  replaced: ({ revision }, revocations) => new sublet.v1.ListRevocationsResponse({ revocations, revision }),
  // As `sublet certs unrevoke` takes it.
  name: nameOf,
  table: formatRevocations,
};

function formatRevocations(
  { revocations }: sublet.v1.ListRevocationsResponse,
  terminal: Terminal,
  { titles }: TableShape,
): string {
  if (revocations.length === 0) return titles ? 'Nothing is revoked.\n' : '';
  const now = terminal.now();
  const rows = revocations.map((revocation): readonly Cell[] => [
    nameOf(revocation),
    clockTime(revocation.since, now),
    revocation.cause === REVOCATION_CAUSE_REMOVAL ? `${revocation.by} (removed)` : (revocation.by ?? ''),
    revocation.acceptedFrom ? `from ${clockTime(revocation.acceptedFrom, now)} on` : { text: 'none', style: 'red' },
  ]);
  const columns = [
    { title: 'IDENTITY', least: 12 },
    { title: 'SINCE' },
    { title: 'BY', least: 10 },
    { title: 'ACCEPTED CERTIFICATES' },
  ];
  return formatTable(columns, rows, terminal, { titled: titles });
}
