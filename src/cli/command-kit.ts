/** The parts that command definitions are made of, so that all of them look and behave alike. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { usage } from '#cli/failure.js';
import { formsOfList, formsOfOne, OutputOption } from '#cli/output/form.js';
import type { Terminal } from '#cli/terminal.js';
import { parseDuration } from '#text/duration.js';

/** What a module of `commands/` exports: it turns an empty command into the whole of it. */
export type Define = (command: Command, terminal: Terminal) => void;

/** Adds the options that say which masters to ask, and for how long. */
export function connects(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--master <HOST:PORT,…>',
        'masters to ask; any will do (or SUBLET_MASTER; default 127.0.0.1:7070), or the admin socket of one, unix:/PATH',
      ).helpGroup('Connection:'),
    )
    .addOption(
      new Option('--tls <DIR>', 'folder with your ca.pem, cert.pem and key.pem (or SUBLET_TLS)').helpGroup(
        'Connection:',
      ),
    )
    .addOption(
      new Option('--tls-ca <FILE>', 'authority of the masters, PEM (or SUBLET_TLS_CA)').helpGroup('Connection:'),
    )
    .addOption(new Option('--tls-cert <FILE>', 'your certificate, PEM (or SUBLET_TLS_CERT)').helpGroup('Connection:'))
    .addOption(new Option('--tls-key <FILE>', 'its key, PEM (or SUBLET_TLS_KEY)').helpGroup('Connection:'))
    .addOption(
      new Option('--timeout <TIME>', 'how long to wait for each master (or SUBLET_TIMEOUT; default 10s)').helpGroup(
        'Connection:',
      ),
    )
    .addOption(
      new Option('--context <NAME>', 'use this context (or SUBLET_CONTEXT; `sublet context`)').helpGroup('Connection:'),
    );
}

/** As `connects`, with a choice of output. */
export function connectsAndPrints(command: Command): Command {
  return connects(command.addOption(outputOption()));
}

/** As `connectsAndPrints`, for a list. */
export function connectsAndLists(command: Command, forms = formsOfList): Command {
  return connects(
    command
      .addOption(new OutputOption(forms, canonical))
      .option('--no-headers', 'rows alone: no titles, totals or remarks')
      .option('--sort-by <PATH>', 'order by this field of the JSON, like presence.silentSince'),
  );
}

/** As `connectsAndLists`, for a list that can be watched. */
export function connectsAndWatches(command: Command): Command {
  return connectsAndLists(command)
    .option('-w, --watch', 'print what is new or has changed, until Ctrl-C')
    .option('--every <TIME>', 'with --watch: how often to look (default 2s)', lookTime);
}

const lookEveryMin = 200;

/** For commander: milliseconds. */
function lookTime(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < lookEveryMin || ms > 3_600_000) {
    throw new InvalidArgumentError(`a length of time from ${lookEveryMin}ms to 1h is allowed, like 5s.`);
  }
  return ms;
}

const canonical = 'the response as canonical proto JSON';

/** Of a command that prints one thing, with what it is as JSON. */
export function outputOption(json = canonical): Option {
  return new OutputOption(formsOfOne, json);
}

/** Before a command's name: the command at hand says which of the forms it has. */
export function anyOutputOption(): Option {
  return new OutputOption(formsOfList, canonical);
}

/** A write may be bound to what was looked at. */
export function writes(command: Command): Command {
  return connectsAndPrints(command).addOption(
    new Option('--expected-revision <N>', 'refuse if anything has changed since this revision').argParser(wholeNumber),
  );
}

/** The work of a command that has others below it: what follows its name and is none of those is a mistake. */
export function groupAction(command: Command, work: () => Promise<void>): void {
  command.allowExcessArguments().action(() => {
    refuseUnknown(command, command.args);
    return work();
  });
}

/** @throws Failure that names the commands below `group`, if there is anything in what follows its name */
export function refuseUnknown(group: Command, [unknown]: readonly string[]): void {
  if (unknown === undefined) return;
  const names = group.commands.map((inner) => inner.name()).join(', ');
  throw usage(`unknown command '${unknown}': there is ${names}`, `See: sublet ${group.name()} --help`);
}

const exampleWidth = 78;

/** Adds examples to the help: a command line and what it is good for, each. */
export function examples(command: Command, ...lines: readonly (readonly [string, string])[]): Command {
  const room = Math.max(...lines.map(([line]) => line.length));
  const aside = lines.every(([, what]) => room + what.length + 8 <= exampleWidth);
  const text = lines.map(([line, what]) =>
    aside ? `  $ ${line.padEnd(room)}  # ${what}` : `  # ${what}\n  $ ${line}`,
  );
  return command.addHelpText('after', `\nExamples:\n${text.join('\n')}`);
}

/** For commander: a whole number ≥ 0, or a usage error. */
export function wholeNumber(text: string): number {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) {
    throw new InvalidArgumentError('a whole number from 0 to 9007199254740991 is allowed.');
  }
  return value;
}
