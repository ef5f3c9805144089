/** What `haetae explain` says of the response, from the ledger of whoever owns it. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { RecordEvent } from '../../engine/event.ts'
import { Explainer, kindOfRecord } from '../../pipelines/explain.ts'
import { readHoldings } from '../../pipelines/holds.ts'
import { type Outlook, Response } from '../../pipelines/outlook.ts'
import { readSettings, type Settings } from '../../pipelines/settings.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import type { DecisionRequest } from '../../platform/response/decision.ts'
import { responseTopic } from '../../platform/response/topics.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import { applyDecision } from '../../response/holds/apply.ts'
import { Budget } from '../../response/holds/budget.ts'
import { Guard } from '../../response/holds/guard.ts'
import type { Ledger } from '../../response/holds/ledger.ts'
import { LedgerStore } from '../../response/holds/store.ts'
import { runCommand } from '../support/command.ts'
import { testDeps } from '../support/deps.ts'
import { exposedKey } from '../support/findings.ts'
import { blockOf, ledgerTopics, person, terms } from '../support/owner.ts'
import { wafRecord } from '../support/waf-records.ts'

const ATTACKER = '20.0.0.7'
const MINUTE_MS = 60_000
let folder: string
let settings: Settings
let open: Topics | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'haetae-outlook-'))
  vi.stubEnv('HAETAE_STATE', folder)
  settings = readSettings()
})
afterEach(async () => {
  await open?.close()
  open = undefined
  vi.unstubAllEnvs()
})

const RULE = `title: A Door That Nobody Has
id: 0b1f2c7e-5d0c-4b36-9a55-3f1c7f0f9a01
logsource: { category: webserver }
detection: { door: { cs-uri-stem: /no-such-door }, condition: door }
level: high
haetae: { respond: { block: true } }
`

function attack(timeMs = Date.now(), client = ATTACKER): JsonObject {
  const record = wafRecord() as JsonObject & { httpRequest: JsonObject }
  return {
    ...record,
    timestamp: timeMs,
    httpRequest: { ...record.httpRequest, clientIp: client, uri: '/no-such-door' },
  }
}

const rules = mkdtempSync(join(tmpdir(), 'haetae-outlook-rules-'))
let explainer: Explainer
beforeAll(async () => {
  writeFileSync(join(rules, 'door.yml'), RULE)
  explainer = await Explainer.open([rules], testDeps())
})
afterAll(() => explainer.close())

async function outlooks(record: object): Promise<readonly Outlook[]> {
  const kind = kindOfRecord(JSON.stringify(record))!
  const { asked } = await explainer.record(new RecordEvent(kind, Buffer.from(JSON.stringify(record)), Date.now()))
  const response = await Response.open(settings)
  return Promise.all(asked.filter(({ once }) => once === 'now').map(each => response.outlook(each)))
}

/** As a person sees it. */
async function page(record: object): Promise<string> {
  const path = join(folder, 'record.json')
  writeFileSync(path, JSON.stringify(record))
  return (await runCommand('explain', path, '--rules', rules)).out
}

/** A ledger in the embedded log, changed by requests of now and by hand. */
async function ledgerWith(
  requests: readonly (readonly [string, Partial<DecisionRequest>])[],
  change?: (ledger: Ledger) => void,
) {
  open = await openTopics(settings, silentLog, createMetrics())
  for (const [name, compacted] of [
    ['holds', true],
    ['holds.state', true],
    ['audit', false],
  ] as const) {
    await open.ensure(responseTopic(name, compacted))
  }
  const store = new LedgerStore(open, ledgerTopics, () => Date.now())
  const ledger = await store.load()
  const budget = new Budget({ minuteMax: 1e6, hourMax: 1e6, networkHourMax: 1e6 })
  for (const [address, more] of requests) {
    const nowMs = Date.now()
    const judge = { ledger, guard: new Guard([]), budget, terms, dryRun: true, nowMs, isNews: () => true }
    applyDecision(judge, blockOf(address, nowMs, more))
  }
  change?.(ledger)
  await store.save(ledger.take()!, new AbortController().signal)
}

