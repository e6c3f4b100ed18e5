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
    if (code === 0) return { kind: 'read', value: parseNft(stdout) };
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
