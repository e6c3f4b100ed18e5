/**
 * Turns commands into what the log holds (sublet.store.v1.Command), and back. A kind that this version does not know is
 * an error of its own: a newer member proposed it, and this one must stop rather than skip it.
 */

import { ipBytes } from '#address/ip-bytes.js';
import { assertNever } from '#errors/invariant.js';
import { tokenActionOf, toTokenAction } from '#ipam/codec/join-token-codec.js';
import { masterChangeOf, toMasterChange } from '#ipam/codec/master-change-codec.js';
import { revocationActionOf, toRevocationAction } from '#ipam/codec/revocation-codec.js';
import {
  cidr4Of,
  cidr6Of,
  cidrOf,
  ipOf,
  ipv4Of,
  networkConfigOf,
  optional,
  overlayOf,
  overlayStatusOf,
  present,
  reading,
  reservedForIn,
  settingsOf,
  toCidr,
  toCidrMaybe,
  toNetworkConfig,
  toOverlay,
  toReservedFor,
  toSettings,
  toStatus,
} from '#ipam/codec/wire.js';
import type { Action, AdoptionProof, Command, HolderJudgement, Register } from '#ipam/commands/command.js';
import { parseAgentId, parseInstanceId, parseRunId } from '#ipam/identity.js';
import {
  parseHostname,
  parseNetworkConfig,
  parseNodeIp,
  parseSequence,
  parseStatusError,
} from '#ipam/registration-fields.js';
import { sublet } from '#proto/sublet.js';

const store = sublet.store.v1;

/** A command of a kind that this version does not know: a newer member proposed it. */
export class UnknownCommandError extends Error {
  override readonly name = 'UnknownCommandError';
}

export function encodeCommand(command: Command): Uint8Array {
  // The message is new and not shared, so it is added to rather than copied: this is done for every registration.
  const stored = toAction(command);
  stored.wallTimeMs = command.wallTime;
  stored.by = command.by;
  stored.expectedRevision = command.expectedRevision ?? null;
  return store.Command.encode(stored).finish();
}

/** @throws UnknownCommandError; RecordError for bytes that are no command. */
export function decodeCommand(bytes: Uint8Array): Command {
  return reading('a command', () => store.Command.decode(bytes), commandOf);
}

function commandOf(stored: sublet.store.v1.Command): Command {
  const { wallTimeMs: wallTime, by, expectedRevision } = stored;
  // The action is new and not shared, so it is added to rather than copied: this is done for every log entry.
  return Object.assign(actionOf(stored), { wallTime, by, expectedRevision: optional(expectedRevision) });
}

function toAction(action: Action): sublet.store.v1.Command.$Properties {
  switch (action.kind) {
    case 'configure-network':
      return {
        configureNetwork: { settings: toSettings(action.settings), overlays: action.overlays.map(toOverlay) },
      };
    case 'update-network': {
      const { vtepMtu = null, quarantineMs = null } = action;
      const reclaim = action.reclaim ? { ttlMs: action.reclaim.ttlMs ?? null } : null;
      const subnets = { vtepSubnet: toCidrMaybe(action.vtepSubnet), vtepSubnet6: toCidrMaybe(action.vtepSubnet6) };
      return { updateNetwork: { ...subnets, vtepMtu, quarantineMs, reclaim } };
    }
    case 'add-overlay':
      return { addOverlay: { overlay: toOverlay(action.overlay), fromConfig: action.source === 'config' } };
    case 'update-overlay': {
      const subnets = { subnet: toCidrMaybe(action.subnet), subnet6: toCidrMaybe(action.subnet6) };
      return { updateOverlay: { name: action.name, enabled: action.enabled ?? null, ...subnets } };
    }
    case 'drain-overlay':
      return { drainOverlay: { name: action.name } };
    case 'return-overlays':
      return {
        returnOverlays: { agentId: action.agentId, epoch: action.epoch, overlays: [...action.overlays] },
      };
    case 'remove-overlay':
      return { removeOverlay: { name: action.name } };
    case 'register':
      return { register: toRegister(action) };
    case 'report-status': {
      const overlays = action.overlays.map((report) => ({ ...report, status: toStatus(report.status) }));
      return { reportStatus: { agentId: action.agentId, epoch: action.epoch, overlays } };
    }
    case 'leave':
      return { leave: { agentId: action.agentId, epoch: action.epoch } };
    case 'release':
      return {
        release: { agentIds: [...action.agentIds], force: action.force, holders: toJudgements(action.holders) },
      };
    case 'replace-agent': {
      const { agentId, successor, off } = action;
      return { replaceAgent: { agentId, successor, off, holders: toJudgements(action.holders) } };
    }
    case 'expire':
      return { expire: { agentId: action.agentId, epoch: action.epoch } };
    case 'reserve':
      return {
        reserve: { overlay: action.overlay ?? null, subnet: toCidr(action.subnet), ...toReservedFor(action) },
      };
    case 'unreserve':
      return { unreserve: { overlay: action.overlay ?? null, subnet: toCidr(action.subnet) } };
    case 'exclude':
      return { exclude: { overlay: action.overlay ?? null, subnet: toCidr(action.subnet) } };
    case 'unexclude':
      return { unexclude: { overlay: action.overlay ?? null, subnet: toCidr(action.subnet) } };
    case 'begin-adoption':
      return { beginAdoption: { proof: action.proof ? { ...action.proof } : null } };
    case 'end-adoption':
      return { endAdoption: { missing: action.missing } };
    case 'record-membership':
      return { recordMembership: toMasterChange(action.change) };
    case 'mark-branch':
      return { markBranch: { value: action.value } };
    case 'create-token':
    case 'use-token':
    case 'revoke-token':
      return toTokenAction(action);
    case 'revoke-identity':
    case 'unrevoke-identity':
      return toRevocationAction(action);
    case 'record-backup':
      return { recordBackup: { master: action.master } };
    default:
      return assertNever(action);
  }
}

