import assert from 'node:assert/strict';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { RefusedError } from '#api/refusal.js';
import { operatorService } from '#api/services.js';
import { type AccessRules, Token } from '#http/access.js';
import { HttpCallers, type HttpTls } from '#master/access/http-callers.js';
import { CallRates, operatorRates } from '#master/access/rates.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { byAddress, formatCaller } from '#tls/caller.js';
import type { Principal } from '#tls/principal.js';

const read = operatorService.getNetwork.path;
const change = operatorService.reserve.path;
const secret = '0123456789abcdef0123456789abcdef';
const alice: Principal = {
  role: 'operator',
  id: 'alice',
  serial: '01',
  beginsMs: 0,
  endsMs: 1,
};

describe('callers over HTTP', () => {
  const time = new VirtualTime();
  const asked = (authorization?: string): IncomingMessage => {
    const request = new IncomingMessage(new Socket());
    if (authorization !== undefined) request.headers.authorization = authorization;
    return request;
  };
  function callers(rules: Partial<AccessRules>, tls?: Partial<HttpTls>, revoked = false): HttpCallers {
    const check = (): void => {
      if (revoked) throw new RefusedError('permission-denied', 'revoked');
    };
    return new HttpCallers({
      rules: { open: 'nothing', advice: '', ...rules },
      rates: new CallRates(time),
      revocations: { check },
      tls: tls && {
        principalAt: () => undefined,
        refused: () => undefined,
        taken: () => undefined,
        end: () => undefined,
        ...tls,
      },
    });
  }
  const reason = (act: () => unknown): string => {
    try {
      act();
      return 'none';
    } catch (error) {
      if (error instanceof RefusedError) return error.reason;
      throw error;
    }
  };

  it('are their addresses where everything is open, and may do everything', () => {
    assert.deepEqual(callers({ open: 'change' }).admit(asked(), change), byAddress('unknown:0'));
  });

  it('are a viewer with the token, and one on loopback beside TLS', () => {
    const bearer = callers({ token: new Token(secret) });
    const request = asked(`Bearer ${secret}`);
    assert.equal(formatCaller(bearer.admit(request, read)), 'viewer/http/token@unknown:0');
    assert.equal(
      reason(() => bearer.admit(request, change)),
      'permission-denied',
    );
    const loopback = callers({ open: 'read' });
    assert.equal(formatCaller(loopback.admit(asked(), read)), 'viewer/http/loopback@unknown:0');
    assert.equal(
      reason(() => loopback.admit(asked(), change)),
      'permission-denied',
    );
  });

  it('have the identity of their certificates, unless these are revoked; refusals and grants are reported', () => {
    const taken: string[] = [];
    const refused: string[] = [];
    const tls: Partial<HttpTls> = {
      principalAt: () => alice,
      taken: ({ id }, _, path) => taken.push(`${id} ${path}`),
      refused: (caller, path) => refused.push(`${formatCaller(caller)} ${path}`),
    };
    const byCertificate = (): 'change' => 'change';
    assert.equal(formatCaller(callers({ byCertificate }, tls).admit(asked(), change)), 'operator/alice@unknown:0');
    assert.deepEqual(taken, [`alice ${change}`]);
    assert.equal(
      reason(() => callers({ byCertificate }, tls, true).admit(asked(), read)),
      'permission-denied',
    );
    assert.deepEqual(refused, [`operator/alice@unknown:0 ${read}`]);
  });

  it('are held to the rates of the API, and lose the connection for too many refusals', () => {
    const ended: string[] = [];
    const tls: Partial<HttpTls> = { principalAt: () => alice, end: (from) => ended.push(from) };
    const one = callers({ byCertificate: () => 'change' }, tls);
    for (let n = 0; n < operatorRates.calls.burst; n++) one.admit(asked(), read);
    for (let n = 0; n < operatorRates.refusals.burst; n++) {
      assert.equal(
        reason(() => one.admit(asked(), read)),
        'overloaded',
      );
    }
    assert.deepEqual(ended, []);
    assert.equal(
      reason(() => one.admit(asked(), read)),
      'overloaded',
    );
    assert.deepEqual(ended, ['unknown:0']);
  });
});
