import assert from 'node:assert/strict';
import { addressProblem } from '#master/members/recorded-address.js';

const named = (...pairs: readonly string[]) =>
  pairs.map((pair) => {
    const [name = '', peer = ''] = pair.split('=');
    return { name, peer };
  });
const members = named('m1=10.0.0.1:7071', 'm2=10.0.0.2:7071');
const [self = { name: '', peer: '' }] = members;

describe('a master and its recorded address', () => {
  it('agree when it is configured where it is recorded, wherever it listens', () => {
    for (const listens of ['10.0.0.1:7071', '0.0.0.0:7071', '172.17.0.2:9000']) {
      assert.equal(addressProblem({ self, members, founders: members, joins: false, listens }), undefined);
    }
  });

  it('differ when it is configured elsewhere: both are reported, and the ways out with the configured addresses', () => {
    const founders = named('m1=10.1.0.1:7071', 'm2=10.1.0.2:7071');
    const told = addressProblem({ self, members, founders, joins: false, listens: '0.0.0.0:7071' }) ?? '';
    assert.match(
      told,
      /recorded at m1=10\.0\.0\.1:7071, m2=10\.0\.0\.2:7071, but m1 is configured at 10\.1\.0\.1:7071/,
    );
    assert.match(told, /`sublet members move m1=10\.1\.0\.1:7071`/);
    assert.match(told, /`sublet members move m1=10\.1\.0\.1:7071 m2=10\.1\.0\.2:7071 --data-dir DIR`/);
  });

  it('are compared by where it listens when it joined, and by the port when it listens at all addresses', () => {
    const joined = (listens: string) =>
      addressProblem({ self, members, founders: named(`m1=${listens}`), joins: true, listens });
    assert.equal(joined('10.0.0.1:7071'), undefined);
    assert.equal(joined('0.0.0.0:7071'), undefined);
    assert.equal(joined('[::]:7071'), undefined);
    assert.match(joined('0.0.0.0:8071') ?? '', /listens at 0\.0\.0\.0:8071/);
    assert.match(joined('10.1.0.1:7071') ?? '', /`sublet members move m1=HOST:PORT`/);
  });
});
