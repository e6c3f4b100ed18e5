import assert from 'node:assert/strict';
import { advertised } from '#master/server/listen-address.js';

describe('the address that a master reports of itself', () => {
  it('is the one it listens on', () => {
    assert.equal(advertised('10.0.0.1:7070', '10.9.0.1:7071'), '10.0.0.1:7070');
    assert.equal(advertised('[fd00::1]:7070', ''), '[fd00::1]:7070');
  });

  it('has the host of its peer address when it listens on every address', () => {
    assert.equal(advertised('0.0.0.0:7070', '10.9.0.1:7071'), '10.9.0.1:7070');
    assert.equal(advertised('[::]:7170', '[fd00::1]:7071'), '[fd00::1]:7170');
    assert.equal(advertised('[::]:7170', 'm1.example:7071'), 'm1.example:7170');
  });

  it('is empty when it is not configured where the machine is reached', () => {
    assert.equal(advertised('0.0.0.0:7070', ''), '');
  });
});
