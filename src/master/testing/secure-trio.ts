/** Three masters behind TLS on real ports of loopback, with an authority of their own and clients with its certificates. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { isServiceError, MasterClient } from '#api/master-client.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { errorText } from '#errors/unknown-error.js';
import { type Master, startMaster } from '#master/master.js';
import type { MasterLog } from '#master/master-log.js';
import { testOverlay, testSettings } from '#master/testing/test-masters.js';
import { masterCredentials } from '#tls/client-credentials.js';
import type { Role } from '#tls/principal.js';
import { type CertificateRequest, TestAuthority } from '#tls/testing/test-authority.js';
import { readTlsFiles, type TlsFiles } from '#tls/tls-files.js';

const quick = { heartbeatMs: 30, electionMs: 300 };
const callMs = 5_000;

export class SecureTrio implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'sublet-tls-spec-'));
  readonly masters: Master[] = [];
  readonly log: string[] = [];
  readonly #clients: MasterClient[] = [];
  readonly authority: TestAuthority;

  private constructor(authority: TestAuthority) {
    this.authority = authority;
  }

  static async start(authority?: TestAuthority): Promise<SecureTrio> {
    const trio = new SecureTrio(authority ?? (await TestAuthority.make()));
    const ports = await freePorts(9);
    const at = (index: number): string => `127.0.0.1:${ports[index]}`;
    const founders = [0, 1, 2].map((index) => ({ name: `m${index + 1}`, peer: at(index) }));
    const say = (_fields: object, text: string): void => {
      trio.log.push(text);
    };
    const logger: MasterLog = { debug: () => {}, info: say, warn: say, error: say };
    const started = founders.map(async ({ name, peer }, index) =>
      startMaster({
        ...{ name, clusterId: 'spec', founders, peerListen: peer, timing: quick, retainEntries: 1_000 },
        tls: await trio.authority.files(join(trio.folder, name, 'tls'), `sublet://master/${name}`),
        dataDir: join(trio.folder, name),
        listen: at(3 + index),
        httpListen: at(6 + index),
        network: {
          founding: { settings: testSettings, overlays: [testOverlay] },
          file: { settings: {}, overlays: undefined },
        },
        ...{ insecure: false, version: 'spec', logger, onFatal: (error) => trio.log.push(`fatal: ${error.message}`) },
      }),
    );
    trio.masters.push(...(await Promise.all(started)));
    await Promise.all(trio.masters.map((master) => master.ready()));
    return trio;
  }

  /** Of one of the masters, by name. */
  filesOf(name: string): TlsFiles {
    const part = (file: string): string => join(this.folder, name, 'tls', file);
    return { ca: part('ca.pem'), cert: part('cert.pem'), key: part('key.pem') };
  }

  files(uri: string, request: CertificateRequest = {}): Promise<TlsFiles> {
    return this.authority.files(mkdtempSync(join(this.folder, 'client-')), uri, request);
  }

  /** A client with a certificate of this role and id, of all masters. */
  async client(role: Role, id: string, masters = this.masters): Promise<MasterClient> {
    const material = readTlsFiles(await this.files(`sublet://${role}/${id}`), [role], Date.now());
    const client = new MasterClient({
      ...{ masters: masters.map(({ addresses }) => addresses.api), timeoutMs: callMs },
      credentials: masterCredentials(material),
    });
    this.#clients.push(client);
    return client;
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
    if (!isServiceError(error)) return errorText(error);
    return `${status[error.code]}: ${error.details}`;
  }
}
