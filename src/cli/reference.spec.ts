/** docs/reference says what the program does. With SUBLET_WRITE_DOCS=1 the parts that are made are written anew. */
import { holdPart } from '#api/testing/reference-page.js';
import { commandPages, exitCodeTable, refusalTable, settingsTable } from '#cli/testing/reference.js';
import { agentSettings } from '#config/agent-settings.js';
import { masterSettings } from '#config/master-settings.js';

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
      holdPart(file, name, await make());
    });
  }
});