describe('explain says of the response', () => {
  test('what would be done about an attack of now, with an empty ledger', async () => {
    const response = await outlooks(attack())
    expect(response).toMatchObject([
      { type: 'block', target: ATTACKER, outcome: 'created', dryRun: true, holds: [], audits: [] },
    ])
  })

  test('that an old event blocks nobody, and what it would have come to just then', async () => {
    const response = await outlooks(attack(Date.now() - 3 * 60 * MINUTE_MS))
    expect(response).toMatchObject([{ outcome: 'old_evidence', ifNow: { outcome: 'created' } }])
    const text = await page(attack(Date.now() - 3 * 60 * MINUTE_MS))
    expect(text).toMatch(/^response {2}A Door That Nobody Has asks to block 20\.0\.0\.7$/m)
    expect(text).toContain('decision  old_evidence: 180 minutes old')
    expect(text).toContain('had it come just now: created')
  })

  test('whom the guard spares', async () => {
    const list = join(folder, 'never-block.yaml')
    writeFileSync(list, 'networks: [{ name: our office, cidrs: [20.0.0.0/24] }]')
    vi.stubEnv('HAETAE_NEVER_BLOCK', list)
    expect(await outlooks(attack())).toMatchObject([{ outcome: 'never_block', detail: 'our office' }])
    expect(await outlooks(attack(Date.now(), '10.0.0.1'))).toMatchObject([{ outcome: 'reserved' }])
  })

  test('that a request which our own block stopped lengthens no block', async () => {
    const record = { ...attack(), terminatingRuleId: 'haetae-block', terminatingRuleType: 'REGULAR', action: 'BLOCK' }
    const response = await outlooks(record)
    for (const each of response) expect(each).toMatchObject({ outcome: 'own_block' })
  })

  test('that the budget is tripped, and what goes on', async () => {
    await ledgerWith([], ledger =>
      ledger.putState({
        type: 'budget',
        tripped: { limit: 'minute', max: 60, time: Date.now() },
        seq: ledger.nextSeq(),
      }),
    )
    const response = await outlooks(attack())
    expect(response).toMatchObject([
      { outcome: 'budget', detail: expect.stringContaining('decisions resume') as string },
    ])
  })

  test('that a repeated offence lasts longer', async () => {
    await ledgerWith([[ATTACKER, {}]], ledger => {
      const [hold] = ledger.holds.values()
      ledger.put({ ...hold!, state: 'expired', endedMs: Date.now() - MINUTE_MS })
    })
    expect(await outlooks(attack())).toMatchObject([
      { outcome: 'created', detail: expect.stringMatching(/offence number 2/) as string },
    ])
  })

  test('which hold is on the target, until when, by whom, how far the WAF is, and what was told', async () => {
    await ledgerWith(
      [['20.0.0.0/24', { ...person, reason: 'a campaign \u001b[31m', ttlMs: 60 * MINUTE_MS }]],
      ledger => {
        const [hold] = ledger.holds.values()
        const place = { place: 'REGIONAL ap-northeast-2', set: 'id', ipSet: 'haetae-block-v4', cidr: hold!.cidr }
        ledger.putState({ type: 'entry', ...place, state: 'placed', sinceMs: Date.now() })
        ledger.put({ ...hold!, applied: [{ place: place.place, ms: Date.now() }] })
      },
    )
    const response = await outlooks(attack())
    expect(response).toMatchObject([
      {
        holds: [
          {
            target: '20.0.0.0/24',
            state: 'active',
            who: 'kim',
            waf: [expect.stringMatching(/^is in haetae-block-v4 \(REGIONAL ap-northeast-2\), acknowledged at/)],
          },
        ],
      },
    ])
    const text = await page(attack())
    expect(text).toMatch(/^decision {2}created: until .*, a first offence \(a dry run/m)
    expect(text).toMatch(/^hold {6}.* active, until .*, by kim: a campaign \\x1b\[31m \(dry run\)$/m)
    expect(text).toMatch(/^waf {7}is in haetae-block-v4/m)
  })

  test('that a change waits to be written', async () => {
    await ledgerWith([[ATTACKER, {}]])
    const response = await outlooks(attack())
    expect(response).toMatchObject([{ holds: [{ waf: ['waits to be written'] }], audits: [{ what: 'hold_created' }] }])
  })

  test('which access key would be disabled', async () => {
    const event = exposedKey('AKIAIOSFODNN7EXAMPLE')
    const detail = { ...(event['detail'] as object), lastUpdatedTime: new Date().toISOString() }
    const response = await outlooks({ ...event, detail })
    expect(response).toMatchObject([{ type: 'disable_key', target: 'AKIAIOSFODNN7EXAMPLE', outcome: 'key_disabled' }])
  })

  test('nothing that changes the ledger', async () => {
    await ledgerWith([[ATTACKER, {}]])
    const before = await readHoldings(settings)
    await outlooks(attack())
    await outlooks(attack(Date.now(), '20.0.0.99'))
    expect(await readHoldings(settings)).toEqual(before)
  })

  test('that the ledger cannot be read, and the rest all the same', async () => {
    await ledgerWith([[ATTACKER, {}]])
    await open!.append('holds', [{ key: 'broken', value: Buffer.from('{}'), timeMs: Date.now() }])
    const response = await outlooks(attack())
    expect(response).toMatchObject([{ outcome: 'created' }])
    const { problem } = await Response.open(settings)
    expect(problem).toMatch(/expected/)
  })
})
