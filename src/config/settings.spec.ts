/** The tables of settings and the schemas know the same keys; flags are unique and of one form. */
import assert from 'node:assert/strict';
import { agentSettings, loadAgentConfig } from '#config/files/agent-config.js';
import { loadMasterConfig, masterSettings } from '#config/files/master-config.js';
import { ConfigError } from '#config/schema/config-problem.js';
import type { Setting } from '#config/schema/setting.js';

/** The keys that the schema allows inside `path`, read from what it says of a key that it does not. */
function allowedIn(load: (text: string) => unknown, path: readonly string[]): readonly string[] {
  const nested = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), { nonsense: 1 });
  try {
    load(JSON.stringify(nested));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const [, keys] = /nonsense: is not a known key.*\(allowed: (.*)\)$/m.exec(error.message) ?? [];
    return keys?.split(', ') ?? [];
  }
  return [];
}

const kinds: readonly (readonly [string, readonly Setting[], (text: string) => unknown, readonly string[]])[] = [
  // Without a flag of their own: what is only ever ignored or refused.
  ['master', masterSettings, (text) => loadMasterConfig({ file: { name: 'f', text } }), ['zk']],
  ['agent', agentSettings, (text) => loadAgentConfig({ file: { name: 'f', text } }), []],
];

for (const [name, settings, load, flagless] of kinds) {
  describe(`the settings of the ${name}`, () => {
    it('have every key of the schema, and no other', () => {
      const tops = [...new Set(settings.map(({ key }) => key.split('.')[0] ?? ''))];
      assert.deepEqual([...tops, ...flagless].sort(), [...allowedIn(load, [])].sort());
      for (const top of tops) {
        const inner = settings.flatMap(({ key }) => (key.startsWith(`${top}.`) ? [key.slice(top.length + 1)] : []));
        if (inner.length > 0) assert.deepEqual([...inner].sort(), [...allowedIn(load, [top])].sort());
      }
    });

    it('have flags of one form, each once', () => {
      const flags = settings.map(({ flag }) => flag);
      assert.equal(new Set(flags).size, flags.length);
      for (const { flag, takes, as } of settings) {
        assert.match(flag, /^--[a-z0-9]+(-[a-z0-9]+)*$/);
        assert.equal(takes === undefined, as === 'switch' && flag === '--insecure', flag);
      }
    });
  });
}
