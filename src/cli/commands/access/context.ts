/** `sublet context [use|set|remove]`: connections to masters by name. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { connects, type Define, examples, groupAction } from '#cli/command-kit.js';
import { usage } from '#cli/failure.js';
import { givenOption } from '#cli/given-option.js';
import {
  type Context,
  contextFile,
  contextKeys,
  contextNamed,
  contextNameForm,
  readContexts,
  writeContexts,
} from '#cli/operator/context-file.js';
import { type Cell, formatTable } from '#cli/table.js';
import { type Terminal, wrap } from '#cli/terminal.js';

export const define: Define = (command, terminal) => {
  command.description(
    'Connections by name: which masters, and your certificate. The current one is used where neither a flag nor the environment says otherwise; `--context NAME` or SUBLET_CONTEXT use another one.',
  );
  examples(
    command,
    ['sublet context', 'all of them; * is the current one'],
    ['sublet context set prod --master 10.0.0.1:7070,10.0.0.2:7070 --tls ~/.sublet', 'make one'],
    ['sublet context use prod', 'use it from now on'],
    ['sublet agents --context prod', 'use it once'],
  );
  groupAction(command, async () => {
    const { current, contexts } = readContexts();
    const rows = Object.entries(contexts).map(([name, context]) => row(name, context, name === current));
    if (rows.length === 0) terminal.write('No contexts. Make one: sublet context set NAME --master HOST:PORT\n');
    else terminal.write(formatTable(columns, rows, terminal));
  });
  use(command, terminal);
  set(command, terminal);
  remove(command, terminal);
};

const columns = [
  { title: '' },
  { title: 'CONTEXT', least: 8 },
  { title: 'MASTERS', least: 15 },
  { title: 'CERTIFICATE', least: 12 },
  { title: 'TIMEOUT' },
];

function row(name: string, { master, tls, timeout, ...parts }: Context, isCurrent: boolean): readonly Cell[] {
  return [
    isCurrent ? '*' : '',
    { text: name, style: 'bold' },
    master?.replaceAll(',', ', ') ?? '-',
    parts['tls-cert'] ?? tls ?? '-',
    timeout ?? '-',
  ];
}

function use(group: Command, terminal: Terminal): void {
  const command = group
    .command('use')
    .summary('use a context from now on')
    .description('Makes a context the current one; without a NAME, none is.')
    .argument('[NAME]', 'the context');
  examples(command, ['sublet context use prod', 'from now on'], ['sublet context use', 'none']);
  command.action((name = '') => {
    const contexts = readContexts();
    if (name !== '') contextNamed(name, contexts, 'NAME');
    writeContexts({ ...contexts, current: name });
    terminal.write(name === '' ? 'No context is used.\n' : `${name} is used from now on.\n`);
  });
}

function set(group: Command, terminal: Terminal): void {
  const command = connects(group.command('set').alias('add').summary('make a context, or change one'))
    .description(
      'Makes a context of the connection that the flags describe, or changes what they name of one that is there. The first one is the current one. Files are stored by their paths, from the root on.',
    )
    .argument('<NAME>', 'the context: 1 to 63 characters of [A-Za-z0-9._-]');
  examples(command, [
    'sublet context set prod --master 10.0.0.1:7070 --tls ~/.sublet',
    'for `sublet context use prod`',
  ]);
  command.action((name: string) => {
    if (!contextNameForm.test(name)) {
      throw usage(`NAME: "${name}" is no name: 1 to 63 characters of [A-Za-z0-9._-] are allowed`);
    }
    const given = contextKeys.flatMap((key) => {
      const value = givenOption(
        command,
        key.replace(/-(\w)/, (_, letter: string) => letter.toUpperCase()),
      );
      return typeof value === 'string' ? [[key, key.startsWith('tls') ? resolve(value) : value] as const] : [];
    });
    if (given.length === 0) throw usage(`one of ${contextKeys.map((key) => `--${key}`).join(', ')} is needed`);
    const { current, contexts } = readContexts();
    const context = { ...(Object.hasOwn(contexts, name) ? contexts[name] : {}), ...Object.fromEntries(given) };
    writeContexts({
      current: Object.keys(contexts).length === 0 ? name : current,
      contexts: { ...contexts, [name]: context },
    });
    terminal.write(`Wrote ${name} to ${contextFile()}.\n`);
    // A certificate may come later than the context.
    for (const [key, path] of given.filter(([each, value]) => each.startsWith('tls') && !existsSync(value))) {
      const kind = key === 'tls' ? 'folder' : 'file';
      const missing = `! --${key}: there is no ${kind} ${path} yet; commands with this context need it`;
      terminal.note(`${wrap(missing, terminal)}\n`);
    }
  });
}

function remove(group: Command, terminal: Terminal): void {
  const command = group
    .command('remove')
    .summary('forget a context')
    .description('Forgets a context. Its files stay.')
    .argument('<NAME>', 'the context');
  examples(command, ['sublet context remove prod', 'its certificate stays where it is']);
  command.action((name: string) => {
    const all = readContexts();
    contextNamed(name, all, 'NAME');
    const { [name]: _, ...contexts } = all.contexts;
    writeContexts({ current: all.current === name ? '' : all.current, contexts });
    terminal.write(`Removed ${name}.\n`);
  });
}
