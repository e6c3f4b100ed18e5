/** Three masters behind TLS on real ports of loopback at which hosts join; m1 alone has the key of the authority. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MasterClient } from '#api/master-client.js';
import { certificateService } from '#api/services.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { type Master, startMaster } from '#master/master.js';
import type { MasterLog } from '#master/master-log.js';
import { testOverlay, testSettings } from '#master/testing/test-masters.js';
import { makeAuthority, type PemPair, signCertificate } from '#tls/certificate/authority.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { drawJoinToken, type JoinTokenText, pinOf, secretHashOf } from '#tls/join-token-text.js';
import type { Role } from '#tls/principal.js';
import { writeTlsFiles } from '#tls/testing/test-authority.js';

/** A write that takes longer than an election makes a leader hand over: a busy disk is slower than a quiet one. */
const timing = { heartbeatMs: 50, electionMs: 1_000 };
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const once = { idempotent: false };
const callMs = 10_000;

export class JoinableTrio implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'sublet-joining-spec-'));
  readonly masters: Master[] = [];
  readonly log: string[] = [];
  readonly #clients: MasterClient[] = [];
  readonly authority: PemPair;

  private constructor(authority: PemPair) {
    this.authority = authority;
  }

  static async start(): Promise<JoinableTrio> {
    const trio = new JoinableTrio(await makeAuthority('test', 10, Date.now()));
    const ports = await freePorts(12);
    const at = (index: number): string => `127.0.0.1:${ports[index]}`;
    const founders = [0, 1, 2].map((index) => ({ name: `m${index + 1}`, peer: at(index) }));
    const say = (_fields: object, text: string): void => {
      trio.log.push(text);
    };
    const logger: MasterLog = { debug: () => {}, info: say, warn: say, error: say };
    const caKey = join(trio.folder, 'ca.key');
    writeFileSync(caKey, trio.authority.key, { mode: 0o600 });
    const started = founders.map(async ({ name, peer }, index) =>
      startMaster({
        name,
        clusterId: 'spec',
        founders,
        peerListen: peer,
        timing,
        retainEntries: 1_000,
        tls: await trio.files('master', name),
        joining: { listen: at(9 + index), caKey: index === 0 ? caKey : undefined, lifetimeMs: 7 * dayMs },
        dataDir: join(trio.folder, name),
        listen: at(3 + index),
        httpListen: at(6 + index),
        network: {
          initial: { settings: testSettings, overlays: [testOverlay] },
          file: { settings: {}, overlays: undefined },
        },
        insecure: false,
        version: 'spec',
        logger,
        onFatal: (error) => trio.log.push(`fatal: ${error.message}`),
      }),
    );
    trio.masters.push(...(await Promise.all(started)));
    await Promise.all(trio.masters.map((master) => master.ready()));
    return trio;
  }

  async files(role: Role, id: string) {
    const usages = role === 'master' ? (['server', 'client'] as const) : (['client'] as const);
    const issued = await signCertificate(this.authority, {
      commonName: 'spec',
      names: [{ type: 'url', value: `sublet://${role}/${id}` }],
      usages,
      fromMs: Date.now() - hourMs,
      toMs: Date.now() + dayMs,
    });
    return writeTlsFiles(mkdtempSync(join(this.folder, 'tls-')), { ca: this.authority.cert, ...issued });
  }

  async client(role: Role, id: string, at?: number): Promise<MasterClient> {
    const material = readTlsFiles(await this.files(role, id), [role], Date.now());
    const masters = at === undefined ? this.masters : [this.master(at)];
    const client = new MasterClient({
      masters: masters.map(({ addresses }) => addresses.api),
      timeoutMs: callMs,
      credentials: masterCredentials(material),
    });
    this.#clients.push(client);
    return client;
  }

  master(at: number): Master {
    return this.masters[at] ?? assert.fail();
  }

  /** HOST:PORT where hosts join. */
  joinsAt(at: number): string {
    return this.master(at).joinAddress ?? assert.fail();
  }

  get pin(): Buffer {
    return pinOf(new X509Certificate(this.authority.cert));
  }

  async token(
    subject: string,
    more: { readonly nodeIp?: string; readonly role?: string } = {},
  ): Promise<JoinTokenText> {
    const alice = await this.client('admin', 'alice');
    const token = drawJoinToken(this.pin);
    const request = { tokenId: token.id, secretHash: secretHashOf(token.secret), role: 'agent', subject };
    await alice.call(certificateService.createToken, { ...request, ttlMs: hourMs, uses: 1, ...more }, once);
    return token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await Promise.all(this.masters.map((master) => master.stop()));
    rmSync(this.folder, { recursive: true });
  }
}

/** PEM, on P-256. */
export function newKey(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
}
