/** What the masters say of themselves, and certificates that are near their end. */
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { noLeader } from '#cli/member-words.js';
import { presenceUnknown } from '#cli/words.js';
import { errorText } from '#errors/unknown-error.js';
import type { CheckFinding } from '#host/host-status.js';
import type { sublet } from '#proto/sublet.js';
import { formatDuration } from '#text/duration.js';

const dayMs = 86_400_000;
const renewDays = 30;

export type CertificateFiles = { readonly ca: string; readonly cert: string; readonly key: string };

/** @param nowMs of the wall clock */
export function certificateFindings({ ca, cert, key }: CertificateFiles, nowMs: number): readonly CheckFinding[] {
  return [...[ca, cert].map((file) => certificateFinding(file, nowMs)), keyFinding(key)];
}

function certificateFinding(file: string, nowMs: number): CheckFinding {
  const what = 'certificate';
  try {
    const { validToDate, validFromDate } = new X509Certificate(readFileSync(file));
    const left = validToDate.getTime() - nowMs;
    const until = `${file} is valid until ${validToDate.toISOString().slice(0, 10)}`;
    if (validFromDate.getTime() > nowMs) {
      return {
        severity: 'error',
        what,
        says: `${file} is valid from ${validFromDate.toISOString()} on, and the clock is before that`,
        todo: 'timedatectl',
      };
    }
    if (left <= 0) {
      return {
        severity: 'error',
        what,
        says: `${file} ended at ${validToDate.toISOString()}`,
        todo: 'sublet ca issue --help',
      };
    }
    const rest = formatDuration(left, 1);
    if (left < renewDays * dayMs) {
      return { severity: 'warning', what, says: `${until}: ${rest} left`, todo: 'sublet ca issue --help' };
    }
    return { severity: 'ok', what, says: `${until} (${rest})` };
  } catch (error) {
    return { severity: 'error', what, says: `${file}: ${errorText(error)}`, todo: 'sublet ca issue --help' };
  }
}

function keyFinding(file: string): CheckFinding {
  const what = 'key';
  try {
    const mode = statSync(file).mode & 0o777;
    if ((mode & 0o077) === 0) return { severity: 'ok', what, says: `${file} is readable by its user alone` };
    return {
      severity: 'error',
      what,
      says: `${file} has mode ${mode.toString(8).padStart(4, '0')}: other users may read it`,
      todo: `chmod 600 ${file}`,
    };
  } catch (error) {
    return { severity: 'error', what, says: `${file}: ${errorText(error)}`, todo: 'sublet ca issue --help' };
  }
}

/** The warnings that `sublet status` shows, and what is wrong with it as a whole. */
export function statusFindings(status: sublet.v1.GetStatusResponse): readonly CheckFinding[] {
  const { leader, members, name, version, warnings, agents } = status;
  const head: CheckFinding =
    leader === '' && members.length > 0
      ? {
          severity: 'error',
          what: 'leader',
          says: `none, as ${name} sees it: nothing can be changed`,
          todo: noLeader.way,
        }
      : { severity: 'ok', what: 'leader', says: `${leader || 'none yet'}, as ${name} (version ${version}) sees it` };
  const silent = agents?.silent ?? 0;
  const count: CheckFinding =
    silent > 0
      ? {
          severity: 'warning',
          what: 'agents',
          says: `${silent} of ${agents?.total ?? 0} are silent`,
          todo: 'sublet agents --silent',
        }
      : presenceUnknown(agents) > 0
        ? {
            severity: 'warning',
            what: 'agents',
            says: `${agents?.total ?? 0}; of ${presenceUnknown(agents)} it is not known whether they are silent: the leader has not said`,
            todo: 'ask the leader: sublet doctor --master HOST:PORT',
          }
        : { severity: 'ok', what: 'agents', says: `${agents?.total ?? 0}, none is silent` };
  return [
    head,
    count,
    ...warnings.map(
      ({ message, remedy, notice }): CheckFinding => ({
        severity: notice ? 'ok' : 'warning',
        what: 'status',
        says: message ?? '',
        ...(remedy && { todo: remedy }),
      }),
    ),
  ];
}
