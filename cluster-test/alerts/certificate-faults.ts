/** Certificates of real masters that come to their end, and files that can't be used. */
import { X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AlertFault, shows } from '#cluster-test/alerts/alert-site.js';
import { fetched } from '#cluster-test/alerts/recording.js';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';
import { issueCertificate, makeAuthority, type PemPair } from '#tls/certificate/authority.js';
import type { TlsFiles } from '#tls/certificate/tls-files.js';

const dayMs = 86_400_000;
const lifeDays = 90;
const authorityDays = 365;
/** Its alert comes 30 days before the end. */
const authorityLeftDays = 20;

/** One master with a certificate. */
export class CertificateFaults implements AsyncDisposable {
  readonly #masters: Masters;
  readonly #master: MasterProcess;
  readonly #authority: PemPair;
  readonly #files: TlsFiles;
  readonly #remove: () => void;

  private constructor(
    masters: Masters,
    master: MasterProcess,
    authority: PemPair,
    files: TlsFiles,
    remove: () => void,
  ) {
    this.#masters = masters;
    this.#master = master;
    this.#authority = authority;
    this.#files = files;
    this.#remove = remove;
  }

  static async start(): Promise<CertificateFaults> {
    const { folder, remove } = testFolder('certificates');
    const authority = await makeAuthority('test', authorityDays, Date.now());
    const tls = join(folder, 'tls');
    mkdirSync(tls);
    const files = { ca: join(tls, 'ca.pem'), cert: join(tls, 'cert.pem'), key: join(tls, 'key.pem') };
    await put(files, authority, 0);
    const flags = ['--tls-ca', files.ca, '--tls-cert', files.cert, '--tls-key', files.key];
    const masters = await Masters.start({ count: 1, config: benchConfig(), folder, flags });
    const [master] = masters.masters;
    if (master === undefined) throw new RangeError('no master was started');
    return new CertificateFaults(masters, master, authority, files, remove);
  }

  /** With so many days of its 90 left. */
  aged(title: string, daysLeft: number, alerts: readonly string[]): AlertFault {
    return this.#fault(title, alerts, {
      bringAbout: () => this.#replaced(this.#authority, lifeDays - daysLeft),
    });
  }

  /** The last days of an authority, and of a certificate beside: of both at once. */
  allEnding(): AlertFault {
    const alerts = ['SubletCertificateExpiring', 'SubletCertificateEnding', 'SubletAuthorityExpiring'];
    return this.#fault('a certificate and its authority come to their end', alerts, {
      bringAbout: async () => this.#replaced(await this.#oldAuthority(), lifeDays - 12),
    });
  }

  authorityEnding(): AlertFault {
    return this.#fault('an authority comes to its end', ['SubletAuthorityExpiring'], {
      // Its life is cut to what is left of the authority's, and has just begun.
      bringAbout: async () => this.#replaced(await this.#oldAuthority(), 0),
    });
  }

  unusable(): AlertFault {
    return this.#fault('a key is replaced without its certificate', ['SubletCertificateReloadFailed'], {
      bringAbout: async () => {
        const { key } = await issued(this.#authority, 0);
        writeFileSync(this.#files.key, key, { mode: 0o600 });
        await shows(this.#master.http, /^sublet_certificate_reload_failed 1$/m);
      },
    });
  }

  #fault(title: string, alerts: readonly string[], { bringAbout }: Pick<AlertFault, 'bringAbout'>): AlertFault {
    const { http } = this.#master;
    return {
      title,
      targets: () => [fetched('sublet-master', http)],
      fires: () => alerts.map((alertname) => ({ alertname, instance: http })),
      bringAbout,
      mend: () => this.#replaced(this.#authority, 0),
    };
  }

  /** As if issued so many days ago. Resolves once it is in use. */
  async #replaced(authority: PemPair, agedDays: number): Promise<void> {
    const endsS = await put(this.#files, authority, agedDays);
    const { http } = this.#master;
    await shows(http, new RegExp(`^sublet_certificate_expires_seconds\\{certificate="own"\\} ${endsS}$`, 'm'));
    await shows(http, /^sublet_certificate_reload_failed 0$/m);
  }

  /** Issued long ago. */
  #oldAuthority(): Promise<PemPair> {
    return makeAuthority('test', authorityDays, Date.now() - (authorityDays - authorityLeftDays) * dayMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#masters[Symbol.asyncDispose]();
    this.#remove();
  }
}

function issued(authority: PemPair, agedDays: number): Promise<PemPair> {
  return issueCertificate(authority, { role: 'master', id: 'm1' }, lifeDays, Date.now() - agedDays * dayMs);
}

/** @returns when the certificate ends, in seconds since 1970 */
async function put(files: TlsFiles, authority: PemPair, agedDays: number): Promise<number> {
  const { cert, key } = await issued(authority, agedDays);
  for (const [file, text] of [
    [files.ca, authority.cert],
    [files.cert, cert],
    [files.key, key],
  ] as const) {
    writeFileSync(file, text, { mode: 0o600 });
  }
  return Date.parse(new X509Certificate(cert).validTo) / 1_000;
}
