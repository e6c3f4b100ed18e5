/** What an operator should know of the other masters and of the agents, by the leader's account. */
import { timestampMs } from '#api/timestamp.js';
import { type AgentId, parseAgentId } from '#ipam/identity.js';
import type { Ipam } from '#ipam/ipam.js';
import type { HostOverlayCounts } from '#ipam/space/survey.js';
import type { Warning } from '#master/warning.js';
import { sublet } from '#proto/sublet.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import { formatTime } from '#text/duration.js';

type Member = sublet.v1.Member.$Properties;

/** Masters that the leader calls dead, and what the votes that are left bear. `now` in ms since 1970. */
export function deadMasterWarnings(members: readonly Member[], now: number): Warning[] {
  const voters = members.filter(({ role }) => role !== sublet.v1.MemberRole.MEMBER_ROLE_LEARNER);
  const up = voters.filter(({ alive }) => alive !== false).length;
  const spare = up - (Math.floor(voters.length / 2) + 1);
  return members
    .filter(({ alive }) => alive === false)
    .map((member) => {
      const votes = member.role !== sublet.v1.MemberRole.MEMBER_ROLE_LEARNER;
      const left = votes ? `: ${spareWords(spare)}` : ', a learner';
      const { name } = member;
      return {
        message: `master ${name} is dead ${since(member, now)}${left}`,
        remedy: `start ${name}, or put another in its place: sublet members replace ${name} NAME=HOST:PORT`,
        cluster: true,
      };
    });
}

function since({ lastContact }: Member, now: number): string {
  if (!lastContact) return 'and was not heard by this leader';
  return `for ${formatTime(now - timestampMs(lastContact))}`;
}

function spareWords(spare: number): string {
  if (spare < 0) return 'no quorum is up, and nothing can be changed';
  if (spare === 0) return 'one more, and nothing can be changed';
  return `${spare} more may fail, then nothing can be changed`;
}

type Silence = {
  readonly count: number;
  readonly longest: { readonly agentId: AgentId; readonly silentSince: number };
};

/** `silence` undefined: no agent is silent. */
export function silentAgentWarnings(silence: Silence | undefined, now: number): Warning[] {
  if (silence === undefined) return [];
  const { count, longest } = silence;
  const past = formatTime(now - longest.silentSince);
  return [
    {
      message: `${agents(count)} silent: ${longest.agentId} for ${past}${count > 1 ? ', the longest' : ''}`,
      remedy: 'sublet agents --silent',
      cluster: true,
    },
  ];
}

/** Agents whose host could not build an overlay, as they said last. */
export function failedOverlayWarnings({ failed }: HostOverlayCounts): Warning[] {
  if (failed.agents === 0) return [];
  const { agents: count, first } = failed;
  return [
    {
      message: `${agents(count, 'has', 'have')} overlays that failed on their host: ${first.agentId}, ${first.overlay}: ${first.error}`,
      remedy: `sublet agents ${first.agentId}`,
      cluster: true,
    },
  ];
}

/** Agents that build nothing on their host: they hold blocks like any other, so their peers have routes to them. */
export function planOnlyNotices({ planned }: HostOverlayCounts): Warning[] {
  if (planned.agents === 0) return [];
  const { agents: count, first } = planned;
  const named = count === 1 ? first : `${first} is the first`;
  return [
    {
      message: `${agents(count, 'runs', 'run')} with --network plan: ${named}. Peers route to ${count === 1 ? 'it' : 'them'}; nothing answers there`,
      remedy: 'sublet agents --state planned',
      notice: true,
      cluster: true,
    },
  ];
}

/** Agents that hold a lease and masters that are members, but whose certificates are all revoked. */
export function revocationWarnings(
  ipam: Pick<Ipam, 'revocations' | 'agent'>,
  members: readonly Pick<MemberInfo, 'name'>[],
): Warning[] {
  const revoked = ipam.revocations().filter(({ acceptedFrom }) => acceptedFrom === undefined);
  const held = revoked.flatMap(({ identity }) => {
    const [role, id = ''] = identity.split('/');
    return role === 'agent' && ipam.agent(parseAgentId(id)) !== undefined ? [id] : [];
  });
  const masters = members.filter(({ name }) => revoked.some(({ identity }) => identity === `master/${name}`));
  const [first] = held;
  return [
    ...masters.map(({ name }) => ({
      message: `the certificates of master ${name} are revoked, though it is a member: the others take nothing from it`,
      remedy: `sublet certs unrevoke master/${name}`,
      cluster: true,
    })),
    ...(first === undefined
      ? []
      : [
          {
            message: `${agents(held.length)} revoked and ${held.length === 1 ? 'holds its' : 'hold their'} lease still: ${first}`,
            remedy: `sublet agents ${first}, then sublet release ${first} or sublet certs unrevoke agent/${first}`,
            cluster: true,
          },
        ]),
  ];
}

function agents(count: number, one = 'is', many = 'are'): string {
  return count === 1 ? `1 agent ${one}` : `${count} agents ${many}`;
}
