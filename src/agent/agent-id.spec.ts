import assert from 'node:assert/strict';
import { AgentIdError, agentIdOf } from '#agent/agent-id.js';
import { AgentWorld } from '#agent/testing/agent-world.js';

describe('The id of an agent', () => {
  let world: AgentWorld;
  beforeEach(() => {
    world = new AgentWorld();
  });

  const idOf = (hostname: string, given?: string): string =>
    agentIdOf({ given, hostname, store: world.store, log: world.log });

  /** An agent ran on the state directory as `agentId`. */
  async function ranAs(agentId: string): Promise<void> {
    const agent = world.start({ agentId });
    await world.time.runFor(1_000);
    await agent.stop();
    world.logged.length = 0;
  }

  it('is the one that was given', async () => {
    assert.equal(idOf('host', 'given'), 'given');
    await ranAs('former');
    assert.equal(idOf('host', 'given'), 'given');
  });

  it('is the host name by default', () => {
    assert.equal(idOf('a.example.com'), 'a.example.com');
    assert.deepEqual(world.logged, []);
  });

  it('goes on when the host is renamed, and says so', async () => {
    await ranAs('a');
    assert.equal(idOf('a.example.com'), 'a');
    assert.equal(world.logged.length, 1);
    assert.match(
      world.logged[0] ?? '',
      /named "a\.example\.com" now; its state_dir is of "a", and it goes on under that id/,
    );
  });

  it('goes on without a word when the name is the same', async () => {
    await ranAs('a');
    assert.equal(idOf('a'), 'a');
    assert.deepEqual(world.logged, []);
  });

  it('is the new name after a leave: nothing is held under the old one', async () => {
    const agent = world.start({ agentId: 'a' });
    await world.time.runFor(1_000);
    const left = agent.leave();
    await world.time.runFor(1_000);
    await left;
    assert.equal(idOf('b'), 'b');
  });

  it('goes on also where the new name is no id', async () => {
    await ranAs('a');
    assert.equal(idOf('localhost'), 'a');
    assert.equal(idOf(''), 'a');
  });

  for (const name of ['', 'localhost', 'localhost.localdomain', '(none)', 'a b', 'x'.repeat(254)]) {
    it(`is not ${JSON.stringify(name.slice(0, 30))}: the error says what to give`, () => {
      assert.throws(
        () => idOf(name),
        (error) => error instanceof AgentIdError && /--id/.test(error.message),
      );
    });
  }
});
