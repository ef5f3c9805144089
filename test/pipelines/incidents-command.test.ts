import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { main } from '../../pipelines/cli.ts'
import { readSettings, type Settings } from '../../pipelines/settings.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import type { Incident } from '../../platform/incident.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { responseTopic } from '../../platform/response/topics.ts'
import { incidents } from '../../response/incidents.ts'
import { alertBody, recordOf } from '../support/alerts.ts'
import { testDeps } from '../support/deps.ts'
import { incidentOf } from '../support/incidents.ts'

let settings: Settings
let printed: string[]
let said: string[]

beforeEach(() => {
  vi.stubEnv('HAETAE_STATE', mkdtempSync(join(tmpdir(), 'haetae-incidents-')))
  settings = readSettings()
  printed = []
  said = []
  vi.spyOn(console, 'log').mockImplementation(text => void printed.push(String(text)))
  vi.spyOn(console, 'error').mockImplementation(text => void said.push(String(text)))
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})

async function stored(...given: Incident[]): Promise<void> {
  const topics = await openTopics(settings, silentLog, createMetrics())
  await topics.ensure(responseTopic('incidents', true))
  await topics.ensure(responseTopic('audit', false))
  const records = given.map(each => ({ key: each.uid, value: Buffer.from(JSON.stringify(each)), timeMs: each.time }))
  await topics.append('incidents', records)
  await topics.close()
}

test('list shows what is open, worst first, and with --all what is over; an attacker writes to no terminal', async () => {
  await stored(
    incidentOf({ uid: 'a'.repeat(32), number: 1, title: 'evil \u001b[31m' }),
    incidentOf({ uid: 'b'.repeat(32), number: 2, severity_id: 5 }),
    incidentOf({ uid: 'c'.repeat(32), number: 3, state: 'closed' }),
  )
  expect(await main(['incidents', 'list'])).toBe(0)
  const [, first, second, ...rest] = printed[0]!.split('\n')
  expect(first).toMatch(/^INC-2 +critical +open/)
  expect(second).toContain('evil \\x1b[31m')
  expect(rest).toEqual([])
  expect(await main(['incidents', 'list', '--all', '-o', 'ndjson'])).toBe(0)
  expect(printed[1]!.split('\n')).toHaveLength(3)
})

test('show tells the whole story of one, by its number or the beginning of its id', async () => {
  await stored(
    incidentOf({ uid: 'ab'.repeat(16), number: 7, runbook: 'look', timeline: [{ time: 0, what: 'opened' }] }),
  )
  for (const name of ['7', 'INC-7', 'abab']) expect(await main(['incidents', 'show', name])).toBe(0)
  expect(printed[0]).toContain('to do      look')
  expect(printed[0]).toContain('1970-01-01T00:00:00Z  opened')
  expect(await main(['incidents', 'show', '8'])).toBe(2)
  expect(await main(['incidents', 'list'])).toBe(0)
})

test('before anything was detected there is nothing, and that is no error', async () => {
  expect(await main(['incidents', 'list'])).toBe(0)
  expect(said).toEqual(['No incident is open. --all shows those that are over.'])
})

test.each([[[]], [['list', 'x']], [['show']], [['acknowledge']], [['show', '1', '2']], [['close', '1']]])(
  '%j is wrong usage',
  async args => {
    expect(await main(['incidents', ...args])).toBe(2)
  },
)

test('acknowledge and the rest reach the incident, and a critical one cannot be snoozed', async () => {
  const topics = await openTopics(settings, silentLog, createMetrics())
  const sink = await incidents.open(incidents.config.parse({}), testDeps({ topics: () => Promise.resolve(topics) }))
  const never = new AbortController().signal
  const alerts = [alertBody({ severity: 5 }), alertBody({ address: '192.0.2.1', technique: 'T1' })]
  await sink.write(
    alerts.map(each => recordOf(each, 'alert')),
    never,
  )
  const subscription = await topics.subscribe({
    group: 'respond',
    topics: ['audit'],
    from: 'earliest',
    recordsMax: 10,
    bytesMax: 1_000_000,
    listener: { assigned: () => undefined, revoked: () => undefined },
  })
  const stop = new AbortController()
  // Stands for the pipeline respond.
  const responding = (async () => {
    for (;;) {
      const fetched = await subscription.poll(stop.signal)
      if (!fetched) return
      const audits = fetched.records.map(({ value }) => recordOf(JSON.parse(String(value)) as object, 'audit'))
      await sink.write(audits, never)
    }
  })()
  expect(await main(['incidents', 'acknowledge', '1', '--by', 'kim'])).toBe(0)
  expect(said.at(-1)).toBe('INC-1: acknowledge, acknowledged by kim')
  expect(await main(['incidents', 'acknowledge', '1', '--by', 'lee'])).toBe(0)
  expect(said.at(-1)).toBe('INC-1: acknowledge, acknowledged by kim')
  expect(await main(['incidents', 'snooze', '2'])).toBe(0)
  expect(await main(['incidents', 'false-positive', '2', '--by', 'kim'])).toBe(0)
  expect(await main(['incidents', 'snooze', '1'])).toBe(2)
  expect(await main(['incidents', 'list', '-o', 'json'])).toBe(0)
  expect(JSON.parse(printed.join('\n'))).toMatchObject([
    { number: 1, acknowledged: { by: 'kim' } },
    { number: 2, false_positive: { by: 'kim' }, snoozed: { by: expect.any(String) } },
  ])
  stop.abort()
  await responding
  await subscription.close()
  await sink.close()
  await topics.close()
})
