/** `sublet debug bundle`: one archive with what helps to find a fault, without secrets, and with a manifest. */
import { createHash } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Command } from 'commander';
import { type BundlePart, filePart, hostParts, httpParts, masterParts } from '#cli/debug/parts.js';
import { redacted } from '#cli/debug/redaction.js';
import { type TarEntry, tarOf } from '#cli/debug/tar.js';
import { examined } from '#cli/doctor/run-doctor.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { operate } from '#cli/operator/operator.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import { version } from '#cli/version.js';
import { plural } from '#cli/words.js';
import { errorText } from '#errors/unknown-error.js';
import { processRunner } from '#host/tools/runner.js';
import { runningVersions } from '#runtime/node-releases.js';
import { jsonText } from '#text/printable-text.js';
import { formatSize } from '#text/size.js';
import { timeText } from '#tls/certificate/tls-files.js';

export type BundleOptions = {
  readonly config?: readonly string[];
  readonly masterHttp: string;
  readonly agentHttp: string;
  /** False: nothing of the machine beside Sublet. */
  readonly host: boolean;
};

/** Where the packages have them. */
const usualFiles = ['/etc/sublet/master.json', '/etc/sublet/agent.json'];
/** Of the name of a configuration file; an archive holds longer ones only in another form. */
const nameMax = 60;
/** The folder that the archive is unpacked to. */
const folder = 'sublet-debug';
/** Of a longer part the end is kept. */
const partCharactersMax = 8 * 1024 * 1024;

type Gathered = {
  readonly files: readonly {
    readonly name: string;
    readonly source: string;
    readonly text: string;
    readonly secrets: number;
    readonly cut: boolean;
  }[];
  readonly missing: readonly { readonly name: string; readonly source: string; readonly why: string }[];
};

/** Writes the archive, for its owner alone. @throws Failure */
export async function writeBundle(
  command: Command,
  given: string | undefined,
  options: BundleOptions,
  terminal: Terminal,
): Promise<void> {
  const made = timeText(terminal.now());
  const file = given ?? `sublet-debug-${made.replaceAll(/[^0-9]/g, '').slice(0, 14)}.tar.gz`;
  if (existsSync(file)) throw usage(`${file} is there already: choose another name`);
  const gathered = await gather(await parts(command, options, terminal), terminal);
  writeFileSync(file, archive(gathered, made, terminal.now()), { mode: 0o600, flag: 'wx' });
  terminal.write(report(file, gathered, terminal));
}

async function parts(command: Command, options: BundleOptions, terminal: Terminal): Promise<readonly BundlePart[]> {
  const { config = usualFiles.filter((file) => existsSync(file)), masterHttp, agentHttp, host } = options;
  const doctor: BundlePart = {
    name: 'doctor.json',
    source: 'sublet doctor',
    get: async () => `${jsonText(await examined(command, { config }, terminal), 2)}\n`,
  };
  return [
    doctor,
    ...config.map((file, at) => filePart(`config/${at + 1}-${basename(file).slice(-nameMax)}`, file)),
    ...httpParts('master', masterHttp),
    ...httpParts('agent', agentHttp),
    ...(await answered(command, terminal)),
    ...(host ? hostParts(processRunner) : []),
  ];
}

/** The masters' answers, which are got while there is a connection. */
async function answered(command: Command, terminal: Terminal): Promise<readonly BundlePart[]> {
  const found: BundlePart[] = [];
  try {
    await operate(command, terminal, async ({ client }) => {
      for (const { name, source, get } of masterParts(client)) {
        const text = await get();
        found.push({ name, source, get: () => Promise.resolve(text) });
      }
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    found.push({ name: 'masters/others.json', source: 'masters', get: () => Promise.reject(error) });
  }
  return found;
}

async function gather(all: readonly BundlePart[], terminal: Terminal): Promise<Gathered> {
  const files: Gathered['files'][number][] = [];
  const missing: Gathered['missing'][number][] = [];
  for (const { name, source, get } of all) {
    try {
      const whole = await get();
      // Before it is cut: half of a secret is not known for one.
      const { text, count } = redacted(whole);
      const cut = text.length > partCharactersMax;
      files.push({ name, source, text: cut ? text.slice(-partCharactersMax) : text, secrets: count, cut });
    } catch (error) {
      missing.push({ name, source, why: redacted(errorText(error)).text });
    }
  }
  if (files.length === 0) {
    throw new Failure(
      exitCodes.refused,
      'nothing could be gathered',
      missing.map(({ name, why }) => `${name}: ${why}`),
    );
  }
  if (missing.length > 0) {
    terminal.note(`${wrap(`${plural(missing.length, 'part')} could not be had: the manifest says why.`, terminal)}\n`);
  }
  return { files, missing };
}

function archive({ files, missing }: Gathered, made: string, nowMs: number): Buffer {
  const entries = files.map(({ name, text }): TarEntry => ({ name: `${folder}/${name}`, bytes: Buffer.from(text) }));
  const manifest = {
    made,
    version,
    ...runningVersions(),
    left_out: 'private keys, tokens to join with, passwords, and values whose names call them secret',
    files: files.map(({ name, source, text, secrets, cut }) => {
      const bytes = Buffer.from(text);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      return {
        name,
        source,
        bytes: bytes.length,
        sha256,
        ...(secrets > 0 && { secrets_left_out: secrets }),
        ...(cut && { beginning_cut: true }),
      };
    }),
    missing,
  };
  const first: TarEntry = { name: `${folder}/manifest.json`, bytes: Buffer.from(`${jsonText(manifest, 2)}\n`) };
  return gzipSync(tarOf([first, ...entries], Math.floor(nowMs / 1_000)));
}

function report(file: string, { files }: Gathered, terminal: Terminal): string {
  const bytes = files.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  const secrets = files.reduce((sum, each) => sum + each.secrets, 0);
  const left = secrets === 0 ? '' : ` ${plural(secrets, 'secret')} left out.`;
  const said = `Wrote ${file}: ${plural(files.length, 'file')} of ${formatSize(bytes)}, and manifest.json, which lists them.${left} It names hosts and addresses: look through it before it is sent to others.`;
  return `${wrap(said, terminal)}\n`;
}
