/**
 * The words of a step: the lines that iproute2's, ipset's and iptables' batch modes take, and the command that a
 * person would type. What is printed by `--network plan` is made of the same words that `apply` runs.
 */
import type { Family } from '#address/ip.js';
import { assertNever } from '#errors/invariant.js';
import { peersMax } from '#host/desired/bounds.js';
import type { DockerNetworkRequest } from '#host/desired/desired-docker.js';
import { masqueradeSet, routeProtocol, rulePreference, sourceTable } from '#host/desired/marks.js';
import type { ChainTable, LinkSetting, Step, StepAction } from '#host/diff/host-step.js';
import { isBesideOverlays } from '#host/problem.js';
import type { PlannedStep } from '#host/reconciler-interface.js';
import { isIpv6Text } from '#host/tools/text.js';

/** For the operator: the command that does it, and why. */
export function planned(step: Step): PlannedStep {
  return { command: commandOf(step), why: whyOf(step) };
}

/** The command a person would run, quoted for a shell where needed. */
export function commandOf(step: Step): string {
  switch (step.kind) {
    case 'sysctl':
      return `sysctl -w ${step.path}=${step.value}`;
    case 'device-create':
    case 'bridge-create':
    case 'link-delete':
    case 'link-set':
    case 'address':
    case 'neighbour':
    case 'route':
    case 'rule':
      return ipCommands(step)
        .map((line) => `ip ${isIpv6Rule(step) ? '-6 ' : ''}${line}`)
        .join(' && ');
    case 'fdb':
      return `bridge ${fdbCommand(step)}`;
    case 'set-create':
    case 'set-destroy':
    case 'set-entry':
      return `ipset ${ipsetCommand(step)}`;
    case 'filter-rule':
      return `${iptablesName(step.family)} ${filterRuleArguments(step).map(quoted).join(' ')}`;
    case 'chain-set':
      return `printf '${chainRestore(step).replaceAll('\n', '\\n')}' | ${iptablesName(step.family)}-restore --noflush`;
    case 'chain-delete':
      return ['-F', '-X']
        .map((flag) => `${iptablesName(step.family)} ${tableFlag(step.table)}${flag} ${step.chain}`)
        .join(' && ');
    case 'cni-write':
      return `cat > ${step.dir}/${step.name} <<'EOF'\n${step.content}EOF`;
    case 'cni-delete':
      return `rm ${step.dir}/${step.name}`;
    case 'file-write':
      return `cat > ${step.path} <<'EOF'\n${step.content}EOF`;
    case 'file-delete':
      return `rm ${step.path}`;
    case 'docker-create':
      return dockerCommand(step.request);
    case 'docker-delete':
      return `docker network rm ${step.name}`;
    default:
      return assertNever(step);
  }
}

function whyOf(step: Step): string {
  switch (step.kind) {
    case 'sysctl':
      return step.path.endsWith('rp_filter') ? 'the way back may be another' : 'containers are routed';
    case 'device-create':
      return `tunnel endpoint ${step.device.addresses.join(' and ')}`;
    case 'bridge-create':
      return 'containers and machines are plugged into it';
    case 'link-delete':
      return 'not as it should be, or no longer needed';
    case 'link-set':
      return `${step.name} as leased`;
    case 'address':
      return step.action === 'add' ? `address of ${step.device}` : `no longer an address of ${step.device}`;
    case 'neighbour':
      return `MAC of the VTEP ${step.ip}`;
    case 'fdb':
      return `host of the VTEP with ${step.mac}`;
    case 'route':
      return step.table === 'main'
        ? `subnet behind ${step.via}`
        : `containers reach the host ${step.subnet} by the tunnel`;
    case 'rule':
      return `containers of ${step.source} look at the hosts' routes first`;
    case 'set-create':
    case 'set-destroy':
    case 'set-entry':
      return isBesideOverlays(step.part) ? 'what the guard looks at' : 'what is masqueraded: everything but overlays';
    case 'filter-rule':
      return ruleReasons[step.table];
    case 'chain-set':
    case 'chain-delete':
      return step.table === 'raw' ? 'the underlay is kept out of the overlays' : 'forwarding from and to containers';
    case 'cni-write':
    case 'cni-delete':
      return 'how container engines attach containers';
    case 'file-write':
    case 'file-delete':
      return 'the lease for other programs';
    case 'docker-create':
    case 'docker-delete':
      return 'how Docker attaches containers';
    default:
      return assertNever(step);
  }
}

const ruleReasons = {
  nat: 'containers reach the outside',
  filter: 'forwarding looks at our chain',
  raw: 'what comes in passes the guard',
} as const;

type IpStep = Extract<
  StepAction,
  { kind: 'device-create' | 'bridge-create' | 'link-delete' | 'link-set' | 'address' | 'neighbour' | 'route' | 'rule' }
>;

/** Lines for `ip -batch`. */
export function ipCommands(step: IpStep): string[] {
  switch (step.kind) {
    case 'device-create': {
      const { name, mac, mtu, vni, port, local } = step.device;
      const vxlan = `type vxlan id ${vni} dstport ${port} local ${local} nolearning`;
      return [`link add name ${name} address ${mac} mtu ${mtu} ${vxlan}`, `link set dev ${name} alias ${step.mark}`];
    }
    case 'bridge-create': {
      const { name, mac, mtu, mark } = step;
      return [`link add name ${name} address ${mac} mtu ${mtu} type bridge`, `link set dev ${name} alias ${mark}`];
    }
    case 'link-delete':
      return [`link del dev ${step.name}`];
    case 'link-set':
      return [`link set dev ${step.name} ${linkSetting(step.set)}`];
    case 'address': {
      const nodad = step.action === 'add' && isIpv6Text(step.cidr) ? ' nodad' : '';
      return [`address ${step.action} ${step.cidr} dev ${step.device}${nodad}`];
    }
    case 'neighbour':
      return step.action === 'del'
        ? [`neigh del ${step.ip} dev ${step.device}`]
        : [`neigh replace ${step.ip} lladdr ${step.mac} dev ${step.device} nud permanent protocol ${routeProtocol}`];
    case 'route':
      return [routeCommand(step)];
    case 'rule':
      return [
        `rule ${step.action} from ${step.source} lookup ${sourceTable} pref ${rulePreference} protocol ${routeProtocol}`,
      ];
    default:
      return assertNever(step);
  }
}

