/**
 * The certificate of a process while it runs. Its three files are looked at every few seconds and taken into use together
 * when they have changed, without a restart. Files that can't be used change nothing: the certificate in use stays, and
 * the reason is kept for logs, status and metrics.
 */
import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { SecureContext } from 'node:tls';
import { fingerprintOf } from '#tls/certificate/certificate.js';
import { readTlsFiles, TlsFileError, type TlsFiles, type TlsMaterial, timeText } from '#tls/certificate/tls-files.js';
import { formatPrincipal, type Role } from '#tls/principal.js';

/** Calls `run` once, `delayMs` or more from now; the returned function cancels. */
export type ReloadTimer = { after(delayMs: number, run: () => void): () => void };

export type ReloadLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

export type CertificateReloaderOptions = {
  readonly files: TlsFiles;
  /** The roles that this process may have. */
  readonly allowed: readonly Role[];
  readonly timer: ReloadTimer;
  /** Ms since 1970, for the validity of certificates. */
  readonly wallClock?: () => number;
  readonly log: ReloadLog;
};

/** How much is left of the life of a certificate: a third or less, a sixth or less, nothing. */
export type CertificateAge = 'good' | 'aging' | 'ending' | 'ended';

/** What an operator should do about the certificate. */
export type CertificateWarning = { readonly message: string; readonly remedy: string };

/** How often the files are looked at, ms. */
export const lookEveryMs = 5_000;

/** What status and metrics say of the certificate in use. */
export type CertificateReport = {
  readonly material: Pick<TlsMaterial, 'principal' | 'authorityEndsMs'>;
  readonly age: CertificateAge;
  /** Why the files on disk are not in use; empty: they are. */
  readonly problem: string;
  warnings(): readonly CertificateWarning[];
};

/** The context of the certificate in use, looked up at each handshake. */
class CurrentContext implements SecureContext {
  readonly #material: () => TlsMaterial;

  constructor(material: () => TlsMaterial) {
    this.#material = material;
  }

  get context(): unknown {
    return this.#material().context.context;
  }
}

