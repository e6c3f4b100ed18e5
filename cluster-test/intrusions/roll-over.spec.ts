/** Row 64 of docs/intrusions.md: masters change to another authority while one of them is down. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { benchConfig, registration } from '#cluster-test/bench/plan.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { TestAuthority, writeTlsFiles } from '#tls/testing/test-authority.js';

const boundMs = 30_000;

describe('a roll-over of the authority', function () {
  this.timeout(90_000);
  let first: TestAuthority;
  let next: TestAuthority;
  let masters: Masters | undefined;

  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });
  after(() => masters?.[Symbol.asyncDispose]());

  /** Gives the master a certificate of the next authority, and the trust in these. */
  async function renew({ name }: MasterProcess, trusted: readonly TestAuthority[]): Promise<void> {
    const { cert, key } = await next.issue(`sublet://master/${name}`);
    const ca = trusted.map(({ pem }) => pem).join('');
    writeTlsFiles(join(masters?.folder ?? '', `tls-${name}`), { ca, cert, key });
  }

  async function inUse(renewed: readonly MasterProcess[]): Promise<void> {
    const taken = ({ child }: MasterProcess): boolean => child.output.includes('the new certificate is in use');
    await until('the new certificates are in use', boundMs, () => holds(renewed.every(taken)));
  }

  /** Registers through this master alone, with a certificate of this authority. */
  async function registers(number: number, at: MasterProcess, of: TestAuthority): Promise<void> {
    const request = registration(number);
    const folder = join(masters?.folder ?? '', `agent-${number}`);
    const { cert, key } = await of.issue(`sublet://agent/${request.agentId}`);
    const files = writeTlsFiles(folder, { ca: `${first.pem}${next.pem}`, cert, key });
    const client = new MasterClient({
      masters: [at.api],
      credentials: masterCredentials(readTlsFiles(files, ['agent'])),
    });
    const { agent } = await client.call(agentService.register, request, { idempotent: true });
    assert.equal(agent?.agentId, request.agentId);
    client.close();
  }

  it('row 64: refuses no master and no agent while one master is down and comes back with its old certificate', async () => {
    next = await TestAuthority.make('next');
    first = await TestAuthority.make('first', [next]);
    masters = await Masters.start({ count: 3, config: benchConfig(), authority: first });
    const [m1, m2, m3] = masters.masters;
    assert.ok(m1 !== undefined && m2 !== undefined && m3 !== undefined);
    await m3.child.kill();
    for (const each of [m1, m2]) await renew(each, [first, next]);
    await inUse([m1, m2]);
    await registers(1, m1, first);
    await registers(2, m2, next);

    masters.restart(m3);
    await masters.ready();
    await registers(3, m3, first);
    await registers(4, m3, next);

    await renew(m3, [first, next]);
    await inUse([m3]);
    await masters.ready();
    for (const [at, each] of [m1, m2, m3].entries()) await registers(5 + at, each, next);
    for (const { child } of [m1, m2, m3]) assert.doesNotMatch(child.output, /is of another authority/);
  });
});
