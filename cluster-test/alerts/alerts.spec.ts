/**
 * Each alert of deploy/sublet.rules.yml fires for the fault that it is for, and goes when that is mended: real masters and
 * agents, and Prometheus' own engine over what they say. In a test run promtool plays what was recorded, by the rules as they
 * are. Made to last (SUBLET_ALERT_MINUTES), a real Prometheus watches each fault alone as well, and those are brought about
 * that take a minute to show or to go.
 */
import assert from 'node:assert/strict';
import { type AlertFault, AlertSite } from '#cluster-test/alerts/alert-site.js';
import { AlertWatch } from '#cluster-test/alerts/alert-watch.js';
import { CertificateFaults } from '#cluster-test/alerts/certificate-faults.js';
import { GrowthFault } from '#cluster-test/alerts/growth-fault.js';
import { HostFaults } from '#cluster-test/alerts/host-faults.js';
import { Prometheus, type PrometheusOptions } from '#cluster-test/alerts/prometheus.js';
import { judged, unanswered } from '#cluster-test/alerts/promtool.js';
import { alertRules, scrape } from '#cluster-test/alerts/recording.js';
import { cniTools } from '#cluster-test/host/requirements.js';
import { operate } from '#cluster-test/operations/operator.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { command, requires } from '#cluster-test/requirement.js';

const isSoak = Number(process.env.SUBLET_ALERT_MINUTES ?? 0) > 0;
/** Of all of them, on a machine that does much else; the soak takes 10 minutes. */
const boundMs = 1_800_000;
/** Those that a test run leaves to the soak; the second one is seen by cluster-test/host/scene.spec.ts. */
const slow = [
  'SubletPlansDiffer',
  'SubletAgentsSilent',
  'SubletLeaseContested',
  'SubletCertificateReloadFailed',
  'SubletOverlayFullSoon',
];

/** What is scraped, and where Prometheus runs for that. */
type Scraped = Pick<AlertSite, 'targets'> & Omit<PrometheusOptions, 'targets'>;

/** The alerts that were seen to fire and to go. */
const seen = new Set<string>();

/** Brings the faults about, and mends them: at once in a test run, one after the other in the soak. */
async function shown(scraped: Scraped, ...faults: readonly AlertFault[]): Promise<void> {
  if (isSoak) {
    for (const fault of faults) await shownLive(scraped, fault);
    return;
  }
  const watch = await AlertWatch.begin(faults[0]?.targets?.() ?? scraped.targets);
  await Promise.all(faults.map(({ bringAbout }) => bringAbout()));
  await watch.faulty();
  await Promise.all(faults.map(({ mend }) => mend()));
  await watch.mended(faults.flatMap(note));
}

async function shownLive(scraped: Scraped, fault: AlertFault): Promise<void> {
  const targets = fault.targets?.() ?? scraped.targets;
  await using prometheus = await Prometheus.start({ ...scraped, targets });
  await prometheus.fires([]);
  const watch = await AlertWatch.begin(targets);
  await fault.bringAbout();
  await prometheus.fires(fault.fires());
  await watch.faulty();
  await fault.mend();
  await prometheus.fires([]);
  await watch.mended(note(fault));
}

function note({ fires }: AlertFault): ReturnType<AlertFault['fires']> {
  const fired = fires();
  for (const { alertname } of fired) seen.add(alertname);
  return fired;
}

describe('alerts', function () {
  this.timeout(boundMs);
  let site: AlertSite;
  let hosts: HostFaults;
  let certificates: CertificateFaults;
  /** They wait for a master to look at its files, 5 s each time, while the others go on. */
  let ofCertificates: Promise<{ readonly error?: unknown }> = Promise.resolve({});

  before(async function () {
    requires(this, command('prometheus'), command('promtool'), ...cniTools);
    certificates = await CertificateFaults.start();
    if (!isSoak) {
      const ended = shown({ targets: [] }, certificates.allEnding());
      ofCertificates = ended.then(
        () => ({}),
        (error: unknown) => ({ error }),
      );
    }
    [site, hosts] = await Promise.all([AlertSite.start(), HostFaults.start()]);
  });
  afterEach(function () {
    const { masters, agents } = hosts?.scene ?? {};
    showOnFailure(this, site?.masters.masters, site?.agents.agents, masters, agents);
  });
  after(async () => {
    await ofCertificates;
    await certificates?.[Symbol.asyncDispose]();
    await hosts?.[Symbol.asyncDispose]();
    await site?.[Symbol.asyncDispose]();
  });

  it('are judged: one that should fire and does not is found, and one that fires and should not', async () => {
    const healthy = await scrape(site.targets);
    const down = await scrape([]);
    const same = { healthy, faulty: healthy, mended: healthy };
    assert.match(judged(same, [{ alertname: 'SubletNoLeader' }]), /SubletNoLeader/);
    assert.match(judged({ ...same, faulty: down }, []), /SubletNoLeader/);
  });

  it('fire for a disk and an overlay that are nearly full, and agents that are down or not ready', async () => {
    await shown(site, site.diskNearlyFull(), site.overlayNearlyFull());
    await shown(site, site.agentDown(), site.agentNotReady());
  });

  it('fire for a master that is down, for a quorum that is lost, and for changes of the leader', async () => {
    for (const fault of [site.masterDown(), site.quorumLost(), site.leaderChanges()]) await shown(site, fault);
  });

  it('fire for an overlay that can’t be built, and for a bridge without addresses', async () => {
    const { targets, netns, get } = hosts;
    const scraped = { targets, prefix: netns.enter, get };
    for (const fault of [hosts.overlayFailed(), hosts.hostNearlyFull()]) await shown(scraped, fault);
  });

  it('fire for a certificate and an authority that come to their end', async () => {
    const { error } = await ofCertificates;
    if (error !== undefined) throw error;
  });

  it('stand beside a dashboard whose queries all find something', async () => {
    await hosts.drift();
    await assert.rejects(operate(site.masters, 'overlay', 'enable', 'other'), /other/);
    assert.equal(unanswered(await scrape([...site.targets, ...hosts.targets])), '');
  });

  if (isSoak) {
    it('fire for each part of a certificate’s end, and for files that can’t be used', async () => {
      for (const fault of [
        certificates.aged('a third of the life of a certificate is left', 25, ['SubletCertificateExpiring']),
        certificates.allEnding(),
        certificates.authorityEnding(),
        certificates.unusable(),
      ]) {
        await shown({ targets: [] }, fault);
      }
    });

    it('fire for an overlay that fills up within days', async () => {
      await using growth = await GrowthFault.start();
      await shown({ targets: [] }, growth.fault());
    });

    it('fire for what takes a minute: a silent agent, a contested lease, masters that differ', async () => {
      await shown(site, site.agentsSilent());
      await shown(site, site.leaseContested());
      await shown(site, await site.plansDiffer());
    });
  }

  it('are all seen', () => {
    const unseen = alertRules.map(({ alert }) => alert).filter((alert) => !seen.has(alert));
    assert.deepEqual(unseen.sort(), isSoak ? [] : slow.toSorted());
  });
});
