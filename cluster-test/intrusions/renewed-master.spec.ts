/**
 * A master's certificate is renewed while thousands of streams are open: row 63 of docs/intrusions.md. In a test run there are
 * 1,000 of them; 10,000 where the fuzz specs are made to last (SUBLET_FUZZ_MINUTES).
 */
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import type { ClientHttp2Session } from 'node:http2';
import { MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { benchConfig, registration } from '#cluster-test/bench/plan.js';
import { memoryOf } from '#cluster-test/bench/process-usage.js';
import { fuzzSoaks } from '#cluster-test/fuzz/amount.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';
import { callOn, openSession } from '#tls/testing/http2-session.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

const boundMs = 60_000;
const streamsInAll = fuzzSoaks ? 10_000 : 1_000;
/** As many as one agent may have. */
const streamsOfOne = 16;

describe('a master whose certificate is renewed', function () {
  this.timeout(3 * boundMs);
  let masters: Masters;
  let master: MasterProcess;
  const sessions: ClientHttp2Session[] = [];

  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });
  after(async () => {
    for (const session of sessions) session.destroy();
    await masters?.[Symbol.asyncDispose]();
  });

  it(`row 63: ends none of ${streamsInAll} streams when the key comes before the certificate, and each goes on to bring what happens`, async () => {
    const authority = await TestAuthority.make();
    masters = await Masters.start({ count: 1, config: benchConfig(), authority });
    master = masters.masters[0] ?? assert.fail();
    const before = memoryOf(master.child.pid).residentMb;
    /** By stream: messages so far. */
    const messages = new Map<number, number>();
    const ended: string[] = [];
    const watch = (session: ClientHttp2Session, number: number): void => {
      const request = agentService.watch.request.encode({ peersOnly: true }).finish();
      const stream = callOn(session, agentService.watch.path, request);
      stream.on('data', () => messages.set(number, (messages.get(number) ?? 0) + 1));
      stream.on('error', (error) => ended.push(`${number}: ${error.message}`));
      stream.on('close', () => ended.push(`${number}: closed`));
    };
    for (let number = 0; number < streamsInAll; ) {
      const session = await secured(authority, `watcher-${number}`);
      for (let at = 0; at < streamsOfOne && number < streamsInAll; at++) watch(session, number++);
    }
    await until('every stream has begun', boundMs, () => holds(messages.size === streamsInAll));
    const withStreams = memoryOf(master.child.pid).residentMb;

    const file = (name: string): string => master.args[master.args.indexOf(`--tls-${name}`) + 1] ?? assert.fail();
    const { cert, key } = await authority.issue('sublet://master/m1');
    // As a renewal does: beside, then renamed.
    const put = (half: string, content: string): void => {
      const beside = `${file(half)}.new`;
      writeFileSync(beside, content, { mode: 0o600 });
      renameSync(beside, file(half));
    };
    const says = (text: RegExp): Promise<true> =>
      until(`the log has ${text}`, boundMs, () => holds(text.test(master.child.output)));
    put('key', key);
    await says(/the files of tls have changed and can't be used: tls\.key/);
    put('cert', cert);
    await says(/the new certificate is in use/);
    assert.deepEqual(ended, []);

    const seen = new Map(messages);
    const client = new MasterClient({ masters: masters.addresses, ...(await masters.credentials('agent', 'agent-1')) });
    await client.call(agentService.register, registration(1), { idempotent: true });
    client.close();
    await until('every stream brings the new agent', boundMs, () =>
      holds([...seen].every(([number, count]) => (messages.get(number) ?? 0) > count)),
    );
    assert.deepEqual(ended, []);
    assert.ok(master.child.running);
    console.log(
      `      ${streamsInAll} streams: ${Math.round(before)} MB before, ${Math.round(withStreams)} MB with them`,
    );
  });

  async function secured(authority: TestAuthority, id: string): Promise<ClientHttp2Session> {
    const identity = { ca: authority.pem, ...(await authority.issue(`sublet://agent/${id}`)) };
    const session = openSession(master.api, identity);
    sessions.push(session);
    return session;
  }
});
