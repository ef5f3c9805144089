import { z } from 'zod'
import { type Incident, isUnseen } from '../../platform/incident.ts'
import { Bucket } from '../../platform/notify/bucket.ts'
import type { Reason } from './call.ts'

const MINUTE_MS = 60_000
/** Calls at once, and one more a minute: a pager that never stops is switched off. */
const CALLS_AT_ONCE = 5
/** What became critical longer ago calls nobody any more: a first start is no alarm. */
const AGE_MS_MAX = 24 * 60 * MINUTE_MS
const INCIDENTS_MAX = 10_000

/** What was sent about one incident. */
export const sentSchema = z.object({
  incident: z.string().min(1),
  unacknowledged: z.int().min(0).optional(),
  not_in_slack: z.int().min(0).optional(),
  over: z.int().min(0).optional(),
})
export type Sent = z.output<typeof sentSchema>

export interface Patience {
  readonly unacknowledgedMs: number
  readonly slackMs: number
}

export interface Due {
  readonly incident: Incident
  readonly reason: Reason
  readonly minutes: number
  readonly others: number
}

/** Which critical incidents somebody must be called for. Decides; does not call, wait or write. */
export class Watch {
  readonly #patience: Patience
  readonly #incidents = new Map<string, Incident>()
  readonly #sent = new Map<string, Sent>()
  readonly #calls = new Bucket(CALLS_AT_ONCE, MINUTE_MS)

  constructor(patience: Patience, sent: Iterable<Sent>) {
    this.#patience = patience
    for (const each of sent) this.#sent.set(each.incident, each)
  }

  put(incident: Incident): void {
    const { uid, version } = incident
    const known = this.#incidents.get(uid)
    if (known && known.version > version) return
    if (isWaiting(incident) || this.#sent.has(uid)) this.#incidents.set(uid, incident)
    else this.#incidents.delete(uid)
    const [oldest] = this.#incidents.keys()
    if (this.#incidents.size > INCIDENTS_MAX && oldest !== undefined) this.#incidents.delete(oldest)
  }

  /** Whether it is time to look which of them are in Slack. */
  asksSlack(nowMs: number): boolean {
    return [...this.#incidents.values()].some(each => this.#isLate(each, nowMs))
  }

  /** The most urgent call that may be made now. `isInSlack`: people have, or had, a message of it. */
  next(nowMs: number, isInSlack: (incident: Incident) => boolean): Due | undefined {
    const waiting = [...this.#incidents.values()].filter(isWaiting)
    for (const incident of this.#incidents.values()) {
      const sent = this.#sent.get(incident.uid)
      if (sent && sent.over === undefined && !isWaiting(incident))
        return { incident, reason: 'over', minutes: 0, others: 0 }
    }
    if (!this.#calls.has(nowMs)) return undefined
    for (const incident of waiting) {
      const ageMs = nowMs - sinceMs(incident)
      if (ageMs > AGE_MS_MAX) continue
      const common = { incident, minutes: Math.floor(ageMs / MINUTE_MS), others: waiting.length - 1 }
      const isOld = ageMs >= this.#patience.unacknowledgedMs
      if (isOld && this.#sent.get(incident.uid)?.unacknowledged === undefined)
        return { ...common, reason: 'unacknowledged' }
      if (this.#isLate(incident, nowMs) && !isInSlack(incident)) return { ...common, reason: 'not_in_slack' }
    }
    return undefined
  }

  /** It was tried: it counts, whatever became of it. */
  spend(nowMs: number): void {
    this.#calls.take(nowMs)
  }

  /** What is to be kept once the call was taken; with a tombstone when nothing more will be said. */
  done({ incident: { uid }, reason }: Due, nowMs: number): Sent {
    const sent = { ...this.#sent.get(uid), incident: uid, [reason]: nowMs }
    this.#sent.set(uid, sent)
    return sent
  }

  /** Nothing more will be said of these. */
  forget(): string[] {
    const over = [...this.#sent.values()].filter(({ over: each }) => each !== undefined).map(({ incident }) => incident)
    for (const uid of over) {
      this.#sent.delete(uid)
      this.#incidents.delete(uid)
    }
    return over
  }

  #isLate(incident: Incident, nowMs: number): boolean {
    const { unacknowledged, not_in_slack } = this.#sent.get(incident.uid) ?? {}
    const isCalled = unacknowledged !== undefined || not_in_slack !== undefined
    return isWaiting(incident) && !isCalled && nowMs - sinceMs(incident) >= this.#patience.slackMs
  }
}

function isWaiting(incident: Incident): boolean {
  return incident.state === 'open' && isUnseen(incident)
}

function sinceMs({ critical_time, opened_time }: Incident): number {
  return critical_time ?? opened_time
}