/** `ip` takes a rule's family from its own `-6` only, and a batch has one family. */
export function isIpv6Rule(step: StepAction): boolean {
  return step.kind === 'rule' && isIpv6Text(step.source);
}

function routeCommand(step: Extract<StepAction, { kind: 'route' }>): string {
  const { action, subnet, via, device } = step;
  const table = step.table === 'source' ? ` table ${sourceTable}` : '';
  const scope = action === 'del' || isIpv6Text(via) ? '' : ` scope ${scopeOf(via)}`;
  return `route ${action} ${subnet} via ${via} dev ${device} proto ${routeProtocol}${table}${scope}`;
}

/**
 * Linux keeps the next hops of IPv4 routes in a hash over device, protocol, metric and scope, but not gateway
 * (`fib_info_hashfn` in net/ipv4/fib_semantics.c): 10,000 gateways on one device are one chain, and filling it costs
 * 10,000² / 2 comparisons. Any scope below `link` (253) means the same for a route with a gateway, and two routes to one
 * subnet still exclude each other, so the scope is what spreads them: 2 s of kernel time become 0.1 s.
 */
function scopeOf(via: string): number {
  let hash = 0;
  for (let i = 0; i < via.length; i++) hash = (hash * 31 + via.charCodeAt(i)) % scopes;
  return hash;
}
/** A prime below 200, the first scope that has a name. */
const scopes = 199;

export function fdbCommand(step: Extract<StepAction, { kind: 'fdb' }>): string {
  return step.action === 'del'
    ? `fdb del ${step.mac} dev ${step.device} self`
    : `fdb replace ${step.mac} dev ${step.device} dst ${step.dst} self permanent`;
}

function linkSetting(set: LinkSetting): string {
  switch (set.kind) {
    case 'up':
    case 'down':
      return set.kind;
    case 'mac':
      return `address ${set.mac}`;
    case 'mtu':
      return `mtu ${set.mtu}`;
    case 'alias':
      return `alias ${set.alias}`;
    case 'no-link-local':
      return 'addrgenmode none';
    case 'local':
      return `type vxlan local ${set.local}`;
    default:
      return assertNever(set);
  }
}

/** A line for `ipset restore`. */
export function ipsetCommand(step: Extract<StepAction, { kind: 'set-create' | 'set-destroy' | 'set-entry' }>): string {
  switch (step.kind) {
    case 'set-create':
      return `create ${step.name} ${step.type} family ${step.family === 4 ? 'inet' : 'inet6'} ${setOption(step.name)}`;
    case 'set-destroy':
      return `destroy ${step.name}`;
    case 'set-entry': {
      if (step.action === 'del') return `del ${step.set} ${step.entry}`;
      const comment = step.comment === undefined ? '' : ` comment ${step.comment}`;
      return `add ${step.set} ${step.entry}${step.nomatch ? ' nomatch' : ''}${comment} -exist`;
    }
    default:
      return assertNever(step);
  }
}

/** Entries of the guard's sets are ours by the sets' names, and need no mark: there are as many as peers. */
function setOption(name: string): string {
  return Object.values<string>(masqueradeSet).includes(name) ? 'comment' : `maxelem ${guardEntriesMax}`;
}

/** Twice the most peers: those that come go in before those that leave go out. */
const guardEntriesMax = 2 * peersMax;

export function filterRuleArguments(step: Extract<StepAction, { kind: 'filter-rule' }>): string[] {
  const flag = { append: '-A', insert: '-I', delete: '-D' }[step.action];
  return ['-t', step.table, flag, step.chain, ...step.rule.split(' ')];
}

/** Input for `iptables-restore --noflush`, which sets the chain in one go. */
export function chainRestore(step: Extract<StepAction, { kind: 'chain-set' }>): string {
  const rules = step.rules.map((rule) => `-A ${step.chain} ${rule}\n`).join('');
  return `*${step.table}\n:${step.chain} - [0:0]\n${rules}COMMIT\n`;
}

function tableFlag(table: ChainTable): string {
  return table === 'filter' ? '' : `-t ${table} `;
}

function iptablesName(family: Family): string {
  return family === 4 ? 'iptables' : 'ip6tables';
}

function dockerCommand(request: DockerNetworkRequest): string {
  const options = Object.entries(request.Options).map(([key, value]) => `-o ${key}=${value}`);
  const labels = Object.entries(request.Labels).map(([key, value]) => `--label ${key}=${value}`);
  const subnets = request.IPAM.Config.map(({ Subnet }) => `--subnet ${Subnet}`);
  const families = [
    ...(request.EnableIPv4 === false ? ['--ipv4=false'] : []),
    ...(request.EnableIPv6 ? ['--ipv6'] : []),
  ];
  return ['docker network create -d bridge', ...families, ...subnets, ...options, ...labels, request.Name].join(' ');
}

function quoted(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word}'`;
}
