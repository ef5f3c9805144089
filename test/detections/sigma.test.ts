import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { sigma } from '../../detections/sigma.ts'
import type { Alert, Event } from '../../engine/contract.ts'
import { parseWaf } from '../../enrichers/parse-waf.ts'
import type { Log } from '../../platform/log.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { ocsfErrors } from '../support/ocsf-validator.ts'
import { document } from '../support/sigma.ts'
import { wafRecord } from '../support/waf-records.ts'

const detection = { selection: { 'cs-uri-stem|startswith': '/login' }, condition: 'selection' }
const login = document(detection, {
  title: 'Log-in',
  level: 'high',
  description: 'Somebody logs in.',
  references: ['https://example.com/login'],
  tags: ['attack.initial-access', 'attack.t1190', 'attack.t1110.001', 'cve.2021-44228'],
  haetae: { runbook: 'Look.' },
})

function folder(...rules: readonly object[]): string {
  const path = mkdtempSync(join(tmpdir(), 'haetae-rules-'))
  mkdirSync(join(path, 'deeper'))
  for (const [at, rule] of rules.entries()) writeFileSync(join(path, 'deeper', `${at}.yml`), stringify(rule))
  return path
}

async function detector(settings: object, deps = testDeps()) {
  return sigma.open(sigma.config.parse({ shipped: false, ...settings }), deps)
}

/** Events as the pipeline has them before redaction. */
async function events(...records: readonly JsonObject[]): Promise<Event[]> {
  const stage = await parseWaf.open(parseWaf.config.parse({}), testDeps())
  const batch = await stage.apply(
    records.map(record => eventOf(record)),
    (_, reason) => {
      throw new Error(reason)
    },
  )
  return batch
}

async function alerts(settings: object, ...records: readonly JsonObject[]): Promise<Alert[]> {
  const found: Alert[] = []
  const batch = await events(...records)
  const opened = await detector(settings)
  opened.detect(batch, alert => found.push(alert))
  return found
}

const request = (more: JsonObject = {}): JsonObject => {
  const record = wafRecord()
  return { ...record, httpRequest: { ...(record['httpRequest'] as JsonObject), ...more } }
}

describe('an alert', () => {
  test('is a valid OCSF Detection Finding that says which rule, about whom, and what to do', async () => {
    const [alert] = await alerts({ rules: [folder(login)] }, wafRecord())
    expect(alert).toMatchObject({ rule: login['id'], severity: 'high', kind: 'alert' })
    expect(ocsfErrors(JSON.parse(JSON.stringify(alert?.body)) as JsonObject)).toEqual([])
    expect(alert?.body).toMatchObject({
      class_uid: 2004,
      severity_id: 4,
      message: 'Log-in',
      time: 1_795_000_000_123,
      metadata: { uid: alert?.id },
      finding_info: {
        title: 'Log-in',
        desc: 'Somebody logs in.',
        analytic: { uid: login['id'] },
        attacks: [
          { technique: { uid: 'T1190' }, tactic: { uid: 'TA0001' } },
          { technique: { uid: 'T1110' }, sub_technique: { uid: 'T1110.001' }, tactic: { uid: 'TA0001' } },
        ],
      },
      evidences: [
        {
          src_endpoint: { ip: '203.0.113.9' },
          http_request: { http_method: 'POST', url: { path: '/login' } },
          data: { disposition: 'Blocked', rule: 'rate-login' },
        },
      ],
      remediation: { desc: 'Look.', references: ['https://example.com/login'] },
    })
    expect(JSON.parse(String(alert?.raw))).toEqual(JSON.parse(JSON.stringify(alert?.body)))
  })

  test('has the same id and bytes whenever the same event is looked at, and another for another event or rule', async () => {
    const rules = [folder(login, document(detection))]
    const first = await alerts({ rules }, wafRecord())
    const again = await alerts({ rules }, wafRecord())
    const other = await alerts({ rules }, { ...wafRecord(), timestamp: 1_795_000_000_124 })
    expect(again.map(({ id, raw }) => [id, String(raw)])).toEqual(first.map(({ id, raw }) => [id, String(raw)]))
    expect(new Set([...first, ...other].map(({ id }) => id)).size).toBe(4)
    expect(first[0]?.id).toMatch(/^[0-9a-f]{32}$/)
  })

  test('carries no secret, also one of a name that is only ours', async () => {
    const args = 'password=hunter2&voucher=golden'
    const record = request({ args, headers: [{ name: 'Authorization', value: 'Bearer abc.def.ghi' }] })
    const [alert] = await alerts({ rules: [folder(login)], names: ['voucher'] }, record)
    for (const secret of ['hunter2', 'golden', 'abc.def.ghi']) expect(String(alert?.raw)).not.toContain(secret)
    expect(String(alert?.raw)).toContain('/login')
  })

  test('stays small, however long the request is', async () => {
    const [alert] = await alerts({ rules: [folder(login)] }, request({ args: 'x'.repeat(500_000) }))
    expect(alert?.raw.length).toBeLessThan(20_000)
  })

  test('is keyed by the client, so that all about one client meet', async () => {
    const [four] = await alerts({ rules: [folder(login)] }, request())
    const [six] = await alerts({ rules: [folder(login)] }, request({ clientIp: '2001:db8:1:2:3::4' }))
    expect(four?.key).toBe('203.0.113.9')
    expect(six?.key).toContain('2001:db8:1:2')
  })
})

