/** `sublet members [add|promote|replace|remove]`: the masters: which there are, and how each is. */

import { setTimeout as delay } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { clusterService } from '#api/services.js';
import { connectsAndPrints, connectsAndWatches, type Define, examples, groupAction } from '#cli/command-kit.js';
import { argument, exitCodes, Failure, usage } from '#cli/failure.js';
import { heard, noLeader, remark } from '#cli/member-words.js';
import { type ConsentOptions, consented, needsConsent, previewed, previews } from '#cli/operator/consent.js';
import { memberRemoval } from '#cli/operator/consequences.js';
import { additions, isCaughtUp, moves, type Newcomer, promotion, succession } from '#cli/operator/member-previews.js';
import { type Operator, operate, print } from '#cli/operator/operator.js';
import type { List, ListOptions, TableShape } from '#cli/output/list.js';
import { showList } from '#cli/output/list-watch.js';
import { type Cell, type Column, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { count, isRevoked, revocationCell, role } from '#cli/words.js';
import { formatHostPort, parseHostPort } from '#config/host-port.js';
import { sublet } from '#proto/sublet.js';
import { parseDuration } from '#text/duration.js';
import { formatSize } from '#text/size.js';

const LEARNER = sublet.v1.MemberRole.MEMBER_ROLE_LEARNER;
type Members = sublet.v1.ListMembersResponse;
type Member = sublet.v1.Member.$Properties;

export const define: Define = (command, terminal) => {
  connectsAndWatches(command)
    .description('The masters by the leader’s account: which vote, lag or are dead, and which may be stopped now.')
    .addOption(new Option('--role <ROLE>', 'only masters in this role').choices(roles));
  examples(
    command,
    ['sublet members', 'how they are'],
    ['sublet members add m2=10.0.0.2:7071', 'one that waits, started with --join'],
    ['sublet members promote m2', 'give it its vote, once it has caught up'],
    ['sublet members replace m3 m4=10.0.0.4:7071', 'm4 votes in the place of m3'],
  );
  groupAction(command, () =>
    operate(command, terminal, async (operator) => {
      const options = command.opts<ListOptions & { role?: string }>();
      const look = async (): Promise<Members> => {
        const response = await operator.client.call(clusterService.listMembers, {}, { idempotent: true });
        const selects = (member: Member): boolean => options.role === undefined || role(member.role) === options.role;
        return memberList.replaced(response, response.members.filter(selects));
      };
      await showList(operator, clusterService.listMembers, look, memberList, options);
    }),
  );
  add(command, terminal);
  promote(command, terminal);
  replace(command, terminal);
  remove(command, terminal);
  move(command, terminal);
};

const roles = ['leader', 'follower', 'candidate', 'learner'];

const memberList: List<Members, Member> = {
  one: 'a master',
  type: 'sublet.v1.Member',
  message: sublet.v1.Member,
  items: ({ members }) => members,
  replaced: (response, members) => new sublet.v1.ListMembersResponse({ ...response, members }),
  name: ({ name }) => name ?? '',
  watched: ({ peer, role, api, alive, stopRisk, spaceLow, ended, revocation }) => [
    ...[peer, role, api, alive, stopRisk, spaceLow, ended, isRevoked(revocation)],
  ],
  table: formatMembers,
};

export function formatMembers(
  response: Members,
  terminal: Terminal,
  { wide, titles, remarks: remarked, widths }: TableShape,
): string {
  const { members, accountOf } = response;
  if (members.length === 0 && !remarked) return '';
  if (members.length === 0) {
    return remark(`${accountOf} takes no part in a cluster yet. What it waits for:`, 'sublet status', terminal);
  }
  const rows = members.map((member) => [...row(member, terminal), ...(wide ? wideCells(member) : [])]);
  const columns: readonly Column[] = [
    { title: 'MASTER', least: 8 },
    { title: 'ROLE' },
    { title: 'PEERS', least: 12 },
    { title: 'MATCH', align: 'right' },
    { title: 'LAG', align: 'right' },
    { title: 'HEARD' },
    { title: 'DISK FREE', align: 'right' },
    { title: 'MAY STOP' },
    ...(wide ? [{ title: 'API' }, { title: 'STOP RISK' }] : []),
  ];
  const lines = { titled: titles, ...(widths && { widths }) };
  if (!remarked) return formatTable(columns, rows, terminal, lines);
  const ended = members.flatMap(({ name, ended: why }) =>
    why ? [remark(`${name} stopped by itself: ${why}`, '', terminal)] : [],
  );
  const revoked = members.flatMap(({ name, revocation }) => {
    const said = revocationCell(revocation, terminal.now());
    if (said === undefined || !isRevoked(revocation)) return [];
    const way = `sublet certs unrevoke master/${name}`;
    return [remark(`The certificates of ${name} are ${said.text}.`, way, terminal)];
  });
  return [formatTable(columns, rows, terminal), ...remarks(response, terminal), ...ended, ...revoked].join('\n');
}

function wideCells({ api, stopRisk }: Member): readonly Cell[] {
  return [api || '-', stopRisk || '-'];
}

function remarks({ members, leader, accountOf }: Members, terminal: Terminal): readonly string[] {
  if (leader === '') {
    return [remark(`There is no leader: this is how ${accountOf} sees it. ${noLeader.text}`, noLeader.way, terminal)];
  }
  if (leader !== accountOf) {
    return [remark(`The leader, ${leader}, did not answer: this is how ${accountOf} sees it.`, '', terminal)];
  }
  const risks = new Map<string, string[]>();
  for (const { name, stopRisk } of members) {
    if (stopRisk) risks.set(stopRisk, [...(risks.get(stopRisk) ?? []), name ?? '']);
  }
  return [...risks].map(([risk, names]) => remark(`${names.join(', ')} must not stop now: ${risk}.`, '', terminal));
}

function row(member: Member, terminal: Terminal): readonly Cell[] {
  const { name, peer, matchIndex, lag, alive, stopRisk, freeBytes, spaceLow } = member;
  const known = alive !== null && alive !== undefined;
  const stop: Cell = stopRisk ? { text: 'no', style: 'yellow' } : 'yes';
  return [
    { text: name ?? '', style: 'bold' },
    role(member.role),
    peer ?? '',
    matchIndex === null || matchIndex === undefined ? '-' : String(matchIndex),
    lag === null || lag === undefined ? '-' : count(lag),
    heard(member, terminal),
    disk(freeBytes, spaceLow),
    known ? stop : '-',
  ];
}

/** Below its floor it says so; what a master that is dead said last may be long past, like its match. */
function disk(freeBytes: number | null | undefined, low: boolean | null | undefined): Cell {
  const free = freeBytes === null || freeBytes === undefined ? '-' : formatSize(freeBytes);
  return low ? { text: `${free}: too little`, style: 'red' } : free;
}

function add(group: Command, terminal: Terminal): void {
  const command = previews(connectsAndPrints(group.command('add').summary('add a master that waits to join')))
    .description(
      'Adds a master that was started with --join and waits. It comes as a learner: it follows, and has no vote until it is promoted.',
    )
    .argument('<NAME=HOST:PORT>', 'its name, and where all masters reach its peer port')
    .option('--learner', 'it stays without a vote, to serve watches of agents');
  examples(
    command,
    ['sublet master --name m2 --join 10.0.0.1:7071 …', 'on the new machine'],
    ['sublet members add m2=10.0.0.2:7071', 'from anywhere'],
    ['sublet members add w1=10.0.0.9:7071 --learner', 'to serve watches'],
  );
  type Options = ConsentOptions & { readonly learner?: boolean };
  command.action((text: string, { learner: stays = false, ...consent }: Options) =>
    operate(command, terminal, async (operator) => {
      const request = newcomer(text);
      if (!(await previewed(operator, consent, () => additions(operator.client, request)))) return;
      const founder = await loneVoter(operator);
      const response = await operator.client.call(clusterService.addMember, request, { idempotent: false });
      const learns = response.member?.role === LEARNER;
      print(operator, clusterService.addMember, response, () =>
        addedText(
          request.name,
          learns,
          stays,
          founder === undefined ? '' : `\n${joinsToo(founder, request, terminal)}`,
        ),
      );
    }),
  );
}

function addedText(name: string, learns: boolean, stays: boolean, note: string): string {
  if (!learns) return `${name} is a member already, and votes.\n`;
  const learner = `Added ${name} as a learner.`;
  if (stays) {
    return (
      `${learner} It serves watches and hands other calls of agents on to the leader.\n` +
      'It has no vote: name it to agents beside or in place of the masters that vote.\n'
    );
  }
  return `${learner} Once it has caught up (sublet members), give it its vote:\n  sublet members promote ${name}\n${note}`;
}

/** The one that votes in a cluster of one. */
async function loneVoter({ client }: Operator): Promise<string | undefined> {
  const { members } = await client.call(clusterService.listMembers, {}, { idempotent: true });
  const voters = members.filter(({ role }) => role !== LEARNER);
  return voters.length === 1 ? voters[0]?.name || undefined : undefined;
}

/**
 * A founder of a cluster of one bootstraps again when its disk is lost and no other master is up, with addresses that
 * are leased already.
 */
function joinsToo(founder: string, { peer }: Newcomer, terminal: Terminal): string {
  return remark(
    `${founder} bootstrapped this cluster alone, and with a lost disk, while no other master is up, would bootstrap another one, which leases addresses that are held. Start it from now on with --join (cluster.join) in the place of --member (cluster.members), naming the others; it is not read while ${founder} has its store:`,
    `sublet master --name ${founder} --join ${peer} …`,
    terminal,
  );
}

function newcomer(text: string): Newcomer {
  const at = text.indexOf('=');
  if (at < 1) throw usage(`"${text}": NAME=HOST:PORT is needed, like m2=10.0.0.2:7071`);
  const peer = argument('HOST:PORT', text.slice(at + 1), parseHostPort);
  return { name: text.slice(0, at), peer: formatHostPort(peer) };
}

function promote(group: Command, terminal: Terminal): void {
  const command = previews(connectsAndPrints(group.command('promote').summary('give a learner its vote')))
    .description(
      'Gives a learner its vote. Refused, with what it lacks, until it has caught up; --wait waits for that.',
    )
    .argument('<NAME>', 'the learner')
    .option('--wait <TIME>', 'wait until it has caught up, at most this long');
  examples(
    command,
    ['sublet members promote m2', 'it votes from here on'],
    ['sublet members promote m2 --wait 5m', 'right after `sublet members add`'],
  );
  command.action((name: string, options: ConsentOptions & { wait?: string }) =>
    operate(command, terminal, async (operator) => {
      const waitMs = options.wait === undefined ? undefined : waitTime(options.wait);
      if (!(await previewed(operator, options, () => promotion(operator.client, name)))) return;
      if (waitMs !== undefined) await caughtUp(operator, name, waitMs, 'promoted', ['sublet members    how far it is']);
      const response = await operator.client.call(clusterService.promoteMember, { name }, { idempotent: false });
      print(operator, clusterService.promoteMember, response, () => `${name} votes now.\n`);
    }),
  );
}

const defaultWait = '5m';

function waitTime(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw usage(`--wait: "${text}" is not a duration, like ${defaultWait}`);
  return ms;
}

const lookEveryMs = 250;

function replace(group: Command, terminal: Terminal): void {
  const command = needsConsent(
    connectsAndPrints(group.command('replace').summary('have a new master vote in the place of another')),
  )
    .description(
      'Has a new master vote in the place of another, dead or alive, in one step, and removes that one for good. With NAME=HOST:PORT the new one is added first, and waited for until it has caught up. It needs a name and an address of its own, as both are members for a while.',
    )
    .argument('<OLD>', 'the master that goes')
    .argument('<NEW>', 'NAME=HOST:PORT of one that waits to join, or NAME of a learner')
    .option('--wait <TIME>', `how long it may take to catch up (default ${defaultWait})`);
  examples(
    command,
    ['sublet master --name m4 --join 10.0.0.1:7071 …', 'on the new machine'],
    ['sublet members replace m3 m4=10.0.0.4:7071', 'from anywhere'],
  );
  type Options = ConsentOptions & { readonly wait?: string };
  command.action((name: string, successor: string, { wait = defaultWait, ...consent }: Options) =>
    operate(command, terminal, async (operator) => {
      const waitMs = waitTime(wait);
      const next = successor.includes('=') ? newcomer(successor) : successor;
      if (!(await consented(operator, consent, () => succession(operator.client, name, next)))) return;
      const by = typeof next === 'string' ? next : await added(operator, next);
      await caughtUp(operator, by, waitMs, 'replaced', [
        `It goes on. Ask again when it has: sublet members replace ${name} ${by}`,
        'sublet members    how far it is',
      ]);
      const response = await operator.client.call(clusterService.replaceMember, { name, by }, { idempotent: false });
      const left = response.members.map((member) => member.name).join(', ');
      print(
        operator,
        clusterService.replaceMember,
        response,
        () => `${by} votes in the place of ${name}. There are ${left}.\n`,
      );
    }),
  );
}

/** A member already is taken as it is. */
async function added({ client }: Operator, request: Newcomer): Promise<string> {
  await client.call(clusterService.addMember, request, { idempotent: false });
  return request.name;
}

/**
 * Resolves when the learner may be given a vote, and at once for a member that is no learner: then the leader decides.
 */
async function caughtUp(
  { client, terminal }: Operator,
  name: string,
  waitMs: number,
  done: string,
  hints: readonly string[],
): Promise<void> {
  const begin = performance.now();
  for (let told = false; ; told = true) {
    const { members } = await client.call(clusterService.listMembers, {}, { idempotent: true });
    const member = members.find((one) => one.name === name);
    if (member?.role !== LEARNER) return;
    if (isCaughtUp(member)) return;
    const { alive, lag } = member;
    if (performance.now() - begin >= waitMs) {
      const state = alive === true ? `lacks ${count(lag ?? 0)} entries of the log` : 'is not heard of';
      throw new Failure(exitCodes.refused, `${name} ${state}; nothing was ${done}`, hints);
    }
    if (!told) terminal.note(`Waiting until ${name} has caught up …\n`);
    await delay(lookEveryMs);
  }
}

function remove(group: Command, terminal: Terminal): void {
  const command = needsConsent(connectsAndPrints(group.command('remove').summary('remove a master for good')))
    .description(
      'Removes a master for good; one that leads hands over first. Its process stops by itself, and its data is of no more use.',
    )
    .argument('<NAME>', 'the master');
  examples(command, ['sublet members remove m3', 'also when it is dead']);
  command.action((name: string, options: ConsentOptions) =>
    operate(command, terminal, async (operator) => {
      if (!(await consented(operator, options, () => memberRemoval(operator.client, name)))) return;
      const response = await operator.client.call(clusterService.removeMember, { name }, { idempotent: false });
      const left = response.members.map((member) => member.name).join(', ');
      print(operator, clusterService.removeMember, response, () => `Removed ${name}. There are ${left}.\n`);
    }),
  );
}

function move(group: Command, terminal: Terminal): void {
  const command = previews(
    connectsAndPrints(group.command('move').summary('masters are reached at other addresses from now on')),
  )
    .description(
      'Has the cluster record where masters are reached from now on; each must answer there already, with its own data. With --data-dir it is noted in the store of a master that is stopped, for the case that all have moved and none can lead: do so on each, name all that have moved, then start them.',
    )
    .argument('<NAME=HOST:PORT...>', 'the masters that have moved, and where all masters reach their peer ports now')
    .option('--data-dir <DIR>', 'the data directory of a master that is stopped; no master is asked');
  examples(
    command,
    ['sublet members move m3=10.1.0.3:7071', 'm3 runs there already; a majority serves'],
    [
      'sublet members move m1=10.1.0.1:7071 m2=10.1.0.2:7071 m3=10.1.0.3:7071 --data-dir /var/lib/sublet',
      'all have moved: on each of them, stopped',
    ],
  );
  command.action(async (texts: string[], { dataDir, ...consent }: ConsentOptions & { dataDir?: string }) => {
    const masters = texts.map(newcomer);
    if (dataDir !== undefined) {
      if (consent.dryRun) throw usage('--dry-run: goes without --data-dir, with which no master is asked');
      const { moveStored } = await import('#cli/process/stored-move.js');
      await moveStored(dataDir, masters, terminal);
      return;
    }
    await operate(command, terminal, async (operator) => {
      if (!(await previewed(operator, consent, () => moves(operator.client, masters)))) return;
      for (const request of masters) {
        const response = await operator.client.call(clusterService.moveMember, request, { idempotent: false });
        print(operator, clusterService.moveMember, response, () => `${request.name} is recorded at ${request.peer}.\n`);
      }
    });
  });
}