export class CertificateReloader implements CertificateReport {
  /** For `masterCredentials`: later connections are made with the certificate in use by then. */
  readonly context: SecureContext = new CurrentContext(() => this.#material);
  readonly #options: CertificateReloaderOptions;
  readonly #listeners = new Set<(material: TlsMaterial) => void>();
  #material: TlsMaterial;
  /** Of the files that were read last. */
  #marks: string;
  #problem = '';
  #age: CertificateAge = 'good';
  #cancel: (() => void) | undefined;
  #stopped = false;

  /** Reads the files. @throws TlsFileError */
  constructor(options: CertificateReloaderOptions) {
    this.#options = options;
    const { files, log } = options;
    this.#marks = everyFile(files).map(marksNow).join();
    this.#material = this.#read();
    for (const warning of this.#material.warnings) log.warn({}, warning);
    this.#noteAge();
  }

  /** The certificate in use. */
  get material(): TlsMaterial {
    return this.#material;
  }

  get problem(): string {
    return this.#problem;
  }

  get age(): CertificateAge {
    const { beginsMs, endsMs } = this.#material.principal;
    const leftMs = endsMs - this.#now();
    if (leftMs < 0) return 'ended';
    const lifeMs = endsMs - beginsMs;
    if (leftMs <= lifeMs / 6) return 'ending';
    return leftMs <= lifeMs / 3 ? 'aging' : 'good';
  }

  /** For the status of the process. */
  warnings(): readonly CertificateWarning[] {
    const { age } = this;
    const reload = this.#problem === '' ? [] : [{ message: reloadText(this.#problem), remedy: reloadRemedy }];
    return age === 'good' ? reload : [{ message: this.#ageText(age), remedy: renewRemedy }, ...reload];
  }

  /** Calls `listener` with each certificate that comes into use later. Returns how to end that. */
  onReload(listener: (material: TlsMaterial) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the files again and again, until `stop`. */
  start(): this {
    this.#cancel = this.#options.timer.after(lookEveryMs, () => {
      void this.look().then(() => {
        if (!this.#stopped) this.start();
      });
    });
    return this;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#listeners.clear();
  }

  /** Looks at the files once, and at the life that is left of the certificate in use. */
  async look(): Promise<void> {
    const marks = (await Promise.all(everyFile(this.#options.files).map(marksOf))).join();
    // A problem may pass without another change of the files: a certificate that is not valid yet, a lack of descriptors.
    if (!this.#stopped && (marks !== this.#marks || this.#problem !== '')) this.#reload(marks);
    this.#noteAge();
  }

  #reload(marks: string): void {
    const { log } = this.#options;
    // Files that change again while they are read have other marks at the next look.
    this.#marks = marks;
    try {
      const material = this.#read();
      const { role, id } = this.#material.principal;
      const next = material.principal;
      if (next.role !== role || next.id !== id) {
        throw new TlsFileError(
          `tls.cert: ${this.#options.files.cert} is of ${formatPrincipal(next)}, and this process runs as ${role}/${id}`,
        );
      }
      this.#problem = '';
      if (isSame(material, this.#material)) return;
      const former = this.#material;
      this.#material = material;
      for (const warning of material.warnings) log.warn({}, warning);
      const { serial, endsMs } = next;
      if (!material.cert.equals(former.cert)) {
        log.info(
          { serial, ends: timeText(endsMs) },
          `tls: the new certificate is in use, valid to ${timeText(endsMs)}`,
        );
      }
      if (!material.ca.equals(former.ca)) {
        log.info(
          {},
          `tls: these authorities are trusted from now on: ${material.authorities.map(fingerprintOf).join(', ')}`,
        );
      }
      for (const listener of this.#listeners) listener(material);
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error;
      if (this.#problem === error.message) return;
      this.#problem = error.message;
      log.error({}, `${reloadText(error.message)}; ${reloadRemedy}`);
    }
  }

  #read(): TlsMaterial {
    const { files, allowed } = this.#options;
    return readTlsFiles(files, allowed, this.#now());
  }

  #now(): number {
    const { wallClock = Date.now } = this.#options;
    return wallClock();
  }

  /** Logs each step of aging once. */
  #noteAge(): void {
    const { age } = this;
    if (age === this.#age) return;
    this.#age = age;
    if (age === 'good') return;
    const { log } = this.#options;
    const line = `${this.#ageText(age)}: ${renewRemedy}`;
    if (age === 'aging') log.warn({}, line);
    else log.error({}, line);
  }

  #ageText(age: Exclude<CertificateAge, 'good'>): string {
    const { endsMs } = this.#material.principal;
    const certificate = `the certificate of ${formatPrincipal(this.#material.principal)} (${this.#options.files.cert})`;
    if (age === 'ended') return `${certificate} ended at ${timeText(endsMs)}: other processes refuse it`;
    const part = age === 'aging' ? 'a third' : 'a sixth';
    return `${certificate} ends at ${timeText(endsMs)}: ${part} of its life or less is left`;
  }
}

const renewRemedy =
  'put a new certificate and its key in place of the files of tls; they are taken into use within 5 s';
const reloadRemedy = 'the certificate in use stays; see to the files';

function reloadText(problem: string): string {
  return `the files of tls have changed and can't be used: ${problem}`;
}

function everyFile({ ca, cert, key }: TlsFiles): readonly string[] {
  return [ca, cert, key];
}

/** Of a file that is missing, or that may not be looked at: reading it says why. */
const noMarks = 'none';

type Marks = { readonly dev: bigint; readonly ino: bigint; readonly size: bigint; readonly ctimeNs: bigint };

/** Differ after every write of a file, and every exchange of it or of a link that leads to it. */
function marksText({ dev, ino, size, ctimeNs }: Marks): string {
  return `${dev}-${ino}-${size}-${ctimeNs}`;
}

function isSame(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.ca.equals(b.ca) && a.cert.equals(b.cert) && a.key.equals(b.key);
}

function marksNow(file: string): string {
  try {
    return marksText(statSync(file, { bigint: true }));
  } catch {
    return noMarks;
  }
}

async function marksOf(file: string): Promise<string> {
  try {
    return marksText(await stat(file, { bigint: true }));
  } catch {
    return noMarks;
  }
}
