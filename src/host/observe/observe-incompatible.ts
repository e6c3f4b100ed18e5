/**
 * Tables of iptables-nft that hold a rule made with `nft` that iptables can not print: its save prints nothing of them
 * but a comment, with exit code 0. What is ours in such a table is found by `nft -j`, and each rule's text is
 * confirmed by `iptables -C`, since the comment that marks it does not show in JSON.
 */
import type { Family } from '#address/ip.js';
import { forwardChain, masqueradeSet } from '#host/desired/marks.js';
import type { ObservedTables, Readable } from '#host/observe/observed.js';
import { type NftRule, type NftRuleset, readNft } from '#host/tools/nft-ruleset.js';
import type { Runner } from '#host/tools/runner.js';

/** Names of the tables that `iptables-save` could not print. */
export function incompatibleTables(printed: string): readonly string[] {
  return [...new Set([...printed.matchAll(/table [`'"]?(\w+)['"]? is incompatible/gi)].map(([, name = '']) => name))];
}

export type IncompatibleQuestion = {
  readonly run: Runner;
  /** `iptables-nft` or `ip6tables-nft`. */
  readonly command: string;
  readonly family: Family;
  /** Names of the tables, of which `filter` and `nat` matter. */
  readonly tables: readonly string[];
  /** Comments of rules that are ours. */
  readonly marks: readonly string[];
};

/** What is ours in these tables; rules of others are `nft rule HANDLE`. */
export async function readIncompatible(
  question: IncompatibleQuestion,
  printable: ObservedTables,
): Promise<Readable<ObservedTables>> {
  const { tables, family, command } = question;
  let known: ObservedTables = { ...printable, incompatible: tables };
  for (const table of tables.filter((name) => name === 'filter' || name === 'nat')) {
    const listed = await readNft(question.run, ['table', family === 4 ? 'ip' : 'ip6', table]);
    if (listed.kind !== 'read') {
      const why =
        listed.kind === 'unreadable' ? listed.error : '"nft" is not installed (Debian: apt-get install nftables)';
      const error = `the table ${table} holds rules that ${command} can not show, made with nft: nothing is changed in it, since its rules are not known: ${why}`;
      return { kind: 'unreadable', error };
    }
    known = {
      ...known,
      ...(table === 'nat' ? await natOf(question, listed.value, printable) : await filterOf(question, listed.value)),
    };
  }
  return { kind: 'read', value: known };
}

async function filterOf(question: IncompatibleQuestion, listed: NftRuleset): Promise<Partial<ObservedTables>> {
  const chain = async (name: string): Promise<string[]> => {
    const rules = listed.rules.filter((rule) => rule.chain === name);
    const jumps = rules.filter((rule) => targetOf(rule) === forwardChain).length;
    const candidates = question.marks.map((mark) => `-m comment --comment ${mark} -j ${forwardChain}`);
    const ours = jumps === 0 ? [] : await existing(question, 'filter', name, candidates);
    return rules.map((rule) => (targetOf(rule) === forwardChain ? ours[0] : undefined) ?? opaque(rule));
  };
  const forward = await chain('FORWARD');
  const hasDockerUser = listed.rules.some((rule) => rule.chain === 'FORWARD' && targetOf(rule) === 'DOCKER-USER');
  const isOursThere = listed.chains.some(({ name }) => name === forwardChain);
  const ours = listed.rules.filter((rule) => rule.chain === forwardChain).map((rule) => acceptOf(rule) ?? opaque(rule));
  return {
    forward,
    ...(hasDockerUser ? { dockerUser: await chain('DOCKER-USER') } : {}),
    ...(isOursThere ? { ours } : {}),
  };
}

async function natOf(
  question: IncompatibleQuestion,
  listed: NftRuleset,
  { randomFully }: ObservedTables,
): Promise<Partial<ObservedTables>> {
  const rules = listed.rules.filter(({ chain }) => chain === 'POSTROUTING');
  const set = masqueradeSet[question.family];
  const target = `-j MASQUERADE${randomFully ? ' --random-fully' : ''}`;
  const texts = await Promise.all(
    rules.map(async (rule) => {
      const source = sourceOf(rule);
      if (source === undefined) return undefined;
      const candidates = question.marks.map(
        (mark) => `-s ${source} -m set --match-set ${set} dst -m comment --comment ${mark} ${target}`,
      );
      return (await existing(question, 'nat', 'POSTROUTING', candidates))[0];
    }),
  );
  return { postrouting: rules.map((rule, index) => texts[index] ?? opaque(rule)) };
}

/** Those of the rules that are in the chain. */
async function existing(
  { run, command }: IncompatibleQuestion,
  table: string,
  chain: string,
  candidates: readonly string[],
): Promise<string[]> {
  const answers = await Promise.all(
    candidates.map((rule) => run.run(command, ['-w', '5', '-t', table, '-C', chain, ...rule.split(' ')])),
  );
  return candidates.filter((_, index) => answers[index]?.code === 0);
}

function opaque({ handle }: NftRule): string {
  return `nft rule ${handle}`;
}

function targetOf({ expr }: NftRule): string | undefined {
  const jump = expr.map((one) => one.jump ?? one.goto).find((one) => one !== undefined);
  return isRecord(jump) && typeof jump.target === 'string' ? jump.target : undefined;
}

/** `-i m-dcos -j ACCEPT` of a rule that does just that. */
function acceptOf({ expr }: NftRule): string | undefined {
  const [match, verdict, ...more] = expr.filter((one) => !('counter' in one));
  if (more.length > 0 || verdict === undefined || !('accept' in verdict) || !isRecord(match?.match)) return undefined;
  const { left, right, op } = match.match;
  const key = isRecord(left) && isRecord(left.meta) ? left.meta.key : undefined;
  if (op !== '==' || typeof right !== 'string') return undefined;
  if (key === 'iifname') return `-i ${right} -j ACCEPT`;
  return key === 'oifname' ? `-o ${right} -j ACCEPT` : undefined;
}

/** The source that a rule names, as `iptables -s` takes it. */
function sourceOf({ expr }: NftRule): string | undefined {
  for (const { match } of expr) {
    if (!isRecord(match) || !isRecord(match.left) || !isRecord(match.left.payload)) continue;
    if (match.op !== '==' || match.left.payload.field !== 'saddr') continue;
    if (typeof match.right === 'string') return match.right;
    const prefix = isRecord(match.right) ? match.right.prefix : undefined;
    if (isRecord(prefix)) return `${prefix.addr}/${prefix.len}`;
  }
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
