/** How a process without certificate files comes to have them: from an earlier start, or by a token. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { JoinAnswerError, joinCluster } from '#api/join-client.js';
import { isServiceError, MasterClient, NoMasterError } from '#api/master-client.js';
import { certificateService } from '#api/services.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { masterFailure } from '#cli/operator/refusal-words.js';
import { TlsFolder } from '#cli/operator/tls-folder.js';
import { errorText } from '#errors/unknown-error.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { certificatesIn, isIssuedBy, principalOf } from '#tls/certificate/certificate.js';
import type { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { CertificateRenewal, type RenewalTimer } from '#tls/certificate/certificate-renewal.js';
import { readTlsFiles, TlsFileError, type TlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { JoinTokenError, parseJoinToken } from '#tls/join-token-text.js';
import { PinError } from '#tls/pinned-authority.js';
import { formatPrincipal, type Principal } from '#tls/principal.js';

export type JoiningProcess = {
  readonly role: 'agent' | 'master';
  /** Undefined: the one that the token is for. */
  readonly id: string | undefined;
  /** Where the certificate is kept. */
  readonly folder: string;
  /** The text of a token; undefined: none was given. */
  readonly join: string | undefined;
  /** HOST:PORT each, where hosts join. */
  readonly masters: readonly string[];
};

type JoiningLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
};

/** Masters may come up later than this host. */
const retryMs = 2_000;
const triesMax = 150;

/** The files in the folder, of this start or an earlier one; undefined: there are none, and no token. @throws Failure */
export async function joinedFiles(process: JoiningProcess, log: JoiningLog): Promise<TlsFiles | undefined> {
  const folder = TlsFolder.at(process.folder);
  if (folder.joined && (process.join === undefined || isOfUse(folder, process))) {
    if (process.join !== undefined) {
      log.info({ folder: folder.path }, `the token is not used: ${folder.path} has a certificate that is valid`);
    }
    return folder.files;
  }
  if (process.join === undefined) return undefined;
  const token = tokenOf(process.join);
  if (folder.joined) folder.forget();
  const { role, id, masters } = process;
  const key = folder.key();
  for (let tries = 1; ; tries++) {
    try {
      const joined = await joinCluster({ token, masters, role, id, key });
      folder.put(joined);
      log.info(
        { folder: folder.path },
        `joined as ${formatPrincipal(joined.principal)}; its certificate is in ${folder.path}`,
      );
      return folder.files;
    } catch (error) {
      if (!(error instanceof NoMasterError) || tries === triesMax) throw joinFailure(error);
      if (tries === 1) {
        const { message, hints } = noMasterFailure(error);
        log.warn({}, `can't join yet, and will try again: ${[message.replaceAll(/\n */g, '; '), ...hints].join('. ')}`);
      }
      await new Promise<void>((resolve) => systemClock.after(retryMs, resolve));
    }
  }
}

type RenewRequest = { readonly csr: Uint8Array; readonly role: string; readonly subject: string };
type Renewed = { readonly certificate: string; readonly authorities: string };

export type RenewingProcess = {
  readonly certificate: CertificateReloader;
  readonly folder: TlsFolder;
  /** Has a master certify the key, for the identity of the certificate in use. */
  readonly ask: (request: RenewRequest) => Promise<Renewed>;
  readonly timer: RenewalTimer;
  /** Ms since 1970. */
  readonly wallClock: () => number;
  readonly log: JoiningLog;
};

/** Renews the certificate in the folder, with the key that is there. */
export function renewal(process: RenewingProcess): CertificateRenewal {
  const { certificate, timer, wallClock, log } = process;
  return new CertificateRenewal({
    principal: () => certificate.material.principal,
    renew: () => renewNow(process),
    timer,
    wallClock,
    random: Math.random,
    log,
  });
}

/** Renews the certificate at once, and takes it into use. @throws JoinAnswerError, and what `ask` rejects with */
export async function renewNow({
  certificate,
  folder,
  ask,
  wallClock,
}: Pick<RenewingProcess, 'certificate' | 'folder' | 'ask' | 'wallClock'>): Promise<void> {
  const holder = certificate.material.principal;
  const key = folder.key();
  const renewed = await ask({ csr: await makeRequest(key), role: holder.role, subject: holder.id });
  const fault = faultOfRenewed(renewed, holder, key, wallClock());
  if (fault !== undefined) {
    throw new JoinAnswerError(`a master has answered with a certificate that is of no use: ${fault}`);
  }
  folder.put(renewed);
  await certificate.look();
}

/** Why the files in use must not be replaced by what a master has answered: a start with it would fail. Undefined: they may. */
function faultOfRenewed(
  { certificate, authorities }: Renewed,
  holder: Principal,
  key: string,
  nowMs: number,
): string | undefined {
  try {
    const parsed = new X509Certificate(certificate);
    const { role, id, beginsMs, endsMs } = principalOf(parsed.raw);
    if (role !== holder.role || id !== holder.id) return `it is of ${role}/${id}`;
    if (!parsed.checkPrivateKey(createPrivateKey(key))) return 'it is of another key';
    if (nowMs < beginsMs || nowMs > endsMs) return 'it is not valid now, by the clock of this host';
    const trusted = certificatesIn(Buffer.from(authorities));
    return isIssuedBy(parsed, trusted) ? undefined : 'it is of no authority that it comes with';
  } catch (error) {
    // The parsers have no error types of their own.
    return errorText(error);
  }
}

/** Asks at the API of `masters`, HOST:PORT each, over a connection made with the certificate in use. */
export async function renewAt(
  masters: readonly string[],
  certificate: CertificateReloader,
  request: RenewRequest,
): Promise<Renewed> {
  const client = new MasterClient({ masters, credentials: masterCredentials(certificate) });
  try {
    return await client.call(certificateService.renew, request, { idempotent: true });
  } finally {
    client.close();
  }
}

async function makeRequest(key: string): Promise<Buffer> {
  const { makeCertificateRequest } = await import('#tls/certificate/certificate-request.js');
  return makeCertificateRequest(key);
}

/** A host that was off for longer than its certificate was valid joins anew, where it is given a token. */
function isOfUse({ files }: TlsFolder, { role }: JoiningProcess): boolean {
  try {
    readTlsFiles(files, [role]);
    return true;
  } catch (error) {
    if (error instanceof TlsFileError) return false;
    throw error;
  }
}

/** @throws Failure */
function tokenOf(text: string) {
  try {
    return parseJoinToken(text);
  } catch (error) {
    if (error instanceof JoinTokenError) throw usage(`--join: ${error.message}`);
    throw error;
  }
}

function joinFailure(error: unknown): unknown {
  if (error instanceof PinError || error instanceof JoinAnswerError) {
    return new Failure(exitCodes.refused, error.message);
  }
  if (error instanceof NoMasterError) return noMasterFailure(error);
  return isServiceError(error) ? masterFailure(error) : error;
}

function noMasterFailure(error: NoMasterError): Failure {
  const { message, exitCode } = masterFailure(error);
  return new Failure(exitCode, message, [
    'Name hosts of masters with --master, and the port at which they have hosts join with --join-port',
  ]);
}
