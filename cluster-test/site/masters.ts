/**
 * What a site does to its masters: kills them, puts one or all back to a copy of their data directories, and restores a
 * backup into a new cluster. Each step ends when the masters serve again.
 */
import assert from 'node:assert/strict';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { command, operate } from '#cluster-test/operations/operator.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { type MasterProcess, Masters, peerOf } from '#cluster-test/process/masters.js';

/** Masters share the machine with the hosts of the storm, and start while others stop. */
const boundMs = 90_000;

export class SiteMasters {
  readonly masters: Masters;
  #clusterId = 'test';
  #clusters = 0;
  readonly #copied = new Set<MasterProcess>();
  #copiedAllAt: number | undefined;
  #wentBackMs = Number.NEGATIVE_INFINITY;

  private constructor(masters: Masters) {
    this.masters = masters;
  }

  static async start(): Promise<SiteMasters> {
    return new SiteMasters(await Masters.start({ count: 3, config: benchConfig() }));
  }

  get addresses(): readonly string[] {
    return this.masters.addresses;
  }

  get all(): readonly MasterProcess[] {
    return this.masters.masters;
  }

  /** What a master says, once there is one that answers with a leader. */
  async adoption(): Promise<{ readonly on: boolean; readonly missing: number }> {
    return until('a status with a leader', boundMs, async () => {
      for (const master of this.all.filter(({ child }) => child.running)) {
        const status = await this.masters.status(master).catch(() => undefined);
        if (status?.leader) return { on: status.adoption, missing: status.awaited };
      }
      return undefined;
    });
  }

  /** Waits for the adoption that the claims of agents begin. */
  async adoptionBegun(): Promise<void> {
    await until('an adoption', boundMs, async () => holds((await this.adoption()).on));
  }

  /** kill -9, and a start at once. */
  async kill(masters: readonly MasterProcess[]): Promise<void> {
    await Promise.all(masters.map(({ child }) => child.kill()));
    for (const master of masters) this.#start(master);
    await this.serving();
  }

  async serving(): Promise<void> {
    await this.masters.ready(this.all, boundMs);
    await this.masters.leader(boundMs);
  }

  /** Copies the data directory of a master that is stopped for it. */
  async copyOne(master: MasterProcess): Promise<void> {
    await master.child.stop();
    copyFolder(master.dataDir, this.#copyOf(master));
    this.#copied.add(master);
    this.#start(master);
    await this.serving();
  }

  /** Stops all, copies all, starts all. */
  async copyAll(): Promise<void> {
    await Promise.all(this.all.map(({ child }) => child.stop()));
    for (const master of this.all) copyFolder(master.dataDir, this.#copyInSet(master));
    this.#copiedAllAt = performance.now();
    for (const master of this.all) this.#start(master);
    await this.serving();
  }

  /** Masters that were copied one by one. */
  get copies(): readonly MasterProcess[] {
    return [...this.#copied];
  }

  /**
   * When all masters were last put back, or a backup restored, on `performance.now()`. What a host was answered before
   * says nothing of what the masters know now.
   */
  get wentBackMs(): number {
    return this.#wentBackMs;
  }

  /** When all masters were copied together, on `performance.now()`; undefined: there is no such set. */
  get copiedAllAt(): number | undefined {
    return this.#copiedAllAt;
  }

  /**
   * One master is put back to its copy. The others have seen a later start of it: it must end, and say so. It is then
   * removed and comes back with an empty data directory.
   */
  async rewindOne(master: MasterProcess): Promise<void> {
    await master.child.stop();
    copyFolder(this.#copyOf(master), master.dataDir);
    this.#copied.delete(master);
    this.#start(master);
    await until(`${master.name} ends`, boundMs, () => holds(!master.child.running));
    const { code } = await master.child.exited;
    assert.notEqual(code, 0, master.child.output);
    assert.match(master.child.output, /was put back to an earlier state/);
    await this.#operate('members', 'remove', master.name, '--yes');
    rmSync(master.dataDir, { recursive: true });
    await this.#join(master);
    await this.serving();
  }

  /** All masters are put back to copies that were taken together. */
  async rewindAll(): Promise<void> {
    await Promise.all(this.all.map(({ child }) => child.stop()));
    for (const master of this.all) copyFolder(this.#copyInSet(master), master.dataDir);
    this.#wentBack();
    for (const master of this.all) this.#start(master);
    await this.serving();
  }

  async save(file: string): Promise<void> {
    await this.#operate('snapshot', 'save', file);
  }

  /** All masters are lost; the backup becomes a new cluster of one, which the others join with empty data directories. */
  async restore(file: string): Promise<void> {
    await Promise.all(this.all.map(({ child }) => child.kill()));
    for (const { dataDir } of this.all) rmSync(dataDir, { recursive: true });
    this.#wentBack();
    this.#clusters += 1;
    this.#clusterId = `test-${this.#clusters}`;
    const [first, ...others] = this.all;
    assert.ok(first !== undefined);
    const place = ['--data-dir', first.dataDir, '--name', first.name, '--peer', peerOf(first)];
    const restored = await command('snapshot', 'restore', file, ...place, '--cluster-id', this.#clusterId);
    assert.equal(restored.code, 0, restored.output);
    this.#start(first);
    await this.masters.ready([first], boundMs);
    for (const master of others) await this.#join(master);
  }

  /** An operator ends the adoption, and states how many agents are missing. */
  async endAdoption(): Promise<void> {
    await until('the end of adoption', boundMs, async () => {
      const { on, missing } = await this.adoption();
      if (!on) return true;
      const flags = missing === 0 ? [] : ['--although-missing', String(missing)];
      await this.#operate('adoption', 'end', '--yes', ...flags);
      return undefined;
    });
  }

  async #join(master: MasterProcess): Promise<void> {
    const peers = this.all.filter((other) => other !== master).map(peerOf);
    this.#launch(master, ['--join', peers.join(',')]);
    await until(`${master.name} waits`, boundMs, () => holds(/has no member/.test(master.child.output)));
    await this.#operate('members', 'add', `${master.name}=${peerOf(master)}`);
    await until(`${master.name} votes`, boundMs, async () => {
      await this.#operate('members', 'promote', master.name);
      return true;
    });
  }

  #operate(...args: string[]): Promise<string> {
    return operate(this.masters, ...args);
  }

  #start(master: MasterProcess): void {
    this.#launch(
      master,
      this.all.flatMap((member) => ['--member', `${member.name}=${peerOf(member)}`]),
    );
  }

  #launch(master: MasterProcess, flags: readonly string[]): void {
    const { args, child } = master;
    if (child.running) throw new Error(`${master.name} still runs`);
    const own = args.slice(0, args.indexOf('--cluster-id'));
    master.child = new Child([...own, '--cluster-id', this.#clusterId, ...flags]);
  }

  #wentBack(): void {
    this.#wentBackMs = performance.now();
    this.#copied.clear();
    this.#copiedAllAt = undefined;
  }

  #copyOf({ name }: MasterProcess): string {
    return join(this.masters.folder, `copy-${name}`);
  }

  #copyInSet({ name }: MasterProcess): string {
    return join(this.masters.folder, `copy-of-all-${name}`);
  }
}

function copyFolder(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  cpSync(from, to, { recursive: true });
}
