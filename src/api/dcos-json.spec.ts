import assert from 'node:assert/strict';
import { dcosAgentInfo, dcosNetwork } from '#api/dcos-json.js';
import { sublet } from '#proto/sublet.js';

const overlay = { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true };
const agent = {
  agentId: 'a',
  nodeIp: '10.0.0.2',
  vxlan: {
    vni: 1024,
    vtepName: 'vtep1024',
    vtepIp: '44.128.0.1/20',
    vtepMac: '70:b3:d5:80:00:01',
  },
  overlays: [
    {
      info: overlay,
      subnet: '9.0.0.0/24',
      mesosBridge: { name: 'm-dcos', ip: '9.0.0.0/25' },
      dockerBridge: { name: 'd-dcos', ip: '9.0.0.128/25' },
      state: { status: sublet.v1.OverlayStatus.OVERLAY_STATUS_OK },
    },
  ],
};

describe('DC/OS JSON', () => {
  it('has an agent in the form of the overlay agent module', () => {
    assert.deepEqual(JSON.parse(JSON.stringify(dcosAgentInfo(agent))), {
      ip: '10.0.0.2',
      overlays: [
        {
          info: { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true },
          subnet: '9.0.0.0/24',
          mesos_bridge: { name: 'm-dcos', ip: '9.0.0.0/25' },
          docker_bridge: { name: 'd-dcos', ip: '9.0.0.128/25' },
          backend: {
            vxlan: { vni: 1024, vtep_name: 'vtep1024', vtep_ip: '44.128.0.1/20', vtep_mac: '70:b3:d5:80:00:01' },
          },
          state: { status: 'STATUS_OK' },
        },
      ],
    });
  });

  it('reports a state that was never reported as invalid, and the error of a failed one', () => {
    const status = (state: sublet.v1.OverlayState.$Properties | null) =>
      dcosAgentInfo({ ...agent, overlays: [{ info: overlay, state }] }).overlays[0]?.state;
    assert.equal(status(null)?.status, 'STATUS_INVALID');
    const failed = { status: sublet.v1.OverlayStatus.OVERLAY_STATUS_FAILED, error: 'no device' };
    assert.deepEqual(status(failed), { status: 'STATUS_FAILED', error: 'no device' });
  });

  it('leaves out of the network what is not configured', () => {
    const network = { vtepSubnet: '44.128.0.0/20', vtepMacOui: '70:b3:d5:00:00:00', overlays: [overlay] };
    assert.deepEqual(JSON.parse(JSON.stringify(dcosNetwork(network))), {
      vtep_subnet: '44.128.0.0/20',
      vtep_mac_oui: '70:b3:d5:00:00:00',
      overlays: [{ name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true }],
    });
  });
});
