/**
 * The observed host as it would be after some steps, without running them. Pure. With it a change of the input is
 * compared with what is known of the host, which is not read again, and a spec checks that the steps lead to the
 * desired state.
 */
import type { Family } from '#address/ip.js';
import { assertNever } from '#errors/invariant.js';
import type { DockerNetworkRequest } from '#host/desired/desired-docker.js';
import { dockerLabel } from '#host/desired/marks.js';
import type { LinkSetting, Step } from '#host/diff/host-step.js';
import { cniFileOf } from '#host/observe/cni-file.js';
import {
  type ObservedDockerNetwork,
  type ObservedEntry,
  type ObservedHost,
  type ObservedLink,
  type ObservedSet,
  type ObservedTables,
  plainEntry,
} from '#host/observe/observed.js';

export function predict(observed: ObservedHost, steps: readonly Step[]): ObservedHost {
  if (steps.length === 0) return observed;
  const host = draftOf(observed);
  for (const step of steps) take(host, step);
  // Where packets go is not known any more. No step changes a set that could not be read.
  const detours = steps.some(changesWays) ? [] : observed.detours;
  return { ...host, detours, sets: observed.sets.kind === 'read' ? { kind: 'read', value: host.sets } : observed.sets };
}

/** Whether packets may go another way after this step. */
function changesWays({ kind }: Step): boolean {
  return ['device-create', 'link-delete', 'link-set', 'address', 'route', 'rule'].includes(kind);
}

type Draft = {
  readonly surroundings: ObservedHost['surroundings'];
  links: Map<string, ObservedLink>;
  neighbours: Map<string, string>;
  fdb: Map<string, string>;
  routes: Map<string, string>;
  sourceRoutes: Map<string, string>;
  readonly strangers: ObservedHost['strangers'];
  rules: Map<string, number>;
  sysctls: Map<string, string>;
  raDevices: readonly string[];
  readonly sets: Map<string, SetDraft>;
  tables: Record<Family, ObservedHost['tables'][Family]>;
  filters: ObservedHost['filters'];
  cni: ObservedHost['cni'];
  cniBeside: ObservedHost['cniBeside'];
  readonly cniFirst: ObservedHost['cniFirst'];
  docker: ObservedHost['docker'];
  runFiles: ObservedHost['runFiles'];
};

function draftOf(observed: ObservedHost): Draft {
  return {
    ...observed,
    links: new Map(observed.links),
    neighbours: new Map(observed.neighbours),
    fdb: new Map(observed.fdb),
    routes: new Map(observed.routes),
    sourceRoutes: new Map(observed.sourceRoutes),
    rules: new Map(observed.rules),
    sysctls: new Map(observed.sysctls),
    sets: setsDraft(observed.sets),
    tables: { ...observed.tables },
  };
}

function take(host: Draft, step: Step): void {
  switch (step.kind) {
    case 'sysctl':
      host.sysctls.set(step.path, step.value);
      return;
    case 'device-create': {
      const { name, mac, mtu, vni, port, local } = step.device;
      const vxlan = { vni, port, local, learning: false };
      host.links.set(name, { name, kind: 'vxlan', mac, mtu, up: false, alias: step.mark, addresses: [], vxlan });
      return;
    }
    case 'bridge-create': {
      const { name, mac, mtu, mark } = step;
      host.links.set(name, { name, kind: 'bridge', mac, mtu, up: false, alias: mark, addresses: [] });
      return;
    }
    case 'link-delete':
      if (host.links.get(step.name)?.kind === 'vxlan') forgetPeers(host, 'all');
      host.links.delete(step.name);
      return;
    case 'link-set':
      setLink(host, step.name, step.set);
      return;
    case 'address':
      changeLink(host, step.device, ({ addresses }) => ({
        addresses: toggled(addresses, step.cidr, step.action === 'add'),
      }));
      return;
    case 'neighbour':
      change(host.neighbours, step.ip, step.action === 'del' ? undefined : step.mac);
      return;
    case 'fdb':
      change(host.fdb, step.mac, step.action === 'del' ? undefined : step.dst);
      return;
    case 'route': {
      const table = step.table === 'main' ? host.routes : host.sourceRoutes;
      change(table, step.subnet, step.action === 'del' ? undefined : step.via);
      return;
    }
    case 'rule': {
      const times = (host.rules.get(step.source) ?? 0) + (step.action === 'add' ? 1 : -1);
      change(host.rules, step.source, times === 0 ? undefined : times);
      return;
    }
    case 'set-create':
    case 'set-destroy':
    case 'set-entry':
      changeSets(host.sets, step);
      return;
    case 'filter-rule':
    case 'chain-set':
    case 'chain-delete':
      host.tables[step.family] = tablesAfter(host.tables[step.family], step);
      // Which traffic they pass now is not known before they are read again.
      host.filters = { tables: [], unread: host.filters.unread };
      return;
    case 'cni-write':
    case 'cni-delete':
      {
        const beside = host.cniBeside.get(step.dir);
        if (beside === undefined) host.cni = cniAfter(host.cni, step);
        else host.cniBeside = new Map([...host.cniBeside, [step.dir, cniAfter(beside, step)]]);
      }
      return;
    case 'file-write':
    case 'file-delete':
      host.runFiles = runFilesAfter(host.runFiles, step);
      return;
    case 'docker-create':
    case 'docker-delete':
      host.docker = dockerAfter(host.docker, step);
      return;
    default:
      assertNever(step);
  }
}

function change<Value>(map: Map<string, Value>, key: string, value: Value | undefined): void {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
}

function toggled(list: readonly string[], item: string, isThere: boolean): string[] {
  const others = list.filter((other) => other !== item);
  return isThere ? [...others, item] : others;
}

