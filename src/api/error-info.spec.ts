import assert from 'node:assert/strict';
import { Metadata } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { reasonOf, refusalMetadata, wireReason } from '#api/error-info.js';
import { RefusedError, refusalReasons } from '#api/refusal.js';

/** The messages as Google publishes them, reduced to what is looked at here. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  message Any { string type_url = 1; bytes value = 2; }
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
`);
const [Status, ErrorInfo] = [root.lookupType('google.rpc.Status'), root.lookupType('google.rpc.ErrorInfo')];
const typeUrl = 'type.googleapis.com/google.rpc.ErrorInfo';

function withDetails(...details: readonly object[]): Metadata {
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(Status.encode({ code: 8, message: 'm', details }).finish()));
  return metadata;
}

function info(parts: object): object {
  return { typeUrl, value: ErrorInfo.encode(parts).finish() };
}

describe('the reason of a refusal', () => {
  it('goes with the status as a google.rpc.ErrorInfo', () => {
    const metadata = refusalMetadata(new RefusedError('overloaded', 'ö: 3 calls'));
    const [bytes] = metadata.get('grpc-status-details-bin');
    assert.ok(Buffer.isBuffer(bytes));
    const { code, message, details } = Status.toObject(Status.decode(bytes));
    assert.deepEqual({ code, message }, { code: 8, message: 'ö: 3 calls' });
    assert.equal(details.length, 1);
    assert.equal(details[0].typeUrl, typeUrl);
    assert.deepEqual(ErrorInfo.toObject(ErrorInfo.decode(details[0].value)), {
      reason: 'OVERLOADED',
      domain: 'sublet',
    });
  });

  it('is read back, whichever it is', () => {
    for (const reason of refusalReasons) {
      assert.equal(reasonOf({ metadata: refusalMetadata(new RefusedError(reason, 'why')) }), reason);
    }
    assert.ok(refusalReasons.length > 10);
    // The form that google.rpc.ErrorInfo asks for.
    assert.ok(refusalReasons.every((reason) => /^[A-Z][A-Z_]*[A-Z]$/.test(wireReason(reason))));
  });

  it('is found among other details', () => {
    const other = { typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value: Buffer.of(1, 2, 3) };
    const metadata = withDetails(other, info({ reason: 'ABORTED', domain: 'sublet', metadata: { a: 'b' } }));
    assert.equal(reasonOf({ metadata }), 'aborted');
  });

  it('is unknown when there are no details, foreign ones, a reason of another version, or no status', () => {
    const broken = new Metadata();
    broken.set('grpc-status-details-bin', Buffer.of(0x1a, 0xff, 0xff));
    for (const metadata of [
      new Metadata(),
      withDetails(),
      withDetails(info({ reason: 'OVERLOADED', domain: 'example.org' })),
      withDetails(info({ reason: 'NEWS', domain: 'sublet' })),
      withDetails({ typeUrl, value: Buffer.of(0xff) }),
      broken,
    ]) {
      assert.equal(reasonOf({ metadata }), undefined);
    }
  });
});
