/** A master with the page of the plan, in this process: a real HTTP port over a log in memory. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { parseCidr4 } from '#address/cidr4.js';
import { agentService } from '#api/services.js';
import type { AccessRules } from '#http/access.js';
import { HttpCallers } from '#master/access/http-callers.js';
import { CallRates } from '#master/access/rates.js';
import { httpServer } from '#master/server/http-server.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { byAddress } from '#tls/caller.js';

/** Calls under way at a time. */
const together = 500;
const callMs = 30_000;

export class PageMaster implements AsyncDisposable {
  readonly masters: TestMasters;
  readonly url: string;
  readonly #close: () => void;

  private constructor(masters: TestMasters, url: string, close: () => void) {
    this.masters = masters;
    this.url = url;
    this.#close = close;
  }

  static async start(rules: Partial<AccessRules> = { open: 'change' }): Promise<PageMaster> {
    const masters = await TestMasters.start({ settings: { vtepSubnet: parseCidr4('44.128.0.0/15') } });
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
    return new PageMaster(masters, `http://127.0.0.1:${port}/ui/`, () => {
      server.close();
      server.closeAllConnections();
    });
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

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.masters[Symbol.asyncDispose]();
  }
}