function toRegister(action: Register): sublet.store.v1.Register.$Properties {
  const { agentId, instanceId, runId, sequence, hostname, takeover, held, heldUnconfirmed } = action;
  return {
    agentId,
    instanceId,
    runId: runId ?? null,
    sequence,
    nodeIp: ipBytes(action.nodeIp),
    hostname,
    networkConfig: toNetworkConfig(action.networkConfig),
    takeover,
    held: held
      ? {
          vtepIp: held.vtepIp ?? null,
          subnets: held.subnets.map(({ overlay, subnet, subnet6 }) => ({
            overlay,
            subnet: toCidrMaybe(subnet),
            subnet6: toCidrMaybe(subnet6),
          })),
        }
      : null,
    heldUnconfirmed,
    holders: toJudgements(action.holders),
  };
}

function toJudgements(holders: readonly HolderJudgement[]): sublet.store.v1.HolderJudgement.$Properties[] {
  return holders.map(({ lastHeard, ...judgement }) => ({ ...judgement, lastHeardMs: lastHeard ?? null }));
}

function actionOf(stored: sublet.store.v1.Command): Action {
  const kind = stored.action;
  switch (kind) {
    case 'configureNetwork': {
      const action = present(stored.configureNetwork, kind);
      const overlays = (action.overlays ?? []).map(overlayOf);
      return { kind: 'configure-network', settings: settingsOf(action.settings), overlays };
    }
    case 'updateNetwork': {
      const action = present(stored.updateNetwork, kind);
      return {
        kind: 'update-network',
        vtepSubnet: cidr4Of(action.vtepSubnet),
        vtepSubnet6: cidr6Of(action.vtepSubnet6),
        vtepMtu: optional(action.vtepMtu),
        quarantineMs: optional(action.quarantineMs),
        reclaim: action.reclaim ? { ttlMs: optional(action.reclaim.ttlMs) } : undefined,
      };
    }
    case 'addOverlay': {
      const action = present(stored.addOverlay, kind);
      const source = action.fromConfig === true ? 'config' : 'operator';
      return { kind: 'add-overlay', overlay: overlayOf(action.overlay), source };
    }
    case 'updateOverlay': {
      const action = present(stored.updateOverlay, kind);
      return {
        kind: 'update-overlay',
        name: action.name ?? '',
        enabled: optional(action.enabled),
        subnet: cidr4Of(action.subnet),
        subnet6: cidr6Of(action.subnet6),
      };
    }
    case 'drainOverlay':
      return { kind: 'drain-overlay', name: present(stored.drainOverlay, kind).name ?? '' };
    case 'removeOverlay':
      return { kind: 'remove-overlay', name: present(stored.removeOverlay, kind).name ?? '' };
    case 'beginAdoption':
      return { kind: 'begin-adoption', proof: proofOf(present(stored.beginAdoption, kind).proof) };
    case 'endAdoption':
      return { kind: 'end-adoption', missing: present(stored.endAdoption, kind).missing ?? 0 };
    case 'recordMembership':
      return { kind: 'record-membership', change: masterChangeOf(present(stored.recordMembership, kind)) };
    case 'markBranch':
      return { kind: 'mark-branch', value: present(stored.markBranch, kind).value ?? '' };
    case 'createToken':
    case 'useToken':
    case 'revokeToken':
      return tokenActionOf(stored, kind);
    case 'revokeIdentity':
    case 'unrevokeIdentity':
      return revocationActionOf(stored, kind);
    case 'recordBackup':
      return { kind: 'record-backup', master: present(stored.recordBackup, kind).master ?? '' };
    case 'reserve':
    case 'unreserve':
    case 'exclude':
    case 'unexclude':
      return setAsideOf(stored, kind);
    case undefined:
      throw new UnknownCommandError(
        'a command is of a kind that this version does not know: a newer master proposed it; upgrade this one',
      );
    default:
      return agentActionOf(stored, kind);
  }
}

