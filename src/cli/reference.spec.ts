/** docs/reference says what the program does. With SUBLET_WRITE_DOCS=1 the parts that are made are written anew. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { commandPages, exitCodeTable, refusalTable, settingsTable, withPart } from '#cli/testing/reference.js';
import { agentSettings } from '#config/agent-settings.js';
import { masterSettings } from '#config/master-settings.js';

const folder = fileURLToPath(new URL('../../../docs/reference/', import.meta.url));

const parts: readonly (readonly [string, string, () => string | Promise<string>])[] = [
  ['configuration.md', 'master settings', () => settingsTable(masterSettings)],
  ['configuration.md', 'agent settings', () => settingsTable(agentSettings)],
  ['status-codes.md', 'refusals', refusalTable],
  ['status-codes.md', 'exit codes', exitCodeTable],
  ['command-line.md', 'commands', commandPages],
];

describe('the reference', () => {
  for (const [file, name, make] of parts) {
    it(`has the ${name} as they are, in ${file}`, async () => {
      const page = readFileSync(folder + file, 'utf8');
      const wanted = withPart(page, name, await make());
      if (process.env.SUBLET_WRITE_DOCS === '1') writeFileSync(folder + file, wanted);
      else
        assert.equal(page, wanted, `docs/reference/${file} is out of date: SUBLET_WRITE_DOCS=1 npx mocha … writes it`);
    });
  }
});
