import assert from 'node:assert/strict';
import { PlanPicture } from '#cli/plan-picture.js';
import { agent1, agent2 } from '#cli/testing/samples.js';
import { sublet } from '#proto/sublet.js';

const { OverlayStatus, WatchResponse } = sublet.v1;
type Change = sublet.v1.Change.$Properties;
type Agent = sublet.v1.Agent.$Properties;

const network = {
  vtepSubnet: '44.128.0.0/20',
  overlays: [{ name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true }],
};

/** A picture that has taken in a snapshot at revision 9. */
function picture(...agents: readonly Agent[]): PlanPicture {
  const made = new PlanPicture();
  snapshot(made, 9, agents);
  return made;
}

function snapshot(into: PlanPicture, revision: number, agents: readonly Agent[]): readonly string[] {
  into.take(new WatchResponse({ snapshotBegin: { clusterId: 'c', revision } }));
  into.take(new WatchResponse({ snapshotChunk: { network, agents: [...agents] } }));
  return into.take(new WatchResponse({ snapshotEnd: { revision } }));
}

function changes(...list: readonly Change[]): sublet.v1.WatchResponse {
  return new WatchResponse({ changes: { changes: [...list], revision: list.at(-1)?.revision ?? 0 } });
}

describe('a watch, in words', () => {
  it('says what it begins with', () => {
    assert.equal(
      picture(agent1, agent2).introduction(9),
      'Revision 9: 2 agents. Every change from here on, until Ctrl-C:\n',
    );
  });

  it('reports agents that come, change and go', () => {
    const seen = picture(agent1);
    const [dcos, dcos6] = agent1.overlays ?? [];
    assert.deepEqual(seen.take(changes({ revision: 10, agentChanged: agent2 })), [
      '      10  + agent agent-2 at 10.0.0.2: no subnet, VTEP 44.128.0.2/20',
    ]);
    const built = { ...dcos6, state: { status: OverlayStatus.OVERLAY_STATUS_OK } };
    assert.deepEqual(
      seen.take(
        changes({ revision: 11, agentChanged: { ...agent1, nodeIp: '10.0.0.9', overlays: [dcos ?? {}, built] } }),
      ),
      [
        '      11  ~ agent agent-1: node ip 10.0.0.9, was 10.0.0.1',
        '      11  ~ agent agent-1: on the host dcos ok, dcos6 ok, was dcos ok, dcos6 failed (Docker does not answer at /var/run/docker.sock)',
      ],
    );
    assert.deepEqual(seen.take(changes({ revision: 12, agentRemoved: 'agent-1' })), [
      '      12  - agent agent-1 is gone: held dcos 9.0.0.0/24, dcos6 fd01:b::/80',
    ]);
  });

  it('reports overlays that come, change and go', () => {
    const seen = picture();
    const two = { name: 'two', subnet: '10.128.0.0/12', prefix: 26, enabled: true };
    const [dcos = {}] = network.overlays;
    assert.deepEqual(seen.take(changes({ revision: 10, networkChanged: { ...network, overlays: [dcos, two] } })), [
      '      10  + overlay two: 10.128.0.0/12 in /26s, enabled',
    ]);
    const disabled = { ...two, enabled: false };
    assert.deepEqual(
      seen.take(changes({ revision: 11, networkChanged: { vtepSubnet: '44.128.0.0/16', overlays: [disabled] } })),
      [
        '      11  ~ overlay two: 10.128.0.0/12 in /26s, disabled, was 10.128.0.0/12 in /26s, enabled',
        '      11  - overlay dcos is gone',
        '      11  ~ VTEP subnet: 44.128.0.0/16, was 44.128.0.0/20',
      ],
    );
  });

  it('reports what differs in a second snapshot', () => {
    const seen = picture(agent1);
    assert.deepEqual(snapshot(seen, 20, [agent1]), []);
    assert.deepEqual(snapshot(seen, 21, [agent2]), [
      '      21  - agent agent-1 is gone: held dcos 9.0.0.0/24, dcos6 fd01:b::/80',
      '      21  + agent agent-2 at 10.0.0.2: no subnet, VTEP 44.128.0.2/20',
    ]);
  });
});
