/** The simulated clock, disk and network do what the real ones do, as far as nothing is made to fail. */

import { clockContract, logStoreContract, peerNetworkContract } from 'sublet/raft/contracts';
import { SimulatedDisk } from '#cluster-test/simulation/world/simulated-disk.js';
import { SimulatedNetwork, SimulatedPeers } from '#cluster-test/simulation/world/simulated-network.js';
import { Machine, SimulatedProcess, World } from '#cluster-test/simulation/world/world.js';
import type { LogStore } from '#replica/ports/log-store.js';
import { openLogStore } from '#storage/key-value-log-store.js';
import { identityFileContract } from '#storage/testing/identity-file-contract.js';
import { keyValueContract } from '#storage/testing/key-value-contract.js';

const storeId = '0123456789abcdef0123456789abcdef';

/** A world whose time goes on by itself, until it is disposed of. */
class RunningWorld {
  readonly world = new World(1);
  readonly #machine = new Machine(this.world, 'm1', 1);
  #process = new SimulatedProcess(this.#machine, 'm1');
  #ends = false;
  readonly #running = this.#run();

  get process(): SimulatedProcess {
    return this.#process;
  }

  /** `kill -9`, and started again. */
  restart(): SimulatedProcess {
    this.#process.kill();
    this.#process = new SimulatedProcess(this.#machine, 'm1');
    return this.#process;
  }

  async dispose(): Promise<void> {
    this.#ends = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ends) await this.world.time.runFor(1);
  }
}

for (const rate of [1, 1.001, 0.999]) {
  describe(`a simulated clock at ${rate} of the true rate`, () => {
    for (const { name, run } of clockContract(async () => {
      const world = new World(1);
      const { clock } = new SimulatedProcess(new Machine(world, 'm1', rate), 'm1');
      return { clock, pass: (ms) => world.time.runFor(ms / rate) };
    })) {
      it(name, run);
    }
  });
}

describe('a simulated disk', () => {
  for (const { name, run } of keyValueContract(async () => {
    const running = new RunningWorld();
    const disk = new SimulatedDisk(running.world, 'm1', () => storeId);
    const backend = await disk.open(running.process).openBackend(true);
    const reopen = () => disk.open(running.restart()).openBackend(false);
    return { value: { backend, reopen }, dispose: () => running.dispose() };
  })) {
    it(name, run);
  }
});

describe('an identity file on a simulated disk', () => {
  for (const { name, run } of identityFileContract(async () => {
    const running = new RunningWorld();
    const disk = new SimulatedDisk(running.world, 'm1', () => storeId);
    const file = disk.open(running.process).identityFile;
    const reopen = async () => disk.open(running.restart()).identityFile;
    return { value: { file, reopen }, dispose: () => running.dispose() };
  })) {
    it(name, run);
  }
});

describe('a log store on a simulated disk', () => {
  for (const { name, run } of logStoreContract(async () => {
    const running = new RunningWorld();
    let ids = 0;
    const newId = (): string => (ids++).toString(16).padStart(8, '0').repeat(4);
    const disk = new SimulatedDisk(running.world, 'm1', newId);
    const first = await openLogStore(disk.open(running.process));
    let newest = first;
    const reopen = async (): Promise<LogStore> => {
      await newest.close();
      newest = await openLogStore(disk.open(running.restart()));
      return newest;
    };
    return { value: { store: first, reopen }, dispose: () => running.dispose() };
  })) {
    it(name, run);
  }
});

describe('a simulated network', () => {
  for (const { name, run } of peerNetworkContract(async () => {
    const world = new World(1);
    const network = new SimulatedNetwork(world);
    const networks = ['a', 'b', 'c'].map((host) => {
      const peer = `${host}:7071`;
      const process = new SimulatedProcess(new Machine(world, host, 1), host);
      return { peer, network: new SimulatedPeers(network, process, peer) };
    });
    const until = (what: string, holds: () => boolean) => world.time.runUntil(holds, 60_000, what);
    return { value: { networks, nowhere: 'd:7071', until } };
  })) {
    it(name, run);
  }
});
