/**
 * Reads the keys below a prefix from etcd 3.4 or later, by the JSON form of its API that it serves on its client port
 * (`POST /v3/kv/range`), all at one revision; or from what `etcdctl get -w json` printed, which has the same form.
 */
import { readFileSync } from 'node:fs';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { z } from 'zod';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { parsedJson } from '#cli/import/old-network.js';
import { whyUnreadable } from '#cli/operator/unreadable.js';
import { type WholeAnswer, wholeAnswer } from '#cli/whole-answer.js';
import { errorCode, errorText } from '#errors/unknown-error.js';
import { foreignText } from '#text/printable-text.js';

export type EtcdEntry = { readonly key: string; readonly value: string };

export type EtcdOptions = {
  /** `http://10.0.0.1:2379` */
  readonly url: string;
  /** PEM files; without `ca` those of the system count. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
};

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const decoded = z.string().transform((text) => Buffer.from(text, 'base64').toString('utf8'));
const rangeSchema = z.object({
  header: z.object({ revision: z.coerce.string() }),
  // Left out where there are none.
  kvs: z.array(z.object({ key: decoded, value: decoded.default('') })).default([]),
  more: z.boolean().default(false),
});

const pageSize = 1_000;
/** A /8 of /24s is 65,536 hosts. */
const pagesMax = 128;
const answerBytesMax = 16 * 1024 * 1024;
const timeoutMs = 10_000;

/** @throws Failure when etcd can't be read */
export async function etcdKeysBelow(prefix: string, options: EtcdOptions): Promise<readonly EtcdEntry[]> {
  const first = `${prefix}/`;
  // The first key that does not begin so: `0` follows `/`.
  const end = base64(`${prefix}0`);
  const found: EtcdEntry[] = [];
  let key = base64(first);
  let revision: string | undefined;
  for (let page = 0; page < pagesMax; page++) {
    const range = { key, range_end: end, limit: pageSize, ...(revision !== undefined && { revision }) };
    const { header, kvs, more } = rangeOf(await post(options, range), `etcd at ${options.url}`);
    revision ??= header.revision;
    found.push(...kvs);
    const last = kvs.at(-1);
    if (!more || last === undefined) return found;
    key = base64(`${last.key}\0`);
  }
  throw new Failure(
    exitCodes.refused,
    `etcd at ${options.url} has more than ${pagesMax * pageSize} keys below ${first}`,
  );
}

/** The entries in what `etcdctl get --prefix PREFIX/ -w json` printed. @throws Failure */
export function etcdKeysIn(name: string, text: string): readonly EtcdEntry[] {
  const { kvs, more } = rangeOf(parsedJson(name, text), name);
  if (!more) return kvs;
  throw new Failure(exitCodes.refused, `${name} has not all keys: etcd has more than these ${kvs.length}`, [
    'Print them without --limit.',
  ]);
}

function rangeOf(json: unknown, name: string): z.infer<typeof rangeSchema> {
  const read = rangeSchema.safeParse(json);
  if (read.success) return read.data;
  throw new Failure(exitCodes.refused, `${name}: not the keys of an etcd`, [
    'They are printed by: etcdctl get --prefix /coreos.com/network/ -w json',
  ]);
}

async function post(options: EtcdOptions, body: object): Promise<unknown> {
  const url = rangeUrl(options.url);
  const { status, text } = await exchange(url, options, JSON.stringify(body)).catch((error: unknown) => {
    if (error instanceof Failure) throw error;
    throw new Failure(
      exitCodes.refused,
      `etcd at ${options.url} can’t be read: ${foreignText(errorText(error) || errorCode(error))}`,
      [
        'Give an endpoint of it with --etcd, and its authority and your certificate with --etcd-ca, --etcd-cert and --etcd-key.',
      ],
    );
  });
  if (status === 200) return parsedJson(`the answer of etcd at ${options.url}`, text);
  throw new Failure(exitCodes.refused, `etcd at ${options.url} answered ${status}: ${foreignText(text)}`, [
    'etcd 3.4 or later is read so. Otherwise give a file with --file: etcdctl get --prefix /coreos.com/network/ -w json',
  ]);
}

function rangeUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.username !== '') {
    throw usage(
      `--etcd: "${text}" is not the URL of an endpoint, like http://10.0.0.1:2379 or https://etcd.example:2379`,
    );
  }
  return new URL('/v3/kv/range', url);
}

async function exchange(url: URL, options: EtcdOptions, body: string): Promise<WholeAnswer> {
  const { ca, cert, key } = options;
  const tls = {
    ...(ca !== undefined && { ca: pem('--etcd-ca', ca) }),
    ...(cert !== undefined && { cert: pem('--etcd-cert', cert) }),
    ...(key !== undefined && { key: pem('--etcd-key', key) }),
  };
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const asked = { method: 'POST', headers, timeout: timeoutMs, agent: false as const };
  const request = url.protocol === 'https:' ? requestHttps(url, { ...asked, ...tls }) : requestHttp(url, asked);
  request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
  request.end(body);
  return wholeAnswer(request, answerBytesMax);
}

function pem(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const found = whyUnreadable(file, error);
    if (found === undefined) throw error;
    throw new Failure(exitCodes.usage, `${option}: ${file}: ${found.why}`, found.hints);
  }
}
