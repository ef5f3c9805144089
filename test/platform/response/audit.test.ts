import { expect, test } from 'vitest'
import { incidentSchema } from '../../../platform/incident.ts'
import { incident, remediationActivity } from '../../../platform/ocsf/response-schema.ts'
import { auditRecord } from '../../../platform/response/audit.ts'
import { applyDecision } from '../../../response/holds/apply.ts'
import { auditOfChange, auditOfRefusal } from '../../../response/holds/audits.ts'
import { Budget } from '../../../response/holds/budget.ts'
import { Guard } from '../../../response/holds/guard.ts'
import { Ledger } from '../../../response/holds/ledger.ts'
import { blockOf, terms } from '../../support/owner.ts'

function holdOf(nowMs: number) {
  const ledger = new Ledger()
  const budget = new Budget({ minuteMax: 9, hourMax: 9, networkHourMax: 9 })
  const decision = blockOf('20.0.0.1', nowMs, { incidentUid: 'i' })
  applyDecision({ ledger, guard: new Guard([]), budget, terms, dryRun: false, nowMs, isNews: () => true }, decision)
  return { decision, hold: ledger.holds.get(decision.uid)! }
}

test('every field of an audit record has its column, and every column its field', () => {
  const { decision, hold } = holdOf(1_000)
  const written = { ...hold.history[0]!, what: 'waf_written', place: 'p', ipSet: 's' } as const
  const records = [
    auditOfChange(hold, written),
    auditOfRefusal(decision, { reason: 'budget', detail: 'd' }, 2_000, true),
  ]
  // Only what people say has a road by which it came.
  const fields = new Set(['source', ...records.flatMap(record => Object.keys(record))])
  expect([...fields].sort()).toEqual(Object.keys(remediationActivity).sort())
})

test('every field of an incident has its column, but for the sketch that only we read', () => {
  const fields = Object.keys(incidentSchema.shape).filter(name => name !== 'address_sketch')
  expect(Object.keys(incident).sort()).toEqual(fields.sort())
})

test('the same event has the same uid whenever it is told, and another has another', () => {
  const at = (time: number, about: string) =>
    auditRecord([about], { time, what: 'hold_created', who: 'kim', dry_run: false }).metadata.uid
  expect(at(1, 'a')).toBe(at(2, 'a'))
  expect(at(1, 'a')).not.toBe(at(1, 'b'))
  expect(at(1, 'a')).toMatch(/^[0-9a-f]{32}$/)
})