describe('a request that our own block stopped', () => {
  const own = { ...wafRecord(), terminatingRuleId: 'haetae-block-v4', terminatingRuleType: 'REGULAR' }
  const asking = document(detection, { haetae: { blocked: true } })

  test('feeds only rules that ask for such requests', async () => {
    const found = await alerts({ rules: [folder(login, asking)] }, own)
    expect(found.map(({ rule }) => rule)).toEqual([asking['id']])
  })

  test('is told by the prefix that is configured', async () => {
    expect(await alerts({ rules: [folder(login)], blockRulePrefix: 'other' }, own)).toHaveLength(1)
  })
})

describe('the detector', () => {
  test('looks at web requests only', async () => {
    const opened = await detector({ rules: [folder(login)] })
    const falco = Object.assign(eventOf({}, 'falco'), { body: (await events(wafRecord()))[0]!.body })
    opened.detect([falco], () => {
      throw new Error('an alert')
    })
  })

  test('leaves out rules by id', async () => {
    const other = document(detection)
    const found = await alerts({ rules: [folder(login, other)], except: [login['id']] }, wafRecord())
    expect(found.map(({ rule }) => rule)).toEqual([other['id']])
  })

  test('counts matches by rule, and rules by state', async () => {
    const metrics = createMetrics()
    const opened = await detector(
      { rules: [folder(login, document({ selection: { 'sc-status': 1 }, condition: 'selection' }))] },
      testDeps({ metrics }),
    )
    opened.detect(await events(wafRecord(), wafRecord()), () => undefined)
    const text = await metrics.expose()
    expect(text).toContain(`haetae_rule_matches_total{pipeline="test",rule="${String(login['id'])}"} 2`)
    expect(text).toContain('haetae_rules_count{pipeline="test",state="runs"} 1')
    expect(text).toContain('haetae_rules_count{pipeline="test",state="absent"} 1')
  })

  test('warns at start when rules do not run, never silently', async () => {
    const said: unknown[] = []
    const log: Log = { ...silentLog, warn: (message, fields) => said.push([message, fields]) }
    const broken = document({ selection: { 'cs-host|hour': 1 }, condition: 'selection' })
    await detector({ rules: [folder(login, broken)] }, testDeps({ log }))
    expect(said).toEqual([[expect.stringContaining('haetae rules list'), { runs: 1, modifier: 1 }]])
  })

  test('does not start without a rule, or with a folder that is not there', async () => {
    await expect(detector({ rules: [folder()] })).rejects.toThrow(/none runs/)
    await expect(detector({ rules: [join(folder(), 'nowhere')] })).rejects.toThrow(/cannot read the rules in .*nowhere/)
  })

  test('starts with the rules that come with Haetae', async () => {
    const found: string[] = []
    const opened = await detector({ shipped: true })
    opened.detect(await events(request({ uri: '/.git/config' })), alert => found.push(String(alert.body.message)))
    expect(found).toContain('Request for a File That Must Not Be There')
    expect(found).toContain('Source Code Enumeration Detection by Keyword')
  })
})
