/** What every `MasterApi` does: over gRPC, and the masters in memory that stand for it. */
import assert from 'node:assert/strict';
import {
  type KeepAliveRequest,
  type KeepAliveResponse,
  type MasterApi,
  MasterError,
  type RegisterRequest,
  type StreamEvents,
  type WatchResponse,
} from '#agent/master-api.js';
import { grant, snapshot } from '#agent/testing/fake-masters.js';
import type { sublet } from '#proto/sublet.js';

/** The masters answer as said here; the contract sets it before each call. */
export type MasterScript = {
  readonly watched: readonly sublet.v1.WatchResponse.$Properties[];
  /** Whether a call is refused: `ALREADY_EXISTS`. */
  readonly refuses: boolean;
  readonly keptAlive: sublet.v1.KeepAliveResponse.$Properties;
};

export type ContractMasters = {
  readonly api: MasterApi;
  readonly play: (script: MasterScript) => void;
  /** Ends all streams, and has no call answered from now on. */
  readonly goDown: () => void;
  /** Advances time until `holds` returns true. Rejects when that takes too long. */
  readonly until: (what: string, holds: () => boolean) => Promise<void>;
};

export type MasterApiCase = { readonly name: string; readonly check: (subject: ContractMasters) => Promise<void> };

const script: MasterScript = { watched: snapshot(100), refuses: false, keptAlive: { nextInMs: 9, revision: 100 } };
export const contractRequest: RegisterRequest = { agentId: 'a', instanceId: 'i', nodeIp: '10.0.0.1' };
const alive: KeepAliveRequest = { agentId: 'a', instanceId: 'i', epoch: 7 };

/** Each case takes two masters that are up. */
export const masterApiContract: readonly MasterApiCase[] = [
  {
    name: 'answers calls',
    check: async (subject) => {
      const { api, play } = subject;
      play(script);
      assert.deepEqual(await settled(subject, api.register(contractRequest)), grant(contractRequest));
      assert.equal(await settled(subject, api.reportStatus({ agentId: 'a' })), undefined);
      assert.equal(await settled(subject, api.leave({ agentId: 'a' })), undefined);
    },
  },
  {
    name: 'rejects a refused call with its kind and status',
    check: async (subject) => {
      subject.play({ ...script, refuses: true });
      const error = await failure(settled(subject, subject.api.register(contractRequest)));
      assert.deepEqual([error.kind, error.status], ['refused', 'ALREADY_EXISTS']);
    },
  },
  {
    name: 'streams a watch in order, and nothing within the call that opens it',
    check: async ({ api, play, until }) => {
      play(script);
      const heard = new Heard<WatchResponse>();
      const stream = api.watch({}, heard.events);
      assert.equal(stream.master, api.current);
      assert.equal(heard.count, 0);
      await until('all of it', () => heard.messages.length === script.watched.length);
      const [first, last] = [heard.messages[0], heard.messages.at(-1)];
      assert.deepEqual([first?.snapshotBegin?.revision, last?.snapshotEnd?.revision], [100, 100]);
      stream.cancel();
    },
  },
  {
    name: 'answers each keep-alive',
    check: async ({ api, play, until }) => {
      play(script);
      const heard = new Heard<KeepAliveResponse>();
      const stream = api.keepAlive(heard.events);
      stream.send(alive);
      assert.equal(heard.count, 0);
      await until('an answer', () => heard.messages.length === 1);
      stream.send(alive);
      await until('another', () => heard.messages.length === 2);
      assert.equal(heard.messages[1]?.nextInMs, 9);
      stream.cancel();
    },
  },
  {
    name: 'has nothing come on a stream that was cancelled',
    check: async (subject) => {
      const { api, play, goDown, until } = subject;
      play(script);
      const [cancelled, other] = [new Heard<WatchResponse>(), new Heard<WatchResponse>()];
      api.watch({}, cancelled.events).cancel();
      api.watch({}, other.events);
      await until('the other has all', () => other.messages.length === script.watched.length);
      goDown();
      await until('the other ends', () => other.errors.length === 1);
      assert.equal(cancelled.count, 0);
    },
  },
  {
    name: 'ends its streams once, as unavailable, when the masters go, and nothing comes then',
    check: async (subject) => {
      const { api, play, goDown, until } = subject;
      play(script);
      const [watch, keepAlive] = [new Heard<WatchResponse>(), new Heard<KeepAliveResponse>()];
      api.watch({}, watch.events);
      const stream = api.keepAlive(keepAlive.events);
      stream.send(alive);
      await until('both are open', () => watch.messages.length > 0 && keepAlive.messages.length > 0);
      goDown();
      await until('both end', () => watch.errors.length > 0 && keepAlive.errors.length > 0);
      const messages = watch.messages.length;
      stream.send(alive);
      const error = await failure(settled(subject, api.register(contractRequest)));
      assert.equal(error.kind, 'unavailable');
      assert.deepEqual(
        [watch, keepAlive].map(({ errors }) => errors.map(({ kind }) => kind)),
        [['unavailable'], ['unavailable']],
      );
      assert.deepEqual([watch.messages.length, keepAlive.messages.length], [messages, 1]);
    },
  },
  {
    name: 'turns to the next master, once for each that was in use',
    check: async ({ api }) => {
      const first = api.current;
      api.turnFrom('10.9.9.9:1');
      assert.equal(api.current, first);
      api.turnFrom(first);
      const second = api.current;
      assert.notEqual(second, first);
      api.turnFrom(first);
      assert.equal(api.current, second);
      api.turnFrom(second);
      assert.equal(api.current, first);
    },
  },
];

class Heard<Message> {
  readonly messages: Message[] = [];
  readonly errors: MasterError[] = [];
  readonly events: StreamEvents<Message> = {
    message: (message) => this.messages.push(message),
    ended: (error) => this.errors.push(error),
  };

  get count(): number {
    return this.messages.length + this.errors.length;
  }
}

async function settled<Value>({ until }: ContractMasters, promise: Promise<Value>): Promise<Value> {
  let over = false;
  const done = (): void => {
    over = true;
  };
  promise.then(done, done);
  await until('the answer', () => over);
  return promise;
}

async function failure(call: Promise<unknown>): Promise<MasterError> {
  const error = await call.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  );
  return error instanceof MasterError ? error : assert.fail(String(error));
}
