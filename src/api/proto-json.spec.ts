import assert from 'node:assert/strict';
import { jsonOf, responseJson } from '#api/proto-json.js';
import { agentService, clusterService, operatorService } from '#api/services.js';
import { sublet } from '#proto/sublet.js';

const { BlockState, LookupKind, Agent } = sublet.v1;

describe('proto JSON', () => {
  it('writes lowerCamelCase names in field order, 64-bit numbers as strings and enums by name', () => {
    const json = responseJson(operatorService.lookup, {
      ip: '9.0.0.1',
      kind: LookupKind.LOOKUP_KIND_OVERLAY,
      revision: 12,
      blockState: BlockState.BLOCK_STATE_HELD,
      nodeIp: '10.0.0.1',
    });
    assert.equal(
      JSON.stringify(json),
      '{"ip":"9.0.0.1","kind":"LOOKUP_KIND_OVERLAY","blockState":"BLOCK_STATE_HELD","revision":"12","nodeIp":"10.0.0.1"}',
    );
  });

  it('leaves out default values, but not a set optional one', () => {
    assert.deepEqual(responseJson(clusterService.getStatus, { name: '', term: 0, warnings: [] }), {});
    assert.deepEqual(responseJson(agentService.keepAlive, { ttlLeftMs: 0, nextInMs: 0 }), { ttlLeftMs: '0' });
    assert.deepEqual(responseJson(operatorService.updateOverlay, { overlay: { name: 'dcos', enabled: false } }), {
      overlay: { name: 'dcos' },
    });
  });

  it('writes times as RFC 3339 in UTC, with as many digits as needed', () => {
    const json = (seconds: number, nanos: number) =>
      jsonOf('sublet.v1.Agent', Agent, { registeredAt: { seconds, nanos } });
    assert.deepEqual(json(1_700_000_000, 0), { registeredAt: '2023-11-14T22:13:20Z' });
    assert.deepEqual(json(1_700_000_000, 120_000_000), { registeredAt: '2023-11-14T22:13:20.120Z' });
  });

  it('keeps numbers up to 2^53 − 1 exactly', () => {
    assert.deepEqual(responseJson(agentService.leave, { revision: Number.MAX_SAFE_INTEGER }), {
      revision: '9007199254740991',
    });
  });
});
