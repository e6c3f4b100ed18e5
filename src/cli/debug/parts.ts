/** The parts of a bundle: what each is called in it, where it comes from, and how it is got. */
import { readFileSync } from 'node:fs';
import type { MasterClient } from '#api/master-client.js';
import type { Method } from '#api/method.js';
import { responseJson } from '#api/proto-json.js';
import { clusterService, operatorService } from '#api/services.js';
import { listAgents } from '#cli/agent-list.js';
import { getLocal } from '#cli/local/local-http.js';
import type { Runner } from '#host/tools/runner.js';
import { jsonText } from '#text/printable-text.js';

export type BundlePart = { readonly name: string; readonly source: string; readonly get: () => Promise<string> };

const partMs = 10_000;
const historyLimit = 1_000;

/** What the masters answer to an operator. */
export function masterParts(client: MasterClient): readonly BundlePart[] {
  const call = <Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
    name: string,
    method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
    ask: () => Promise<Response>,
  ): BundlePart => ({
    name: `masters/${name}.json`,
    source: method.path,
    get: async () => `${jsonText(responseJson(method, await ask()), 2)}\n`,
  });
  const again = { idempotent: true } as const;
  const { listHistory, listOverlays, getNetwork, listReservations } = operatorService;
  return [
    call('status', clusterService.getStatus, () => client.call(clusterService.getStatus, {}, again)),
    call('members', clusterService.listMembers, () => client.call(clusterService.listMembers, {}, again)),
    call('network', getNetwork, () => client.call(getNetwork, { stale: true }, again)),
    call('overlays', listOverlays, () => client.call(listOverlays, { stale: true }, again)),
    call('reservations', listReservations, () => client.call(listReservations, { stale: true }, again)),
    call('history', listHistory, () => client.call(listHistory, { stale: true, limit: historyLimit }, again)),
    call('agents', operatorService.listAgents, () => listAgents(client, { stale: true })),
  ];
}

/** What a process of this machine answers over HTTP. @param at HOST:PORT */
export function httpParts(whose: 'master' | 'agent', at: string): readonly BundlePart[] {
  const paths = whose === 'master' ? ['metrics', 'readyz'] : ['metrics', 'readyz', 'status'];
  return paths.map((path) => ({
    name: `${whose}/${path}.txt`,
    source: `http://${at}/${path}`,
    get: async () => {
      const { status, text } = await getLocal(`http://${at}/${path}`, partMs);
      return `# status ${status}\n${text}`;
    },
  }));
}

export function filePart(name: string, file: string): BundlePart {
  return { name, source: file, get: async () => readFileSync(file, 'utf8') };
}

const logLines = '2000';
const commands: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['log/master.txt', 'journalctl', '-u', 'sublet-master', '-n', logLines, '--no-pager', '-o', 'short-iso'],
  ['log/agent.txt', 'journalctl', '-u', 'sublet-agent', '-n', logLines, '--no-pager', '-o', 'short-iso'],
  ['host/kernel.txt', 'uname', '-a'],
  ['host/addresses.json', 'ip', '-d', '-j', 'address', 'show'],
  ['host/routes.json', 'ip', '-j', 'route', 'show', 'table', 'all'],
  ['host/routes6.json', 'ip', '-6', '-j', 'route', 'show', 'table', 'all'],
  ['host/neighbours.json', 'ip', '-j', 'neighbour', 'show'],
  ['host/fdb.json', 'bridge', '-j', 'fdb', 'show'],
  ['host/iptables.txt', 'iptables-save'],
  ['host/nftables.txt', 'nft', 'list', 'ruleset'],
  ['host/sockets.txt', 'ss', '-tulpn'],
];
const files: readonly (readonly [name: string, file: string])[] = [
  ['host/limits.txt', '/proc/self/limits'],
  ['host/memory.txt', '/proc/meminfo'],
  ['host/load.txt', '/proc/loadavg'],
  ['host/pressure-io.txt', '/proc/pressure/io'],
  ['host/release.txt', '/etc/os-release'],
];

/** What the machine says of itself; nothing of it is changed. */
export function hostParts(runner: Runner): readonly BundlePart[] {
  return [
    ...commands.map(([name, command, ...args]) => ({
      name,
      source: [command, ...args].join(' '),
      get: async () => {
        const { code, stdout, stderr } = await runner.run(command, args, { timeoutMs: partMs });
        if (code !== 0 && stdout === '') throw new Error(stderr.trim() || `it ended with ${code ?? 'a signal'}`);
        return stdout;
      },
    })),
    ...files.map(([name, file]) => filePart(name, file)),
  ];
}