function changeLink(host: Draft, name: string, by: (link: ObservedLink) => Partial<ObservedLink>): void {
  const link = host.links.get(name);
  if (link !== undefined) host.links.set(name, { ...link, ...by(link) });
}

function setLink(host: Draft, name: string, set: LinkSetting): void {
  if (set.kind === 'mac') host.neighbours.clear();
  if (set.kind === 'down' && host.links.get(name)?.kind === 'vxlan') forgetPeers(host, 'reachability');
  changeLink(host, name, (link) => linkAfter(link, set));
}

function linkAfter({ vxlan }: ObservedLink, set: LinkSetting): Partial<ObservedLink> {
  switch (set.kind) {
    case 'up':
    case 'down':
      return { up: set.kind === 'up' };
    case 'mac':
      return { mac: set.mac };
    case 'mtu':
      return { mtu: set.mtu };
    case 'alias':
      return { alias: set.alias };
    case 'no-link-local':
      return { addressGeneration: 'none' };
    case 'local':
      return vxlan === undefined ? {} : { vxlan: { ...vxlan, local: set.local } };
    default:
      return assertNever(set);
  }
}

function forgetPeers(host: Draft, what: 'all' | 'reachability'): void {
  host.neighbours.clear();
  host.routes.clear();
  host.sourceRoutes.clear();
  if (what === 'all') host.fdb.clear();
}

type SetDraft = ObservedSet & { readonly entries: Map<string, ObservedEntry> };

/** Copied once: the peers' set may have an entry for each of 65,000 peers. */
function setsDraft(sets: ObservedHost['sets']): Map<string, SetDraft> {
  const read = sets.kind === 'read' ? sets.value : new Map<string, ObservedSet>();
  return new Map([...read].map(([name, set]) => [name, { ...set, entries: new Map(set.entries) }]));
}

function changeSets(
  sets: Map<string, SetDraft>,
  step: Extract<Step, { kind: 'set-create' | 'set-destroy' | 'set-entry' }>,
): void {
  if (step.kind === 'set-create') {
    const { type, family } = step;
    sets.set(step.name, { type, family, comments: type === 'hash:net', entries: new Map() });
  } else if (step.kind === 'set-destroy') {
    sets.delete(step.name);
  } else {
    const { nomatch, comment, action } = step;
    const entry = comment === undefined ? plainEntry(nomatch) : { nomatch, comment };
    const entries = sets.get(step.set)?.entries;
    if (entries !== undefined) change(entries, step.entry, action === 'del' ? undefined : entry);
  }
}

function tablesAfter(
  there: ObservedHost['tables'][Family],
  step: Extract<Step, { kind: 'filter-rule' | 'chain-set' | 'chain-delete' }>,
): ObservedHost['tables'][Family] {
  if (there.kind !== 'read') return there;
  const { ours, guard, ...others } = there.value;
  const left =
    step.kind === 'filter-rule' || step.table === 'raw'
      ? { ...others, ...(ours && { ours }) }
      : { ...others, ...(guard && { guard }) };
  if (step.kind === 'chain-delete') return { kind: 'read', value: left };
  if (step.kind === 'chain-set') {
    return {
      kind: 'read',
      value: { ...left, ...(step.table === 'raw' ? { guard: step.rules } : { ours: step.rules }) },
    };
  }
  return { kind: 'read', value: ruleAfter(there.value, step) };
}

function ruleAfter(tables: ObservedTables, step: Extract<Step, { kind: 'filter-rule' }>): ObservedTables {
  const changed = (rules: readonly string[]): string[] => {
    const at = rules.indexOf(step.rule);
    if (step.action === 'append') return [...rules, step.rule];
    if (step.action === 'insert') return [step.rule, ...rules];
    return rules.filter((_, index) => index !== at);
  };
  if (step.chain === 'POSTROUTING') return { ...tables, postrouting: changed(tables.postrouting) };
  if (step.chain === 'PREROUTING') return { ...tables, prerouting: changed(tables.prerouting) };
  if (step.chain === 'FORWARD') return { ...tables, forward: changed(tables.forward) };
  return { ...tables, dockerUser: changed(tables.dockerUser ?? []) };
}

function cniAfter(
  cni: ObservedHost['cni'],
  step: Extract<Step, { kind: 'cni-write' | 'cni-delete' }>,
): ObservedHost['cni'] {
  const files = new Map(cni.kind === 'read' ? cni.value : []);
  if (step.kind === 'cni-delete') {
    files.delete(step.name);
  } else {
    files.set(step.name, cniFileOf(step.content));
  }
  return { kind: 'read', value: files };
}

function runFilesAfter(
  there: ObservedHost['runFiles'],
  step: Extract<Step, { kind: 'file-write' | 'file-delete' }>,
): ObservedHost['runFiles'] {
  if (there.kind !== 'read') return there;
  const files = new Map(there.value);
  change(files, step.path, step.kind === 'file-write' ? step.content : undefined);
  return { kind: 'read', value: files };
}

function dockerAfter(
  docker: ObservedHost['docker'],
  step: Extract<Step, { kind: 'docker-create' | 'docker-delete' }>,
): ObservedHost['docker'] {
  if (docker.kind !== 'read') return docker;
  const networks = new Map(docker.networks);
  if (step.kind === 'docker-delete') networks.delete(step.name);
  else networks.set(step.request.Name, networkOf(step.request));
  return { ...docker, networks };
}

function networkOf(request: DockerNetworkRequest): ObservedDockerNetwork {
  const mark = request.Labels[dockerLabel.cluster];
  return {
    id: request.Name,
    name: request.Name,
    driver: request.Driver,
    subnets: request.IPAM.Config.map(({ Subnet }) => Subnet),
    options: request.Options,
    ...(mark === undefined ? {} : { mark }),
    containers: [],
  };
}
