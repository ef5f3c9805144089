/** A pipeline may read several topics: each parse stage takes its own kind and lets the others pass untouched. */
import { expect, it } from 'vitest'
import { kinds } from '../../engine/contract.ts'
import { parseFalco } from '../../enrichers/parse-falco.ts'
import { parseGuardduty } from '../../enrichers/parse-guardduty.ts'
import { parseJson } from '../../enrichers/parse-json.ts'
import { parseWaf } from '../../enrichers/parse-waf.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { falcoAlert } from '../support/falco-alerts.ts'
import { findingsOfEveryKind } from '../support/findings.ts'
import { wafRecord } from '../support/waf-records.ts'

const deps = testDeps({ clock: new FakeClock() })
const stages = [
  ['parse-waf', await parseWaf.open({}, deps), ['waf']],
  ['parse-guardduty', await parseGuardduty.open({}, deps), ['guardduty']],
  ['parse-falco', await parseFalco.open({}, deps), ['falco']],
  ['parse-json', await parseJson.open({}, deps), ['alert', 'match', 'decision', 'incident', 'audit']],
] as const
const ours = { class_uid: 2004, time: Date.UTC(2026, 10, 23) }
const records = { waf: wafRecord(), guardduty: findingsOfEveryKind['inbound'], falco: falcoAlert() } as const

it.each(stages)('%s reads records of its own kinds alone', async (_, stage, own) => {
  const batch = kinds.map(kind => eventOf((records as Record<string, unknown>)[kind] ?? ours, kind))
  const kept = await stage.apply(batch, (_event, reason) => expect.fail(reason))
  expect(kept).toEqual(batch)
  const parsed = kept.filter(({ body }) => body.class_uid !== undefined).map(({ kind }) => kind)
  expect(parsed).toEqual([...own])
})

it('in one chain every record of a mixed batch becomes its own class, in order', async () => {
  const batch = kinds.map(kind => eventOf((records as Record<string, unknown>)[kind] ?? ours, kind))
  for (const [, stage] of stages) await stage.apply(batch, (_event, reason) => expect.fail(reason))
  expect(batch.map(({ body }) => body.class_uid)).toEqual([4002, ...Array.from({ length: 7 }, () => 2004)])
})

it.each(stages)('%s refuses a broken record of its own kinds only', async (_, stage, own) => {
  const refused: string[] = []
  const kept = await stage.apply(
    kinds.map(kind => eventOf('broken', kind)),
    event => void refused.push(event.kind),
  )
  expect(refused).toEqual([...own])
  expect(kept).toHaveLength(kinds.length - own.length)
})
