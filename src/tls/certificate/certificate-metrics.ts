/** What masters and agents with TLS report of the certificate in use to Prometheus. It is looked up at each scrape. */
import { Gauge, type Registry } from 'prom-client';
import type { CertificateReport } from '#tls/certificate/certificate-reloader.js';

export function certificateMetrics(registry: Registry, certificate: CertificateReport): void {
  const registers = [registry];
  new Gauge({
    name: 'sublet_certificate_expires_seconds',
    help: 'When the certificate in use ends, and the first of the authorities that it trusts, in seconds since 1970',
    labelNames: ['certificate'],
    registers,
    collect() {
      const { principal, authorityEndsMs } = certificate.material;
      this.set({ certificate: 'own' }, principal.endsMs / 1_000);
      this.set({ certificate: 'authority' }, authorityEndsMs / 1_000);
    },
  });
  new Gauge({
    name: 'sublet_certificate_begins_seconds',
    help: 'When the certificate in use began to be valid, in seconds since 1970',
    registers,
    collect() {
      this.set(certificate.material.principal.beginsMs / 1_000);
    },
  });
  new Gauge({
    name: 'sublet_certificate_reload_failed',
    help: "1: the files of tls have changed and can't be used; the certificate before them stays in use",
    registers,
    collect() {
      this.set(certificate.problem === '' ? 0 : 1);
    },
  });
}