type AgentActionField =
  | 'register'
  | 'reportStatus'
  | 'leave'
  | 'returnOverlays'
  | 'release'
  | 'replaceAgent'
  | 'expire';

function agentActionOf(stored: sublet.store.v1.Command, kind: AgentActionField): Action {
  switch (kind) {
    case 'register':
      return registerOf(present(stored.register, kind));
    case 'reportStatus': {
      const action = present(stored.reportStatus, kind);
      const overlays = (action.overlays ?? []).map((report) => ({
        overlay: report.overlay ?? '',
        status: overlayStatusOf(report.status),
        error: parseStatusError(report.error ?? ''),
      }));
      return { kind: 'report-status', agentId: parseAgentId(action.agentId ?? ''), epoch: action.epoch ?? 0, overlays };
    }
    case 'leave': {
      const action = present(stored.leave, kind);
      return { kind: 'leave', agentId: parseAgentId(action.agentId ?? ''), epoch: action.epoch ?? 0 };
    }
    case 'returnOverlays': {
      const action = present(stored.returnOverlays, kind);
      const overlays = action.overlays ?? [];
      return {
        kind: 'return-overlays',
        agentId: parseAgentId(action.agentId ?? ''),
        epoch: action.epoch ?? 0,
        overlays,
      };
    }
    case 'release': {
      const action = present(stored.release, kind);
      const agentIds = (action.agentIds ?? []).map(parseAgentId);
      return { kind: 'release', agentIds, force: action.force ?? false, holders: judgementsOf(action.holders) };
    }
    case 'replaceAgent': {
      const action = present(stored.replaceAgent, kind);
      return {
        kind: 'replace-agent',
        agentId: parseAgentId(action.agentId ?? ''),
        successor: parseAgentId(action.successor ?? ''),
        off: action.off ?? false,
        holders: judgementsOf(action.holders),
      };
    }
    case 'expire': {
      const action = present(stored.expire, kind);
      return { kind: 'expire', agentId: parseAgentId(action.agentId ?? ''), epoch: action.epoch ?? 0 };
    }
    default:
      return assertNever(kind);
  }
}

function setAsideOf(stored: sublet.store.v1.Command, kind: 'reserve' | 'unreserve' | 'exclude' | 'unexclude'): Action {
  const action = present(stored[kind], kind);
  const range = { overlay: optional(action.overlay), subnet: cidrOf(action.subnet) };
  if (kind !== 'reserve') return { kind, ...range };
  return { kind, ...range, ...reservedForIn(present(stored.reserve, kind)) };
}

function proofOf(stored: sublet.store.v1.AdoptionProof.$Properties | null | undefined): AdoptionProof | undefined {
  return stored
    ? { reason: stored.reason ?? '', claimedEpoch: stored.claimedEpoch ?? 0, value: stored.value ?? '' }
    : undefined;
}

function registerOf(stored: sublet.store.v1.Register.$Properties): Register {
  return {
    kind: 'register',
    agentId: parseAgentId(stored.agentId ?? ''),
    instanceId: parseInstanceId(stored.instanceId ?? ''),
    runId: stored.runId == null ? undefined : parseRunId(stored.runId),
    sequence: parseSequence(stored.sequence ?? 0),
    nodeIp: parseNodeIp(ipOf(stored.nodeIp)),
    hostname: parseHostname(stored.hostname ?? ''),
    networkConfig: parseNetworkConfig(networkConfigOf(stored.networkConfig)),
    takeover: stored.takeover ?? false,
    held: stored.held
      ? {
          vtepIp: ipv4Of(stored.held.vtepIp),
          subnets: (stored.held.subnets ?? []).map((held) => ({
            overlay: held.overlay ?? '',
            subnet: cidr4Of(held.subnet),
            subnet6: cidr6Of(held.subnet6),
          })),
        }
      : undefined,
    heldUnconfirmed: stored.heldUnconfirmed ?? false,
    holders: judgementsOf(stored.holders),
  };
}

function judgementsOf(
  stored: sublet.store.v1.HolderJudgement.$Properties[] | null | undefined,
): readonly HolderJudgement[] {
  return (stored ?? []).map((holder) => ({
    agentId: parseAgentId(holder.agentId ?? ''),
    epoch: holder.epoch ?? 0,
    silent: holder.silent ?? false,
    lastHeard: optional(holder.lastHeardMs),
  }));
}
