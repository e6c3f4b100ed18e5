/** What a step may touch, whatever a master says: an executable form of the bounds, for the steps that come out in the end. */
import { coversCidr, parseCidr } from '#address/ip.js';
import { assertNever } from '#errors/invariant.js';
import { forwardChain, guardChain, guardedSet, masqueradeSet, peersSet } from '#host/desired/marks.js';
import type { Step } from '#host/diff/host-step.js';
import type { HostInput } from '#host/input.js';
import { addressOf } from '#host/tools/text.js';

const setNames = [masqueradeSet, guardedSet, peersSet].flatMap((names) => Object.values<string>(names));
const chains: readonly string[] = [forwardChain, guardChain];

/** Why the step is out of bounds; undefined: it is within. */
export function outOfBounds(step: Step, { overlays, lease, settings }: HostInput): string | undefined {
  const names = overlays.map(({ name }) => name);
  const bridges = names.flatMap((name) => [`m-${name}`, `d-${name}`]);
  const devices = [lease.vxlan.vtepName, ...bridges];
  const ranges = overlays.flatMap(({ subnet, subnet6 }) => [subnet, subnet6].filter((text) => text !== undefined));
  const within = (text: string): boolean => {
    const cidr = parseCidr(text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`);
    return ranges.some((range) => coversCidr(parseCidr(range), cidr));
  };
  const unless = (fine: boolean): string | undefined => (fine ? undefined : JSON.stringify(step));
  const deviceIsOurs = (name: string): string | undefined => unless(devices.includes(name));
  switch (step.kind) {
    case 'sysctl': {
      const [, device = ''] = /^net\/ipv[46]\/conf\/([^/]+)\//.exec(step.path) ?? [];
      return unless(
        /^net\/ipv4\/ip_forward$|^net\/ipv6\/conf\/all\/forwarding$/.test(step.path) || devices.includes(device),
      );
    }
    case 'device-create':
      return unless(step.device.name === lease.vxlan.vtepName);
    case 'bridge-create':
      return unless(names.some((name) => step.name === `m-${name}`));
    case 'link-delete':
      return unless(step.name === lease.vxlan.vtepName || /^[md]-/.test(step.name));
    case 'link-set':
      return deviceIsOurs(step.name);
    case 'address':
      if (step.device !== lease.vxlan.vtepName) {
        return unless(bridges.includes(step.device) && within(addressOf(step.cidr)));
      }
      return unless(step.action === 'del' || [lease.vxlan.vtepIp, lease.vxlan.vtepIp6].includes(step.cidr));
    case 'neighbour':
    case 'fdb':
      return unless(step.device === lease.vxlan.vtepName);
    case 'route':
      return unless(step.device === lease.vxlan.vtepName && (step.table === 'source' || within(step.subnet)));
    case 'rule':
      return unless(within(step.source));
    case 'set-create':
    case 'set-destroy':
      return unless(setNames.includes(step.name));
    case 'set-entry':
      return unless(setNames.includes(step.set) && (!step.nomatch || within(step.entry)));
    case 'filter-rule':
      return unless(!/(^| )-[io] /.test(step.rule));
    case 'chain-set':
      return unless(
        chains.includes(step.chain) &&
          step.rules.every((rule) =>
            [...rule.matchAll(/-[io] (\S+)/g)].every(([, device = '']) => [...devices, 'lo'].includes(device)),
          ),
      );
    case 'chain-delete':
      return unless(chains.includes(step.chain));
    case 'cni-write':
    case 'cni-delete':
      return unless(
        [settings.cniDir, ...(settings.cniDirsBeside ?? [])].includes(step.dir) &&
          names.some((name) => /^(z+-)?$/.test(step.name.replace(/\.conf(list)?$/, '').slice(0, -name.length))),
      );
    case 'file-write':
    case 'file-delete': {
      const { runDir, flannelFile } = settings.runFiles ?? {};
      const inRunDir = ['lease.json', ...names.map((name) => `${name}.env`)].map((name) => `${runDir}/${name}`);
      return unless([...inRunDir, flannelFile].includes(step.path));
    }
    case 'docker-create':
      return unless(names.includes(step.request.Name));
    case 'docker-delete':
      return unless(names.includes(step.name));
    default:
      return assertNever(step);
  }
}
