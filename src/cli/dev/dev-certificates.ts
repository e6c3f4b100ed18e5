/** The authority and certificates of `sublet dev`, in its data folder: made once, and anew when their time is nearly over. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { type DevOptions, type DevProcess, devAdmin, devAuthority, devTls } from '#cli/dev/dev-plan.js';
import { readTlsFiles, TlsFileError, type TlsMaterial } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import type { PrincipalName } from '#tls/principal.js';

const authorityDays = 3_650;
const certificateDays = 365;
/** Certificates of which less is left are made anew. */
const leastLeftMs = 30 * 86_400_000;

/** Makes what is missing. @returns the credentials of the admin; none without TLS */
export async function devCredentials(
  options: DevOptions,
  plan: readonly DevProcess[],
  nowMs: number,
): Promise<{ readonly credentials?: ChannelCredentials }> {
  const admin = devTls(options, devAdmin);
  if (admin === undefined) return {};
  const wanted = plan.flatMap(({ kind, name, tls }) =>
    tls === undefined ? [] : [{ folder: tls, principal: { role: kind, id: name } }],
  );
  const own = { folder: admin, principal: { role: 'admin', id: 'dev' } } as const;
  const missing = [...wanted, own].filter((each) => materialIn(each, nowMs) === undefined);
  if (missing.length > 0) await make(devAuthority(options), missing, nowMs);
  const material = materialIn(own, nowMs);
  if (material === undefined) throw new RangeError(`the certificate in ${admin} is of no use though it was just made`);
  return { credentials: masterCredentials(material) };
}

type Wanted = { readonly folder: string; readonly principal: PrincipalName };

async function make(
  { folder, key }: ReturnType<typeof devAuthority>,
  missing: readonly Wanted[],
  nowMs: number,
): Promise<void> {
  // Loaded when there is something to make: it takes longer than all else here.
  const { issueInto, makeAuthorityIn, readAuthority } = await import('#cli/operator/authority-folder.js');
  const authority = existsSync(key)
    ? readAuthority(folder)
    : await makeAuthorityIn(folder, 'sublet dev', authorityDays, nowMs);
  for (const { folder: out, principal } of missing) {
    rmSync(out, { recursive: true, force: true });
    await issueInto(out, authority, principal, certificateDays, nowMs);
  }
}

/** Undefined: it is missing, can't be read, or nearly over. */
function materialIn({ folder, principal }: Wanted, nowMs: number): TlsMaterial | undefined {
  const file = (name: string): string => join(folder, `${name}.pem`);
  try {
    const material = readTlsFiles({ ca: file('ca'), cert: file('cert'), key: file('key') }, [principal.role], nowMs);
    return material.principal.endsMs - nowMs > leastLeftMs ? material : undefined;
  } catch (error) {
    if (error instanceof TlsFileError) return undefined;
    throw error;
  }
}
