/** The API's enums, times and numbers as people read them. */
import { type TimestampMessage, timestampMs } from '#api/timestamp.js';
import type { Cell } from '#cli/table.js';
import { sublet } from '#proto/sublet.js';
import { formatDuration } from '#text/duration.js';

const { BlockState, LookupKind, MemberRole, OverlayStatus, PresenceState } = sublet.v1;

/** Ms since 1970; undefined for a time that is not set. */
export function milliseconds(time: TimestampMessage | null | undefined): number | undefined {
  return time === null || time === undefined ? undefined : timestampMs(time);
}

/** How long ago, in at most two units: `5m`, `2h30m`; under a second `now`. */
export function ago(time: TimestampMessage | null | undefined, now: number): string {
  const at = milliseconds(time);
  if (at === undefined) return '';
  const past = now - at;
  return past < 1_000 ? 'now' : formatDuration(past - (past % 1_000), 2);
}

/** Local time of day for today, else the date with it: `14:03:07`, `2025-06-01 14:03:07`. */
export function clockTime(time: TimestampMessage | null | undefined, now: number): string {
  const at = milliseconds(time);
  if (at === undefined) return '';
  const local = (ms: number): string => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString();
  const [day = '', clock = ''] = local(at).split('T');
  return local(now).startsWith(day) ? clock.slice(0, 8) : `${day} ${clock.slice(0, 8)}`;
}

export function role(of: sublet.v1.MemberRole | null | undefined): string {
  switch (of) {
    case MemberRole.MEMBER_ROLE_LEADER:
      return 'leader';
    case MemberRole.MEMBER_ROLE_FOLLOWER:
      return 'follower';
    case MemberRole.MEMBER_ROLE_CANDIDATE:
      return 'candidate';
    case MemberRole.MEMBER_ROLE_LEARNER:
      return 'learner';
    default:
      return '-';
  }
}

type AgentCounts = sublet.v1.AgentCounts.$Properties | null | undefined;

/** Of how many agents a status does not say whether they are live: the leader alone knows it, and has not answered. */
export function presenceUnknown(agents: AgentCounts): number {
  const { total, live, silent, awaited } = agents ?? {};
  return Math.max(0, (total ?? 0) - (live ?? 0) - (silent ?? 0) - (awaited ?? 0));
}

type Presence = sublet.v1.Presence.$Properties | null | undefined;

/** `live`, or `silent 5m`. */
export function presence(of: Presence, now: number): Cell {
  switch (of?.state) {
    case PresenceState.PRESENCE_STATE_LIVE:
      return { text: 'live', style: 'green' };
    case PresenceState.PRESENCE_STATE_SILENT:
      return { text: `silent ${ago(of.silentSince, now)}`.trimEnd(), style: 'yellow' };
    default:
      return '-';
  }
}

type Revocation = sublet.v1.Revocation.$Properties | null | undefined;

/** Whether all certificates are, those that are issued later included. */
export function isRevoked(revocation: Revocation): boolean {
  return revocation != null && revocation.acceptedFrom == null;
}

/** `revoked 5m ago by admin/alice@10.0.0.9`; undefined: nothing is revoked. */
export function revocationCell(revocation: Revocation, now: number): Exclude<Cell, string> | undefined {
  if (revocation == null) return undefined;
  const { since, by, acceptedFrom } = revocation;
  const when = `revoked ${clockTime(since, now)} by ${by}`;
  if (acceptedFrom == null) return { text: when, style: 'red' };
  return { text: `${when}, but for those that begin ${clockTime(acceptedFrom, now)} or later`, style: 'yellow' };
}

type State = sublet.v1.OverlayState.$Properties | null | undefined;

/**
 * How the overlay is on the host: `ok`, `configuring`, `plan only`, `failed: …`; `-` before the host has reported. Of an
 * agent that is silent it is what it reported last: `was ok`.
 */
export function overlayState(of: State, presence?: Presence): Cell {
  const cell = reportedState(of);
  if (cell === '-' || presence?.state !== PresenceState.PRESENCE_STATE_SILENT) return cell;
  return { text: `was ${typeof cell === 'string' ? cell : cell.text}`, style: 'yellow' };
}

function reportedState(of: State): Cell {
  switch (of?.status) {
    case OverlayStatus.OVERLAY_STATUS_OK:
      return { text: 'ok', style: 'green' };
    case OverlayStatus.OVERLAY_STATUS_FAILED:
      return { text: of.error ? `failed: ${of.error}` : 'failed', style: 'red' };
    case OverlayStatus.OVERLAY_STATUS_CONFIGURING:
      return { text: 'configuring', style: 'yellow' };
    case OverlayStatus.OVERLAY_STATUS_PLANNED:
      return { text: 'plan only', style: 'yellow' };
    default:
      return '-';
  }
}

/** Of an overlay: whether blocks of it are given to agents. */
export function overlayUse({ enabled, draining }: sublet.v1.Overlay.$Properties): 'enabled' | 'draining' | 'disabled' {
  return enabled ? 'enabled' : draining ? 'draining' : 'disabled';
}

export function blockState(of: sublet.v1.BlockState | null | undefined): string {
  switch (of) {
    case BlockState.BLOCK_STATE_HELD:
      return 'held';
    case BlockState.BLOCK_STATE_RESERVED:
      return 'reserved';
    case BlockState.BLOCK_STATE_EXCLUDED:
      return 'excluded';
    case BlockState.BLOCK_STATE_QUARANTINED:
      return 'quarantined';
    case BlockState.BLOCK_STATE_FREE:
      return 'free';
    default:
      return '-';
  }
}

export function lookupKind(of: sublet.v1.LookupKind | null | undefined): string {
  switch (of) {
    case LookupKind.LOOKUP_KIND_OVERLAY:
      return 'an address of an overlay';
    case LookupKind.LOOKUP_KIND_VTEP:
      return 'a tunnel endpoint (VTEP)';
    case LookupKind.LOOKUP_KIND_NODE:
      return 'the underlay address of a node';
    default:
      return 'in no overlay, no VTEP subnet, and no node’s address';
  }
}

/** 65536 → `65,536`: three digits at a time. The largest that the API counts to stands for all beyond. */
export function count(of: number | null | undefined): string {
  const value = of ?? 0;
  return value >= Number.MAX_SAFE_INTEGER ? '≥ 2^53' : value.toLocaleString('en-US');
}

/** `1 agent`, `2 agents`. */
export function plural(of: number, noun: string): string {
  return `${count(of)} ${noun}${of === 1 ? '' : 's'}`;
}

/** The first `most` of a list whose whole length is `total`: `a, b and 3 more`. */
export function listed(of: readonly string[], total: number, most: number): string {
  const shown = of.slice(0, most);
  const more = total - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${count(more)} more` : shown.join(', ');
}

/** An argument as it can be pasted into a shell. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_.,:=@/+-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
