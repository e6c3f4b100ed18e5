/** A master with the page of the plan, in this process: a real HTTP port over a log in memory. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { parseCidr4 } from '#address/cidr4.js';
import { agentService } from '#api/services.js';
import type { AccessRules } from '#http/access.js';
import { HttpCallers } from '#master/access/http-callers.js';
import { CallRates } from '#master/access/rates.js';
import { httpServer } from '#master/server/http-server.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { byAddress } from '#tls/caller.js';

/** Calls under way at a time. */
const together = 500;
const callMs = 30_000;
const turnMs = 20;

/** Time at the master: a tenth as fast as outside, so that no agent falls silent by itself; a spec can advance it. */
class SlowTime {
  readonly clock = new VirtualTime();
  #passing: Promise<void> = Promise.resolve();
  readonly #timer = setInterval(() => void this.pass(turnMs / 10), turnMs);

  pass(durationMs: number): Promise<void> {
    this.#passing = this.#passing.then(() => this.clock.runFor(durationMs));
    return this.#passing;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

export class PageMaster implements AsyncDisposable {
  readonly masters: TestMasters;
  readonly url: string;
  readonly time: SlowTime;
  readonly #server: Server;

  private constructor(masters: TestMasters, time: SlowTime, url: string, server: Server) {
    this.masters = masters;
    this.time = time;
    this.url = url;
    this.#server = server;
  }

  static async start(rules: Partial<AccessRules> = { open: 'change' }): Promise<PageMaster> {
    const time = new SlowTime();
    const masters = await TestMasters.start({
      clock: time.clock,
      settings: { vtepSubnet: parseCidr4('44.128.0.0/15') },
    });
    const { services } = masters.master(0);
    const access: AccessRules = { open: 'nothing', advice: 'send the token', ...rules };
    const rates = new CallRates(systemClock);
    const callers = new HttpCallers({ rules: access, rates, revocations: { check: () => undefined } });
    const server = httpServer({
      plan: services.plan,
      metrics: { page: async () => '', contentType: 'text/plain' },
      calls: services.unaryCalls(() => undefined),
      notReady: () => undefined,
      report: (error) => assert.fail(String(error)),
      hosts: [],
      access,
      callers,
      page: services.page(callers),
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    return new PageMaster(masters, time, `http://127.0.0.1:${port}/ui/`, server);
  }

  /** Registers `host-FROM` to before `host-TO`. */
  async register(from: number, to: number): Promise<void> {
    const { services } = this.masters.master(0);
    const { path, request } = agentService.register;
    for (let at = from; at < to; at += together) {
      const calls = Array.from({ length: Math.min(together, to - at) }, (_, index) => {
        const number = at + index;
        const nodeIp = `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
        const agentId = `host-${String(number).padStart(5, '0')}`;
        const asked = { agentId, hostname: `${agentId}.example`, instanceId: 'i', sequence: 1, nodeIp };
        return services.call(path, request.encode(asked).finish(), byAddress('10.9.9.9:1'), callMs);
      });
      await Promise.all(calls);
    }
  }

  /** Ends the connections of all pages. */
  cut(): void {
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.time.stop();
    this.#server.close();
    this.cut();
    await this.masters[Symbol.asyncDispose]();
  }
}
