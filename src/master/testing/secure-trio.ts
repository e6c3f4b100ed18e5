/** Three masters behind TLS on real ports of loopback, with an authority of their own and clients with its certificates. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { status } from '@grpc/grpc-js';
import { parseCidr } from '#address/ip.js';
import { isServiceError, MasterClient, NoMasterError } from '#api/master-client.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { errorText } from '#errors/unknown-error.js';
import { type Master, startMaster } from '#master/master.js';
import type { MasterLog } from '#master/master-log.js';
import { testOverlay, testSettings } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';
import { readTlsFiles, type TlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import type { Role } from '#tls/principal.js';
import { type CertificateRequest, TestAuthority } from '#tls/testing/test-authority.js';

/** A write that takes longer than an election makes a leader hand over: a busy disk is slower than a quiet one. */
const timing = { heartbeatMs: 50, electionMs: 1_000 };
const callMs = 5_000;

export class SecureTrio implements AsyncDisposable {
  readonly folder = mkdtempSync(joinPath(tmpdir(), 'sublet-tls-spec-'));
  readonly masters: Master[] = [];
  readonly log: string[] = [];
  /** Fields of the lines about calls that were taken. */
  readonly audit: { readonly identity: string; readonly serial: string; readonly path: string }[] = [];
  readonly #clients: MasterClient[] = [];
  readonly authority: TestAuthority;

  readonly #ports: readonly number[];

  private constructor(authority: TestAuthority, ports: readonly number[]) {
    this.authority = authority;
    this.#ports = ports;
  }

  static async start(authority?: TestAuthority): Promise<SecureTrio> {
    const ports = await freePorts(9);
    const trio = new SecureTrio(authority ?? (await TestAuthority.make()), ports);
    trio.masters.push(...(await Promise.all([0, 1, 2].map((index) => trio.#start(index)))));
    await Promise.all(trio.masters.map((master) => master.ready()));
    return trio;
  }

  /** Stops a master and starts it anew, with its data; `join`: without them, to be added to the cluster of the others. */
  async restart(index: number, { join = false } = {}): Promise<Master> {
    await this.masters[index]?.stop();
    const { name } = this.#founders[index] ?? assert.fail();
    if (join) rmSync(joinPath(this.folder, name, 'sublet'), { recursive: true });
    const master = await this.#start(index, join);
    this.masters[index] = master;
    if (!join) await master.ready();
    return master;
  }

  get #founders() {
    return [0, 1, 2].map((index) => ({ name: `m${index + 1}`, peer: this.#at(index) }));
  }

  #at(index: number): string {
    return `127.0.0.1:${this.#ports[index]}`;
  }

  async #start(index: number, joins = false): Promise<Master> {
    const { name, peer } = this.#founders[index] ?? assert.fail();
    const say = (fields: object, text: string): void => {
      this.log.push(text);
      if (!('identity' in fields && 'serial' in fields && 'path' in fields)) return;
      const { identity, serial, path } = fields;
      this.audit.push({ identity: String(identity), serial: String(serial), path: String(path) });
    };
    const logger: MasterLog = { debug: () => {}, info: say, warn: say, error: say };
    const others = this.#founders.filter((founder) => founder.name !== name).map((founder) => founder.peer);
    return startMaster({
      nodeIps: [parseCidr('10.0.0.0/8')],
      name,
      clusterId: 'spec',
      peerListen: peer,
      timing,
      retainEntries: 1_000,
      ...(joins ? { founders: [], join: others } : { founders: this.#founders }),
      tls: await this.authority.files(joinPath(this.folder, name, 'tls'), `sublet://master/${name}`),
      dataDir: joinPath(this.folder, name),
      listen: this.#at(3 + index),
      httpListen: this.#at(6 + index),
      network: {
        initial: { settings: testSettings, overlays: [testOverlay] },
        file: { settings: {}, overlays: undefined },
      },
      insecure: false,
      version: 'spec',
      logger,
      onFatal: (error) => say({}, `fatal: ${name}: ${error.message}`),
    });
  }

  /** Of one of the masters, by name. */
  filesOf(name: string): TlsFiles {
    const part = (file: string): string => joinPath(this.folder, name, 'tls', file);
    return { ca: part('ca.pem'), cert: part('cert.pem'), key: part('key.pem') };
  }

  files(uri: string, request: CertificateRequest = {}): Promise<TlsFiles> {
    return this.authority.files(mkdtempSync(joinPath(this.folder, 'client-')), uri, request);
  }

  /** A client with a certificate of this role and id, of all masters. */
  async client(
    role: Role,
    id: string,
    masters = this.masters,
    request: CertificateRequest = {},
  ): Promise<MasterClient> {
    const material = readTlsFiles(await this.files(`sublet://${role}/${id}`, request), [role], Date.now());
    const client = new MasterClient({
      masters: masters.map(({ addresses }) => addresses.api),
      timeoutMs: callMs,
      credentials: masterCredentials(material),
    });
    this.#clients.push(client);
    return client;
  }

  /** Resolves once every master has applied all that one of them has. */
  settled(): Promise<void> {
    const { masters } = this;
    return until('all masters have applied it', () =>
      masters.every(({ services }) => services.plan.ipam.revision === this.revision),
    );
  }

  get revision(): number {
    return Math.max(...this.masters.map(({ services }) => services.plan.ipam.revision));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await Promise.all(this.masters.map((master) => master.stop()));
    rmSync(this.folder, { recursive: true });
  }
}

/** The status of a refusal, and its text. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'OK';
  } catch (error) {
    if (error instanceof NoMasterError) return `UNAVAILABLE: ${error.message}`;
    if (!isServiceError(error)) return errorText(error);
    return `${status[error.code]}: ${error.details}`;
  }
}
