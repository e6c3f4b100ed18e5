/**
 * Which role may call which method. One row for each method of the API: a method without a row does not compile. The
 * roles are checked before the first message of a call is read; the ids in a request afterwards, by the service.
 */
import { RefusedError } from '#api/refusal.js';
import { accessService, agentService, certificateService, clusterService, operatorService } from '#api/services.js';
import { formatPrincipal, type PrincipalName, type Role } from '#tls/principal.js';

type Row<Service> = Readonly<Record<keyof Service, readonly Role[]>>;

const agents: readonly Role[] = ['agent'];
const viewers: readonly Role[] = ['viewer', 'operator', 'admin'];
const operators: readonly Role[] = ['operator', 'admin'];
const admins: readonly Role[] = ['admin'];

const agentRows: Row<typeof agentService> = {
  register: agents,
  reportStatus: agents,
  keepAlive: agents,
  watch: [...agents, ...viewers],
  leave: agents,
  returnOverlays: agents,
};

const operatorRows: Row<typeof operatorService> = {
  listAgents: viewers,
  getAgent: viewers,
  lookup: viewers,
  listOverlays: viewers,
  listReservations: viewers,
  listHistory: viewers,
  getNetwork: viewers,
  releaseAgents: operators,
  replaceAgent: operators,
  addOverlay: operators,
  updateOverlay: operators,
  removeOverlay: operators,
  updateNetwork: operators,
  reserve: operators,
  unreserve: operators,
  previewChange: operators,
};

const clusterRows: Row<typeof clusterService> = {
  getStatus: viewers,
  listMembers: viewers,
  saveSnapshot: operators,
  addMember: admins,
  promoteMember: admins,
  removeMember: admins,
  replaceMember: admins,
  moveMember: admins,
  transferLeadership: admins,
  endAdoption: admins,
};

const certificateRows: Row<typeof certificateService> = {
  renew: ['agent', 'master'],
  createToken: admins,
  listTokens: admins,
  revokeToken: admins,
};

const accessRows: Row<typeof accessService> = {
  whoAmI: [...agents, ...viewers],
  revokeIdentity: admins,
  unrevokeIdentity: admins,
  listRevocations: viewers,
  listRevokedReaders: agents,
};

/** What is served beside the API, by service. */
const otherServices: Readonly<Record<string, readonly Role[]>> = {
  'grpc.health.v1.Health': [...agents, ...viewers],
  'grpc.reflection.v1.ServerReflection': viewers,
  'grpc.reflection.v1alpha.ServerReflection': viewers,
};

const byPath: ReadonlyMap<string, readonly Role[]> = new Map([
  ...rows(agentService, agentRows),
  ...rows(operatorService, operatorRows),
  ...rows(clusterService, clusterRows),
  ...rows(certificateService, certificateRows),
  ...rows(accessService, accessRows),
]);

/** The roles that may call the method; none for a method that is not known. */
export function rolesFor(path: string): readonly Role[] {
  return byPath.get(path) ?? otherServices[path.split('/')[1] ?? ''] ?? [];
}

/** The paths of the methods that a role may call, ascending; undefined: without TLS, where all may be called. */
export function methodsFor(role: Role | undefined): readonly string[] {
  const allowed = [...byPath].filter(([, to]) => role === undefined || to.includes(role));
  return allowed.map(([path]) => path).sort();
}

/** @throws RefusedError `permission-denied` */
export function authorize(principal: PrincipalName, path: string): void {
  const allowed = rolesFor(path);
  if (allowed.includes(principal.role)) return;
  const needed = allowed.length === 0 ? 'no role may call it' : `it is for ${allowed.join(', ')}`;
  throw new RefusedError(
    'permission-denied',
    `${formatPrincipal(principal)} may not call ${path.slice(0, pathLengthMax)}: ${needed}`,
  );
}

/** An agent acts for itself alone. Without TLS there is no principal to compare with. @throws RefusedError `permission-denied` */
export function checkSelf(action: string, principal: PrincipalName | undefined, agentId: string): void {
  if (principal === undefined || principal.id === agentId) return;
  throw new RefusedError(
    'permission-denied',
    `${action}: ${formatPrincipal(principal)} has asked for agent_id "${agentId}": an agent may act for itself only. Set id to ${principal.id}, or give this host a certificate for ${agentId}`,
  );
}

/** Of an unknown method, in a message. */
const pathLengthMax = 200;

function rows<Service extends Readonly<Record<string, { readonly path: string }>>>(
  service: Service,
  of: Row<Service>,
): readonly (readonly [string, readonly Role[]])[] {
  return Object.entries(service).map(([name, { path }]) => [path, of[name] ?? []]);
}
