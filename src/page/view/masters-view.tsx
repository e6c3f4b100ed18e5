/** The masters: which one leads, how far each is behind, and what an operator should look at. */
import type { ComponentChild } from 'preact';
import { masters, type StatusAnswer } from '#page/view/master-calls.js';
import { agoText, countText, enumText, size } from '#page/view/texts.js';
import { type Polled, usePoll } from '#page/view/use-poll.js';

const everyMs = 2_000;

export function MastersView({ status }: { readonly status: Polled<StatusAnswer> }): ComponentChild {
  const { answer, error } = usePoll(masters.members, everyMs, []);
  const { leader, name, term, version, warnings = [] } = status.answer ?? {};
  return (
    <section>
      <p>
        {leader ? (
          <>
            <b>{leader}</b> leads in term {countText(term)}.
          </>
        ) : (
          <span class="bad">There is no leader.</span>
        )}{' '}
        <small>
          This page is of {name}, version {version}; the account is that of {answer?.accountOf}.
        </small>
      </p>
      {(error || status.error) && <p class="bad">{error || status.error}</p>}
      <div class="wide">
        <table>
          <thead>
            <tr>
              <th>master</th>
              <th>role</th>
              <th>health</th>
              <th class="number">lag</th>
              <th class="number">disk free</th>
              <th>API</th>
              <th>may be stopped</th>
            </tr>
          </thead>
          <tbody>
            {(answer?.members ?? []).map((member) => (
              <tr key={member.name}>
                <th scope="row">{member.name}</th>
                <td>{enumText(member.role, 'MEMBER_ROLE_')}</td>
                <td class={member.alive === false || member.ended ? 'bad' : 'good'}>
                  {member.ended || (member.alive === false ? `silent, ${agoText(member.lastContact)}` : 'alive')}
                </td>
                <td class="number">{member.lag === undefined ? '' : countText(member.lag)}</td>
                <td class={`number ${member.spaceLow ? 'bad' : ''}`}>{size(member.freeBytes)}</td>
                <td>{member.api}</td>
                <td>{member.stopRisk || 'yes'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <h2>Warnings</h2>
      {warnings.length === 0 && <p>None.</p>}
      <ul class="cards">
        {warnings.map(({ message, remedy, notice }) => (
          <li key={message} class={notice ? '' : 'wrong'}>
            {message}
            {remedy && <p class="remedy">{remedy}</p>}
          </li>
        ))}
      </ul>
    </section>
  );
}
