/** docs/start.md from the first block to the last: three masters and two agents, each on a host of its own, with TLS. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd, Underlay } from '#cluster-test/host/netns.js';
import { hostTools } from '#cluster-test/host/requirements.js';
import { PageHost } from '#cluster-test/operations/page-host.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { command, requires } from '#cluster-test/requirement.js';

const addresses = { m1: '10.0.0.1', m2: '10.0.0.2', m3: '10.0.0.3', h1: '10.0.0.11', h2: '10.0.0.12' } as const;
type HostName = keyof typeof addresses;
const names = Object.keys(addresses) as HostName[];

type Block = {
  /** Its first line says where it is run. */
  readonly hosts: readonly HostName[];
  readonly script: string;
  /** What the page shows after it. */
  readonly shown: string | undefined;
};

/** A command that changes nothing. What it shows may come about a moment after the block before it has ended. */
const look = /^# on .*\n(?:sublet (?:members|agents)|ping .*)\n$/;
const lookBoundMs = 30_000;

function blocksOf(page: string): readonly Block[] {
  const fences = [...readFileSync(page, 'utf8').matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
  const placeOf = (text: string | undefined): string | undefined => /^# on (.*)\n/.exec(text ?? '')?.[1];
  return fences.flatMap((script, at) => {
    const place = placeOf(script);
    if (place === undefined) return [];
    const hosts = names.filter((name) => place.split(/, | and /).includes(name));
    const next = fences[at + 1];
    return [{ hosts, script, shown: placeOf(next) === undefined ? next : undefined }];
  });
}

/** Without what differs from one run to the next: the leader, the length of the log, the room on a disk. */
function comparable(text: string): string {
  return text
    .replaceAll(/\b(?:leader|follower)\b/g, 'ROLE')
    .replaceAll(/ +\d+ +\d+ +(?:here|now) +[\d.]+ [KMGT]iB/g, ' FIGURES')
    .replaceAll(/ +/g, ' ')
    .trim();
}

describe('docs/start.md', function () {
  this.timeout(240_000);
  let hosts: ReadonlyMap<HostName, PageHost> = new Map();
  let underlay: Underlay | undefined;
  let removeFolder = (): void => {};
  const tokens = new Map<HostName, string>();

  before(async function () {
    requires(this, ...hostTools, command('unshare'));
    const folder = mkdtempSync(join(tmpdir(), 'sublet-start-'));
    removeFolder = atEnd(() => rmSync(folder, { recursive: true }));
    const wires = new Underlay();
    underlay = wires;
    const nets = names.map((name) => [name, wires.host(name, `${addresses[name]}/24`)] as const);
    hosts = new Map(
      await Promise.all(nets.map(async ([name, net]) => [name, await PageHost.boot({ name, net, folder })] as const)),
    );
  });
  afterEach(async function () {
    if (this.currentTest?.state !== 'failed') return;
    for (const [name, host] of hosts) console.error(`--- ${name} said:\n${await host.logs()}`);
  });
  after(async () => {
    for (const host of hosts.values()) await host.remove();
    underlay?.remove();
    removeFolder();
  });

  it('leads to three masters and two hosts that reach each other, and shows what is seen', async () => {
    const blocks = blocksOf('docs/start.md');
    assert.ok(blocks.length >= 9, String(blocks.length));
    for (const { hosts: on, script, shown } of blocks) {
      if (look.test(script)) await shows(on[0], script, shown);
      // Masters wait for one another. Hosts come one after the other: the first one gets the first subnet.
      else if (on[0] === 'm1') await Promise.all(on.map((name) => runOn(name, script)));
      else for (const name of on) await runOn(name, script);
    }
    assert.deepEqual([...tokens.keys()], ['h1', 'h2']);
  });

  async function shows(name: HostName | undefined, script: string, shown: string | undefined): Promise<void> {
    const host = hosts.get(name ?? assert.fail()) ?? assert.fail();
    await until(`${script}shows what the page shows`, lookBoundMs, async () => {
      const output = await host.sh(script);
      if (shown !== undefined) assert.equal(comparable(output), comparable(shown));
      return holds(true);
    });
  }

  /** With the name, the address and the token of this host in place of those of the page. */
  async function runOn(name: HostName, script: string): Promise<void> {
    const own = script
      .replace(/^NAME=\S+ IP=\S+$/m, `NAME=${name} IP=${addresses[name]}`)
      .replace(/^NAME=\S+ TOKEN=\S+$/m, `NAME=${name} TOKEN=${tokens.get(name)}`);
    const output = await (hosts.get(name) ?? assert.fail()).sh(own);
    const asked = [...script.matchAll(/^sublet token create .*--id (\S+)$/gm)].map(([, id]) => id);
    for (const [at, [token]] of [...output.matchAll(/^sj1\.\S+$/gm)].entries()) {
      const host = names.find((one) => one === asked[at]);
      if (host !== undefined) tokens.set(host, token);
    }
  }
});
