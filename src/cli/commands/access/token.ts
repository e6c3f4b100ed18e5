/** `sublet token create|list|revoke`: tokens with which hosts get their first certificate. */
import { X509Certificate } from 'node:crypto';
import { certificateService } from '#api/services.js';
import { connectsAndPrints, type Define, examples, wholeNumber } from '#cli/command-kit.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { type ConsentOptions, type Consequences, previewed, previews } from '#cli/operator/consent.js';
import { mastersOf, operate, print } from '#cli/operator/operator.js';
import { TlsFolder } from '#cli/operator/tls-folder.js';
import { forPeople, writeValue } from '#cli/output/form.js';
import { noGrpcLogs } from '#cli/process/grpc-log.js';
import { joinedFiles } from '#cli/process/joining.js';
import { type Cell, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { clockTime } from '#cli/words.js';
import { formatHostPort, parseHostPort } from '#config/host-port.js';
import { sublet } from '#proto/sublet.js';
import { parseDuration } from '#text/duration.js';
import { readTlsFiles, timeText } from '#tls/certificate/tls-files.js';
import { drawJoinToken, formatJoinToken, issuerIn, pinOf, secretHashOf } from '#tls/join-token-text.js';
import { formatPrincipal } from '#tls/principal.js';

const { TokenState } = sublet.v1;

export const define: Define = (command, terminal) => {
  command.description(
    'Tokens for joining: with a token one host gets a certificate of one identity from the masters. The masters know the hash of its secret; the text is printed once.',
  );
  create(command, terminal);
  list(command, terminal);
  revoke(command, terminal);
  use(command, terminal);
  examples(
    command,
    ['sublet token create --role agent --id host-7', 'for the host that will be agent host-7'],
    ['sublet token list', 'what was made, and what is used'],
  );
};

function create(group: Parameters<Define>[0], terminal: Terminal): void {
  const command = previews(connectsAndPrints(group.command('create')))
    .summary('make a token')
    .description(
      'Makes a token and prints it: `sublet agent --join TOKEN` on that host then gets its certificate. The token is a secret until it is used.',
    )
    .requiredOption('--role <ROLE>', 'agent or master')
    .requiredOption('--id <ID>', 'the id of the agent, or the name of the master')
    .option('--node-ip <IP>', 'the address that the host calls from; without it any')
    .option('--ttl <TIME>', 'how long it is of use, up to 24h', '1h')
    .option('--uses <N>', 'how many keys may be certified with it, in the whole cluster (1 to 100)', wholeNumber, 1);
  examples(
    command,
    ['sublet token create --role agent --id host-7', 'used once, within an hour'],
    ['sublet token create --role agent --id host-7 --node-ip 10.0.0.7 --ttl 10m', 'from that host alone'],
  );
  type Options = ConsentOptions & { role: string; id: string; nodeIp?: string; ttl: string; uses: number };
  command.action(({ role, id, nodeIp = '', ttl, uses, ...consent }: Options) =>
    operate(command, terminal, async (operator) => {
      const { material } = operator;
      const authority = material && issuerIn(material.ca, new X509Certificate(material.cert));
      if (authority === undefined) {
        throw usage(
          'tokens need masters with TLS: give --tls DIR, with the authority that signed your certificate in its ca.pem',
        );
      }
      const ttlMs = parseDuration(ttl);
      if (ttlMs === undefined) throw usage(`--ttl: "${ttl}" is not a duration like 10m, 1h or 24h`);
      const lines = async (): Promise<Consequences> => [
        `A token for ${role}/${id}: of use ${uses === 1 ? 'once' : `${uses} times`} within ${ttl}, from ${nodeIp || 'any address'}. The masters are not asked whether they would take it.`,
      ];
      if (!(await previewed(operator, consent, lines))) return;
      const drawn = drawJoinToken(pinOf(authority));
      const request = { tokenId: drawn.id, secretHash: secretHashOf(drawn.secret), role, subject: id, nodeIp, ttlMs };
      const response = await operator.client.call(
        certificateService.createToken,
        { ...request, uses },
        { idempotent: false },
      );
      const text = formatJoinToken(drawn);
      if (forPeople(operator.output)) terminal.write(`${text}\n`);
      else writeValue(operator.output, { token: text, id: hexOf(drawn.id) }, terminal);
      const ends = clockTime(response.token?.ends, terminal.now());
      terminal.note(`Of use for ${role}/${id} until ${ends}. It is not shown again.\n`);
    }),
  );
}

function list(group: Parameters<Define>[0], terminal: Terminal): void {
  const command = connectsAndPrints(group.command('list'))
    .summary('the tokens there are')
    .description('The tokens that were made, until a day after their end. Their secrets are not known.')
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(command, ['sublet token list', 'all of them']);
  command.action((options: { stale?: true }) =>
    operate(command, terminal, async (operator) => {
      const request = { stale: options.stale === true };
      const response = await operator.client.call(certificateService.listTokens, request, { idempotent: true });
      print(operator, certificateService.listTokens, response, () => formatTokens(response, terminal));
    }),
  );
}

function revoke(group: Parameters<Define>[0], terminal: Terminal): void {
  const command = previews(connectsAndPrints(group.command('revoke')))
    .summary('make a token useless')
    .description('From its answer on no key is certified with the token. Certificates that it brought stay.')
    .argument('<ID>', 'the id of the token, as `sublet token list` has it');
  examples(command, ['sublet token revoke 0f8fad5bd9cb469fa16570867728950e', 'by its id']);
  command.action((id: string, options: ConsentOptions) =>
    operate(command, terminal, async (operator) => {
      if (!/^[0-9a-f]{32}$/.test(id)) {
        throw usage(`ID: "${id}" is not 32 hex digits, as \`sublet token list\` has them`);
      }
      const request = { tokenId: Buffer.from(id, 'hex') };
      const lines = async (): Promise<Consequences> => {
        const { tokens } = await operator.client.call(certificateService.listTokens, {}, { idempotent: true });
        const token = tokens.find((each) => hexOf(each.id ?? new Uint8Array()) === id);
        if (token === undefined) {
          throw new Failure(exitCodes.refused, `there is no token ${id}`, ['sublet token list']);
        }
        return [
          `No key is certified with token ${id} for ${token.role ?? ''}/${token.subject ?? ''} from then on. Certificates that it brought stay.`,
        ];
      };
      if (!(await previewed(operator, options, lines))) return;
      const response = await operator.client.call(certificateService.revokeToken, request, { idempotent: true });
      print(operator, certificateService.revokeToken, response, () => {
        const { role, subject } = response.token ?? {};
        return `Token ${id} for ${role ?? ''}/${subject ?? ''} is revoked.\n`;
      });
    }),
  );
}

function use(group: Parameters<Define>[0], terminal: Terminal): void {
  const command = group
    .command('use')
    .summary('get a certificate by a token, into a folder')
    .description(
      'Makes a key in a folder and has the masters certify it by a token: for a master that is added, which is then started with --tls DIR --tls-renew true. An agent does the same by itself with --join.',
    )
    .argument('<TOKEN>', 'as `sublet token create` has printed it')
    .requiredOption('--role <ROLE>', 'agent or master, as the token was made for')
    .requiredOption('--out <DIR>', 'the folder; it must not have a certificate yet')
    .option('--id <ID>', 'the id that is expected; without it the one of the token')
    .option('--master <HOST:PORT,…>', 'masters; any will do (or SUBLET_MASTER; default 127.0.0.1:7070)')
    .option('--join-port <PORT>', 'where their hosts have hosts join', wholeNumber, 7074);
  examples(command, [
    'sublet token use TOKEN --role master --out tls --master 10.0.0.1:7070',
    'on the host of a new master',
  ]);
  type Options = { role: string; out: string; id?: string; joinPort: number };
  command.action(async (token: string, { role, out: folder, id, joinPort: port }: Options) => {
    if (role !== 'agent' && role !== 'master') throw usage(`--role: "${role}" is neither agent nor master`);
    if (TlsFolder.at(folder).joined) {
      throw new Failure(exitCodes.refused, `${folder} has a certificate already: it is not replaced`, [
        'Choose another folder with --out, or move the former certificate away.',
      ]);
    }
    noGrpcLogs(process.env);
    const masters = mastersOf(command).map((master) => formatHostPort({ ...parseHostPort(master), port }));
    const note = (_: object, message: string): void => terminal.note(`${message}\n`);
    await joinedFiles({ role, id, folder, join: token, masters }, { info: () => undefined, warn: note });
    const { principal } = readTlsFiles(TlsFolder.at(folder).files, [role], terminal.now());
    terminal.write(`Made ${folder} for ${formatPrincipal(principal)}, valid until ${timeText(principal.endsMs)}.\n`);
  });
}

const stateCells: Readonly<Record<number, Cell>> = {
  [TokenState.TOKEN_STATE_VALID]: { text: 'valid', style: 'green' },
  [TokenState.TOKEN_STATE_USED]: 'used',
  [TokenState.TOKEN_STATE_REVOKED]: { text: 'revoked', style: 'yellow' },
  [TokenState.TOKEN_STATE_ENDED]: { text: 'ended', style: 'dim' },
};

export function formatTokens({ tokens }: sublet.v1.ListTokensResponse, terminal: Terminal): string {
  if (tokens.length === 0) return 'There are no tokens.\n';
  const now = terminal.now();
  const rows = tokens.map((token): readonly Cell[] => [
    hexOf(token.id ?? new Uint8Array()),
    `${token.role ?? ''}/${token.subject ?? ''}`,
    token.nodeIp || 'any',
    stateCells[token.state ?? 0] ?? 'unknown',
    `${token.used ?? 0} of ${token.uses ?? 0}`,
    clockTime(token.ends, now),
    token.createdBy ?? '',
  ]);
  const titles = ['TOKEN', 'FOR', 'FROM', 'STATE', 'USED', 'ENDS', 'BY'];
  return formatTable(
    titles.map((title) => ({ title })),
    rows,
    terminal,
  );
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
