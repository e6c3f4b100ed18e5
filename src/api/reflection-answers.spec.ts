import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { ReflectionAnswers } from '#api/reflection-answers.js';
import { RefusedError } from '#api/refusal.js';

/** The messages of grpc.reflection.v1, and of descriptor.proto what is looked at here, read by protobufjs's own parser. */
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Request {
    string host = 1;
    oneof asked { string file_by_filename = 3; string file_containing_symbol = 4; Extension extension = 5;
      string all_extension_numbers_of_type = 6; string list_services = 7; }
  }
  message Extension { string containing_type = 1; int32 extension_number = 2; }
  message Response { string valid_host = 1; bytes original_request = 2; Files files = 4; Services services = 6; Failure error = 7; }
  message Files { repeated bytes file = 1; }
  message Services { repeated Service service = 1; }
  message Service { string name = 1; }
  message Failure { int32 code = 1; string message = 2; }
  message File { string name = 1; string package = 2; repeated string dependency = 3; repeated bytes extension = 7; }
  message FileSet { repeated bytes file = 1; }
`);
const type = (name: string) => root.lookupType(name);
const set = readFileSync(new URL('../../proto/sublet.binpb', import.meta.url));
const files = () =>
  (type('FileSet').decode(set).toJSON().file as string[]).map((base64) => Buffer.from(base64, 'base64'));

type Answer = {
  readonly validHost?: string;
  readonly originalRequest: string;
  readonly files?: { readonly file: readonly string[] };
  readonly services?: { readonly service: readonly { readonly name: string }[] };
  readonly error?: { readonly code: number; readonly message: string };
};

describe('the answers of reflection', () => {
  const answers = new ReflectionAnswers(set);
  const ask = (request: object): Answer => {
    const bytes = type('Request').encode(request).finish();
    const answer = type('Response').decode(answers.answer(bytes)).toJSON() as Answer;
    assert.deepEqual(Buffer.from(answer.originalRequest ?? '', 'base64'), Buffer.from(bytes));
    return answer;
  };
  const namesIn = ({ files: found }: Answer): string[] =>
    (found?.file ?? []).map((bytes) => type('File').decode(Buffer.from(bytes, 'base64')).toJSON().name);

  it('list the services of the files, and those alone', () => {
    assert.deepEqual(
      ask({ listServices: '*' })
        .services?.service.map(({ name }) => name)
        .sort(),
      [
        'grpc.health.v1.Health',
        'sublet.v1.AccessService',
        'sublet.v1.AgentService',
        'sublet.v1.CertificateService',
        'sublet.v1.ClusterService',
        'sublet.v1.JoinService',
        'sublet.v1.OperatorService',
      ],
    );
  });

  it('give a file as it was compiled, first, and each import once', () => {
    const answer = ask({ fileByFilename: 'sublet/v1/agent_service.proto' });
    const names = namesIn(answer);
    assert.equal(names[0], 'sublet/v1/agent_service.proto');
    assert.equal(new Set(names).size, names.length);
    const compiled = files().map((file) => file.toString('base64'));
    for (const file of answer.files?.file ?? []) assert.ok(compiled.includes(file));
    // What is imported is there, or a strict client could not link the files.
    for (const file of answer.files?.file ?? []) {
      const { dependency = [] } = type('File').decode(Buffer.from(file, 'base64')).toJSON();
      for (const name of dependency) assert.ok(names.includes(name), name);
    }
    assert.ok(names.includes('google/protobuf/timestamp.proto'), names.join());
  });

  const symbols = [
    'sublet.v1.AgentService',
    'sublet.v1.AgentService.Register',
    'sublet.v1.RegisterRequest',
    'sublet.v1.RegisterRequest.agent_id',
    'sublet.v1.OverlayStatus',
    'sublet.v1.OVERLAY_STATUS_FAILED',
    'grpc.health.v1.HealthCheckResponse.ServingStatus',
    'grpc.health.v1.HealthCheckResponse.NOT_SERVING',
    'google.protobuf.Timestamp.seconds',
  ];
  for (const symbol of symbols) {
    it(`find the file of ${symbol}`, () => {
      const [file = ''] = ask({ fileContainingSymbol: symbol }).files?.file ?? [];
      const { package: scope } = type('File').decode(Buffer.from(file, 'base64')).toJSON();
      assert.ok(symbol.startsWith(`${scope}.`), `${symbol} in ${scope}`);
    });
  }

  it('say what is not there, with the host as it was given', () => {
    const answer = ask({ host: 'm1', fileContainingSymbol: 'sublet.raft.v1.PeerService' });
    assert.deepEqual(answer.error, { code: 5, message: 'there is no file or symbol "sublet.raft.v1.PeerService"' });
    assert.equal(answer.validHost, 'm1');
    assert.equal(ask({ fileByFilename: '../../etc/passwd' }).error?.code, 5);
    assert.equal(ask({ fileContainingSymbol: '__proto__' }).error?.code, 5);
    assert.equal(ask({ extension: { containingType: 'sublet.v1.Agent', extensionNumber: 1 } }).error?.code, 5);
    assert.equal(ask({ allExtensionNumbersOfType: 'sublet.v1.Agent' }).error?.code, 5);
    assert.equal(ask({}).error?.code, 12);
  });

  it('are right that there are no extensions', () => {
    for (const file of files()) assert.equal(type('File').decode(file).toJSON().extension, undefined);
  });

  it('refuse what is no request', () => {
    for (const bytes of [
      [0x1a, 0xff],
      [0x22, 5, 1],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ]) {
      const isMalformed = (error: unknown) =>
        error instanceof RefusedError && /ServerReflectionRequest/.test(error.message);
      assert.throws(() => answers.answer(Uint8Array.from(bytes)), isMalformed);
    }
  });
});
