/** Each alert of deploy/ under a real Prometheus: for `npm run soak`. */
import { type SpecSoak, soakSpec } from '#cluster-test/process/spec-soak.js';

/** They end by themselves, after about ten minutes. */
export function alertSoak(minutes: number): SpecSoak {
  return soakSpec({ spec: 'alerts/alerts.spec.js', minutesVariable: 'SUBLET_ALERT_MINUTES', minutes });
}
