import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Explained, kindOfRecord } from '../../pipelines/explain.ts'
import { openLakeStore } from '../../platform/lake/open-store.ts'
import { type Ran, runCommand } from '../support/command.ts'
import { falcoAlert } from '../support/falco-alerts.ts'
import { findingsOfEveryKind } from '../support/findings.ts'
import { plainDuckDb, putEvents } from '../support/lake-rows.ts'
import { wafRecord } from '../support/waf-records.ts'

const folder = mkdtempSync(join(tmpdir(), 'haetae-explain-'))
const lake = join(folder, 'lake')
const UID = '5ee4a2c4f681adb514f255e8fee399b9'

beforeAll(() => {
  vi.stubEnv('HAETAE_STATE', join(folder, 'state'))
  vi.stubEnv('HAETAE_LAKE', lake)
})
afterAll(() => vi.unstubAllEnvs())

const explained = (...args: readonly string[]): Promise<Ran> => runCommand('explain', ...args)

function file(...records: readonly unknown[]): string {
  const path = join(folder, `${Math.random()}.ndjson`)
  writeFileSync(path, records.map(each => (typeof each === 'string' ? each : JSON.stringify(each))).join('\n'))
  return path
}

function attack(): Record<string, unknown> {
  const record = wafRecord() as Record<string, unknown> & { httpRequest: Record<string, unknown> }
  const headers = [
    { name: 'Host', value: 'shop.example' },
    { name: 'Cookie', value: 'session=topsecret' },
  ]
  return {
    ...record,
    httpRequest: { ...record.httpRequest, headers, uri: '/search', args: 'q=1+union+select+password' },
  }
}

describe('haetae explain', () => {
  test('says of a record how it parses, where it comes from, which rule matches and why', async () => {
    const { code, out } = await explained(file(attack()))
    expect(code).toBe(0)
    expect(out).toMatch(/^parse {5}HTTP Activity: POST www\.haetae-shop\.example\/search\?q=1\+union\+select/m)
    expect(out).toMatch(/^enrich {4}[0-9.]+: /m)
    expect(out).toMatch(/^ {2}match {3}high: SQL Injection in a Request$/m)
    expect(out).toMatch(/cs-uri-query contains "union select"/)
    expect(out).toMatch(/^response /m)
  })

  test('shows no secret, and nothing that acts on a terminal', async () => {
    const record = attack()
    const { out } = await explained(
      file({ ...record, httpRequest: { ...(record['httpRequest'] as object), uri: '/\u001b[2J' } }),
    )
    const json = await explained(file(record), '-o', 'json')
    for (const text of [out, json.out]) expect(text).not.toContain('topsecret')
    expect(out).toContain('\\x1b[2J')
  })

  test('knows the log of each record, says why one is refused, and ends with 1 then', async () => {
    const { code, out } = await explained(
      file(attack(), findingsOfEveryKind['inbound'], falcoAlert(), '{"hello":1}'),
      '-o',
      'ndjson',
    )
    const kinds = out.split('\n').map(line => {
      const { kind, rejected } = JSON.parse(line) as Explained
      return [kind, rejected?.split(':')[0]]
    })
    expect(kinds).toEqual([
      ['waf', undefined],
      ['guardduty', undefined],
      ['falco', undefined],
      ['waf', 'not_waf'],
    ])
    expect(code).toBe(1)
  })

  test('takes so many records and no more', async () => {
    const { out } = await explained(file(attack(), attack(), attack()), '--records', '2', '-o', 'ndjson')
    expect(out.split('\n')).toHaveLength(2)
  })

  test('explains an event by its id from the lake', async () => {
    const store = await openLakeStore(lake, join(folder, 'work'))
    await store.prepare(Date.now())
    const db = await plainDuckDb()
    const event = {
      class_uid: 4002,
      class_name: 'HTTP Activity',
      time: Date.now(),
      metadata: { version: '1.8.0', uid: UID, log_name: 'aws_waf', product: { name: 'AWS WAF', vendor_name: 'AWS' } },
      src_endpoint: { ip: '192.0.2.7' },
      http_request: { http_method: 'GET', url: { hostname: 'shop.example', path: '/.git/config' } },
      unmapped: { formatVersion: 1 },
    }
    await putEvents(store, db, 'one', [event])
    const { code, out, err } = await explained(UID)
    expect([code, err]).toEqual([0, expect.stringMatching(/secrets are redacted/)])
    expect(out).toMatch(/match {3}\w+: Request for a File That Must Not Be There/)
    const json = JSON.parse((await explained(UID, '-o', 'json')).out) as Explained[]
    expect(json[0]?.event).toEqual(event)
    await db.close()
    await store.close()
  })

  test.each([
    [[], /name one file/],
    [['0'.repeat(32)], /has no event 0000/],
    [['/nowhere/at-all'], /nowhere/],
    [['x.ndjson', '--kind', 'vpc'], /--kind is one of waf, guardduty, falco/],
    [['x.ndjson', '--records', 'all'], /--records all: a whole number/],
  ])('is refused with %j', async (args, message) => {
    const { code, err } = await explained(...args)
    expect(code).toBeGreaterThan(0)
    expect(err).toMatch(message)
  })
})

test.each([
  ['{', undefined],
  ['[]', undefined],
  ['{"httpRequest":{}}', 'waf'],
  ['{"SchemaVersion":"2.0"}', 'guardduty'],
])('the log of %s is %s', (text, kind) => {
  expect(kindOfRecord(text)).toBe(kind)
})
