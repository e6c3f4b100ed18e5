/** Whose configuration a file is: a master's or an agent's. Found by its keys, since DC/OS's files don't say. */
import { agentSettings } from '#config/agent-settings.js';
import { masterSettings } from '#config/master-settings.js';
import { isObject } from '#config/schema/document.js';
import { type JsonText, JsonTextError, parseJsonText } from '#config/schema/json-text.js';
import type { Setting } from '#config/schema/setting.js';

export type ConfigKind = 'master' | 'agent';

/** Undefined when the keys don't tell. */
export function configKind(text: string): ConfigKind | 'no-json' | undefined {
  const read = parsed(text);
  if (read === undefined) return 'no-json';
  const { value } = read;
  if (!isObject(value)) return undefined;
  const masterKeys = [...topKeys(masterSettings), 'zk'];
  const agentKeys = topKeys(agentSettings);
  const votes = Object.entries(value).map(([key, of]) => {
    // Both have a `network`: a master's is an object, an agent's a word.
    if (key === 'network') return isObject(of) ? 1 : -1;
    return Number(masterKeys.includes(key)) - Number(agentKeys.includes(key));
  });
  const sum = votes.reduce((total, vote) => total + vote, 0);
  return sum === 0 ? undefined : sum > 0 ? 'master' : 'agent';
}

function topKeys(settings: readonly Setting[]): readonly string[] {
  return settings.flatMap(({ key, alias = [] }) => [key.split('.')[0] ?? '', alias].flat());
}

function parsed(text: string): JsonText | undefined {
  try {
    return parseJsonText(text);
  } catch (error) {
    if (error instanceof JsonTextError) return undefined; // The caller that reads the file as one kind or the other reports it.
    throw error;
  }
}
