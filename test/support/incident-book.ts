import type { Incident } from '../../platform/incident.ts'
import { alertFacts } from '../../response/incidents/alert.ts'
import { auditFacts } from '../../response/incidents/audit.ts'
import type { Blocked } from '../../response/incidents/blocked.ts'
import { type Grouping, IncidentBook } from '../../response/incidents/book.ts'
import { type AlertGiven, alertBody, auditBody, NOON } from './alerts.ts'

const MINUTE = 60_000
export const grouping: Grouping = {
  keepAliveMs: 10 * MINUTE,
  durationMsMax: 6 * 60 * MINUTE,
  unseenMsMax: 72 * 60 * MINUTE,
  campaignActors: 5,
  openMax: 1000,
  closedKeepMs: 24 * 60 * MINUTE,
  closedMax: 1000,
}

/** A book and what it has told the outside, as its topic would hold it. */
export function bookWith(
  changed: Partial<Grouping> = {},
  before: { readonly all: readonly Incident[]; readonly blocked: ReadonlyMap<string, Blocked> } = {
    all: [],
    blocked: new Map(),
  },
) {
  const known = { incidents: before.all, blocked: before.blocked.values(), number: 0 }
  const book = new IncidentBook({ ...grouping, ...changed }, known)
  const topic = new Map<string, Incident>(before.all.map(each => [each.uid, each]))
  const blocked = new Map(before.blocked)
  const take = (): void => {
    for (const { uid, record } of book.take()) {
      if (record) topic.set(uid, record)
      else topic.delete(uid)
    }
    for (const { key, record } of book.takeBlocked()) {
      if (record) blocked.set(key, record)
      else blocked.delete(key)
    }
  }
  return {
    book,
    topic,
    blocked,
    alert(given: AlertGiven, nowMs = given.timeMs ?? NOON) {
      book.alert(alertFacts(alertBody(given))!, nowMs)
      take()
    },
    audit(what: string, given: Readonly<Record<string, unknown>>, nowMs = NOON) {
      const known = book.audit(auditFacts(auditBody(what, given))!, nowMs)
      take()
      return known
    },
    pass(nowMs: number) {
      book.pass(nowMs)
      take()
    },
    get all() {
      return [...topic.values()].sort((a, b) => a.number - b.number)
    },
  }
}
