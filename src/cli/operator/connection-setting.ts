/** What says which masters are asked, and how: flags, else the environment, else the context. */
import type { Command } from 'commander';
import { givenOption } from '#cli/given-option.js';
import { type Context, type ContextKey, contextNamed, readContexts } from '#cli/operator/context-file.js';

export type ConnectionSetting = {
  readonly value: string /** `--master`, `SUBLET_MASTER`, `context prod` */;
  readonly from: string;
};

/** By its flag, else by its variable (`SUBLET_TLS_CA`), else by the context. @throws Failure for a context that there is not */
export function connectionSetting(command: Command, key: ContextKey): ConnectionSetting | undefined {
  const flag = givenOption(
    command,
    key.replace(/-(\w)/, (_, letter: string) => letter.toUpperCase()),
  );
  if (typeof flag === 'string') return { value: flag, from: `--${key}` };
  const variable = `SUBLET_${key.toUpperCase().replace('-', '_')}`;
  const set = process.env[variable];
  if (set) return { value: set, from: variable };
  const { name, context } = contextOf(command);
  const value = context[key];
  return value === undefined ? undefined : { value, from: `context ${name}` };
}

/** The context that counts: by `--context`, else SUBLET_CONTEXT, else the current one. */
function contextOf(command: Command): { readonly name: string; readonly context: Context } {
  const flag = givenOption(command, 'context');
  const [name, from] =
    typeof flag === 'string' ? [flag, '--context'] : [process.env.SUBLET_CONTEXT ?? '', 'SUBLET_CONTEXT'];
  const contexts = readContexts();
  if (name !== '') return { name, context: contextNamed(name, contexts, from) };
  if (contexts.current === '') return { name: '', context: {} };
  return { name: contexts.current, context: contextNamed(contexts.current, contexts, 'the current context') };
}
