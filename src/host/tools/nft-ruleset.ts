/**
 * Reads nftables by `nft -j`, whose JSON is described in libnftables-json(5): the rules that iptables does not print.
 * Expressions stay as they are; what they mean is worked out in `filter-nft`.
 */
import { z } from 'zod';
import type { Readable } from '#host/observe/observed.js';
import { type Runner, ToolMissingError } from '#host/tools/runner.js';

export type NftRuleset = {
  readonly chains: readonly NftChain[];
  readonly rules: readonly NftRule[];
  readonly sets: readonly NftSet[];
};

const chainShape = z.object({
  family: z.string(),
  table: z.string(),
  name: z.string(),
  /** Absent in a chain that only others jump to. */
  hook: z.string().optional(),
  type: z.string().optional(),
  prio: z.number().optional(),
  policy: z.string().optional(),
  /** Of a hook that belongs to devices. */
  dev: z.union([z.string(), z.array(z.string())]).optional(),
});
export type NftChain = z.infer<typeof chainShape>;

const ruleShape = z.object({
  family: z.string(),
  table: z.string(),
  chain: z.string(),
  handle: z.number(),
  expr: z.array(z.record(z.string(), z.unknown())),
});
export type NftRule = z.infer<typeof ruleShape>;

/** A set or a map; the elements of a map are pairs. */
const setShape = z.object({
  family: z.string(),
  table: z.string(),
  name: z.string(),
  elem: z.array(z.unknown()).optional(),
});
export type NftSet = z.infer<typeof setShape>;

const rulesetShape = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) });

/** `nft -j list ARGS`. Without `nft` on this host the answer is `unasked`: nothing that only it shows can be read. */
export async function readNft(run: Runner, args: readonly string[] = ['ruleset']): Promise<Readable<NftRuleset>> {
  const command = ['nft', '-j', 'list', ...args];
  try {
    const { code, stdout, stderr } = await run.run('nft', command.slice(1));
    if (code === 0) return { kind: 'read', value: await withDevices(run, parseNft(stdout)) };
    const said = stderr.trim().split('\n')[0] || `exit code ${code}`;
    return { kind: 'unreadable', error: `"${command.join(' ')}" failed: ${said}` };
  } catch (error) {
    if (error instanceof ToolMissingError) return { kind: 'unasked' };
    if (error instanceof z.ZodError || error instanceof SyntaxError) {
      return { kind: 'unreadable', error: `"${command.join(' ')}" printed something else than a list of rules` };
    }
    throw error;
  }
}

/** Versions before 1.1 leave the devices of a hook out of their JSON, and print them in their own language alone. */
async function withDevices(run: Runner, ruleset: NftRuleset): Promise<NftRuleset> {
  const lacks = ({ hook, dev }: NftChain): boolean => (hook === 'ingress' || hook === 'egress') && dev === undefined;
  if (!ruleset.chains.some(lacks)) return ruleset;
  const { code, stdout } = await run.run('nft', ['list', 'chains']);
  const devices = code === 0 ? hookDevices(stdout) : new Map<string, string[]>();
  // Of a hook whose devices are not known nothing is said.
  const devicesOf = ({ family, table, name }: NftChain): string[] => devices.get(`${family} ${table} ${name}`) ?? [];
  return {
    ...ruleset,
    chains: ruleset.chains.map((chain) => (lacks(chain) ? { ...chain, dev: devicesOf(chain) } : chain)),
  };
}

/** Of what `nft list chains` prints: family, table and chain → devices. */
export function hookDevices(printed: string): ReadonlyMap<string, string[]> {
  const found = new Map<string, string[]>();
  let [table, chain] = ['', ''];
  for (const line of printed.split('\n')) {
    table = /^table (\S+ \S+) \{/.exec(line)?.[1] ?? table;
    chain = /^\s+chain (\S+) \{/.exec(line)?.[1] ?? chain;
    const [, one, several] = /\bhook \S+ (?:device "?([^"\s;]+)"?|devices = \{([^}]*)\})/.exec(line) ?? [];
    if (one !== undefined) found.set(`${table} ${chain}`, [one]);
    else if (several !== undefined) {
      found.set(
        `${table} ${chain}`,
        several.split(',').flatMap((name) => name.replaceAll('"', '').trim() || []),
      );
    }
  }
  return found;
}

/** Throws ZodError or SyntaxError for what `nft -j` does not print. */
export function parseNft(printed: string): NftRuleset {
  const { nftables } = rulesetShape.parse(printed.trim() === '' ? { nftables: [] } : JSON.parse(printed));
  const all = <Shape extends z.ZodType>(key: string, shape: Shape) =>
    nftables.flatMap((item) => (item[key] === undefined ? [] : [shape.parse(item[key])]));
  return {
    chains: all('chain', chainShape),
    rules: all('rule', ruleShape),
    sets: [...all('set', setShape), ...all('map', setShape)],
  };
}
