import { HaetaeError } from '../../platform/errors.ts'
import type { Incident } from '../../platform/incident.ts'
import { nameOf, plain } from '../../platform/notify/text.ts'
import type { Words } from '../../platform/notify/words.ts'

/** Why somebody is called, or that he need not be any more. */
export type Reason = 'unacknowledged' | 'not_in_slack' | 'over'

export interface Call {
  readonly incident: Incident
  readonly reason: Reason
  /** Minutes since it is critical. */
  readonly minutes: number
  /** Further ones that wait for somebody, too. */
  readonly others: number
  readonly timeMs: number
}

/** One line for a pager, in plain text. */
function lineOf({ incident, reason, minutes, others }: Call, words: Words): string {
  const { number, severity_id, title, targets, holds } = incident
  const parts = [
    `INC-${number} [${words.severity[severity_id] ?? ''}] ${title}`,
    ...targets.slice(0, 1),
    holds.active > 0 ? words.blocking(String(holds.active), undefined) : words.notBlocking,
    words.calls[reason](String(minutes)),
    ...(others > 0 ? [words.others(String(others))] : []),
  ]
  return plain(parts.join(' · '), 500)
}

/** What a receiver of ours gets. `id` is the same when it is sent again. */
export function jsonOf(call: Call, words: Words, url: string | undefined): object {
  const { incident, reason, others, timeMs } = call
  const { uid, number, title, severity_id, state, opened_time, critical_time, count, address_count } = incident
  const { targets, holds, acknowledged } = incident
  return {
    id: `${uid}/${reason}`,
    time: timeMs,
    reason,
    text: lineOf(call, words),
    others,
    ...(url === undefined ? {} : { url }),
    incident: {
      uid,
      number,
      title: plain(title, 128),
      severity_id,
      state,
      opened_time,
      ...(critical_time === undefined ? {} : { critical_time }),
      count,
      address_count,
      targets: targets.map(target => plain(target, 128)),
      holds,
      ...(acknowledged ? { acknowledged: { by: plain(nameOf(acknowledged.by), 200), time: acknowledged.time } } : {}),
    },
  }
}

/** The same as an event of PagerDuty's Events API v2; one alert an incident, resolved when somebody has seen it. */
export function pagerDutyOf(call: Call, words: Words, url: string | undefined, routingKey: string): object {
  const { incident, reason, timeMs } = call
  const action = reason === 'over' ? 'resolve' : 'trigger'
  const payload = {
    summary: lineOf(call, words),
    source: plain(incident.targets[0] ?? 'haetae', 255),
    severity: 'critical',
    timestamp: new Date(timeMs).toISOString(),
    custom_details: jsonOf(call, words, url),
  }
  return {
    routing_key: routingKey,
    event_action: action,
    dedup_key: incident.uid,
    client: 'Haetae',
    ...(url === undefined ? {} : { client_url: url }),
    ...(action === 'trigger' ? { payload } : {}),
  }
}

/**
 * Resolves when the other end took it. Rejects with SINK_UNAUTHORISED or SINK_MISCONFIGURED when a person has to act there, else with
 * what may mend itself; no error says the address, which may be a secret.
 */
export async function send(address: string, body: object, signal: AbortSignal): Promise<void> {
  const response = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    redirect: 'manual',
    signal,
  })
  await response.body?.cancel()
  const { status } = response
  if (status >= 200 && status < 300) return
  const message = `the receiver of escalations answers ${status}`
  if (status === 401 || status === 403)
    throw new HaetaeError('SINK_UNAUTHORISED', `${message}: give it what it asks for`)
  const isOurs = status >= 300 && status < 500 && status !== 408 && status !== 429
  if (isOurs) throw new HaetaeError('SINK_MISCONFIGURED', `${message}: see whether its address and format are right`)
  throw new Error(message)
}
