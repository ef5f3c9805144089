import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Deps, Sink } from '../../engine/contract.ts'
import type { Incident } from '../../platform/incident.ts'
import { createLog } from '../../platform/log.ts'
import { escalate } from '../../sinks/escalate.ts'
import { NOON, recordOf } from '../support/alerts.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { incidentOf } from '../support/incidents.ts'
import { MemoryTopics } from '../support/memory-topics.ts'
import { Partition } from '../support/partition.ts'

const MINUTE = 60_000
const signal = new AbortController().signal

interface Got {
  readonly id: string
  readonly reason: string
  readonly text: string
  readonly others: number
  readonly incident: { readonly uid: string }
}

let server: Server
let got: (Got & Record<string, unknown>)[]
let answer: number
let sinks: Sink[]

beforeEach(async () => {
  got = []
  sinks = []
  answer = 202
  server = createServer((request, response) => {
    let body = ''
    request.on('data', chunk => {
      body += String(chunk)
    })
    request.on('end', () => {
      got.push(JSON.parse(body) as (typeof got)[number])
      response.writeHead(answer, answer === 302 ? { location: 'http://127.0.0.1:1/' } : {}).end('ok')
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  process.env['TEST_ESCALATION_URL'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=secret`
  process.env['TEST_ESCALATION_KEY'] = 'R0UT1NG'
})

afterEach(async () => {
  for (const sink of sinks) await sink.close()
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
})

async function started(config: object = {}, overrides: Partial<Deps> = {}) {
  const clock = new FakeClock(NOON)
  const topics = new MemoryTopics()
  const paused: (string | undefined)[] = []
  const lines: string[] = []
  const deps: Partial<Deps> = {
    clock,
    topics: () => Promise.resolve(topics),
    paused: (_, reason) => void paused.push(reason),
    log: createLog('info', { write: line => void lines.push(line) }),
    ...overrides,
  }
  const given = escalate.config.parse({ url: { env: 'TEST_ESCALATION_URL' }, language: 'en', ...config })
  const open = async (): Promise<Sink> => {
    const next = await escalate.open(given, testDeps(deps))
    sinks.push(next)
    return next
  }
  let sink = await open()
  return {
    clock,
    topics,
    paused,
    lines,
    tell: async (...incidents: Incident[]) => {
      for (const each of incidents)
        await topics.append('incidents', [{ key: each.uid, value: Buffer.from(JSON.stringify(each)), timeMs: NOON }])
      return sink.write(
        incidents.map(each => recordOf(each, 'incident')),
        signal,
      )
    },
    /** As the sink `slack` notes it. */
    posted: (uid: string) => {
      const notice = { incident: uid, channel: 'C1', state: 'posted', sinceMs: 1, said: [], replies: 0 }
      return topics.append('notified', [{ key: uid, value: Buffer.from(JSON.stringify(notice)), timeMs: NOON }])
    },
    again: async () => {
      await sink.close()
      sink = await open()
      await sink.write([], signal)
    },
    /** Simulated time, with room for the real socket in between. */
    pass: async (minutes: number) => {
      for (let second = 0; second < minutes * 60; second += 5) {
        await clock.advance(5_000)
        await new Promise(resolve => setTimeout(resolve, 2))
      }
      await settled()
    },
  }

  /** Whatever is under way has come back. */
  async function settled(): Promise<void> {
    for (let before = -1; before !== got.length; ) {
      before = got.length
      await new Promise(resolve => setTimeout(resolve, 50))
      await clock.advance(1)
    }
  }
}

const critical = (given: Partial<Incident> = {}): Incident =>
  incidentOf({ severity_id: 5, critical_time: NOON, ...given })
const reasonsOf = () => got.map(({ reason }) => reason)

describe('somebody is called', () => {
  test('when a critical incident is not acknowledged for 15 minutes, once, and told when it is', async () => {
    const { tell, posted, pass, again, topics } = await started()
    await tell(critical())
    await posted(critical().uid)
    await pass(14)
    expect(got).toEqual([])
    await pass(2)
    await again()
    await pass(10)
    expect(got).toMatchObject([
      { id: `${critical().uid}/unacknowledged`, reason: 'unacknowledged', others: 0, incident: { number: 2041 } },
    ])
    expect(got[0]!.text).toContain('INC-2041 [Critical] Credential stuffing · api.example.kr')
    await tell(critical({ version: 2, acknowledged: { by: 'kim (U0123456789)', time: NOON } }))
    await pass(1)
    expect(got[1]).toMatchObject({ reason: 'over', incident: { acknowledged: { by: 'kim' } } })
    await pass(1)
    expect(topics.values('escalated')).toEqual([])
  })

  test('when one is not in Slack after 2 minutes, as it is down or was never set up', async () => {
    const { tell, posted, pass } = await started()
    await tell(critical({ uid: 'there' }), critical({ uid: 'not there' }))
    await posted('there')
    await pass(3)
    expect(got).toMatchObject([{ reason: 'not_in_slack', others: 1, incident: { uid: 'not there' } }])
    await pass(13)
    expect(reasonsOf().toSorted()).toEqual(['not_in_slack', 'unacknowledged', 'unacknowledged'])
  })

  test('for nothing that is less than critical, made up, seen, or a day old', async () => {
    const { tell, pass } = await started()
    const mark = { by: 'kim', time: NOON }
    await tell(
      incidentOf({ uid: 'high' }),
      critical({ uid: 'sample', sample: true }),
      critical({ uid: 'seen', acknowledged: mark }),
      critical({ uid: 'false', false_positive: mark }),
      critical({ uid: 'over', state: 'closed' }),
      critical({ uid: 'old', critical_time: NOON - 25 * 60 * MINUTE }),
    )
    await pass(20)
    expect(got).toEqual([])
  })

  test('within a budget: five at once and one a minute, each saying how many more there are', async () => {
    const { tell, pass } = await started()
    await tell(...Array.from({ length: 30 }, (_, each) => critical({ uid: `i${each}`, number: each })))
    await pass(3)
    expect(got.length).toBeGreaterThanOrEqual(5)
    expect(got.length).toBeLessThanOrEqual(7)
    expect(got[0]!.others).toBe(29)
  })

  test('shows what an attacker wrote as text', async () => {
    const { tell, pass } = await started()
    await tell(critical({ title: '<!channel> \u202e\nhttp://x', targets: ['<@U1>\u0000'] }))
    await pass(3)
    expect(got).toHaveLength(1)
    expect(JSON.stringify(got[0])).not.toMatch(/[<>\u202e]|:\/\//)
  })
})

describe('a receiver', () => {
  test('that is PagerDuty gets one alert an incident, and its end', async () => {
    const { tell, pass } = await started({ format: 'pagerduty', routingKey: { env: 'TEST_ESCALATION_KEY' } })
    await tell(critical())
    await pass(3)
    await tell(critical({ version: 2, state: 'closed' }))
    await pass(1)
    expect(got).toMatchObject([
      {
        routing_key: 'R0UT1NG',
        event_action: 'trigger',
        dedup_key: critical().uid,
        payload: { severity: 'critical', source: 'api.example.kr', summary: expect.stringContaining('INC-2041') },
      },
      { event_action: 'resolve', dedup_key: critical().uid },
    ])
    expect(got[1]!['payload']).toBeUndefined()
  })

  test('that refuses is asked again, pauses the sink with no word of its secret address, and goes on', async () => {
    const { tell, pass, paused, lines } = await started()
    answer = 404
    await tell(critical())
    await pass(5)
    expect(got.length).toBeGreaterThan(1)
    expect(got.length).toBeLessThan(12)
    expect(paused.at(-1)).toContain('404')
    expect(lines.filter(line => line.includes('could not be sent'))).toHaveLength(1)
    expect(JSON.stringify([paused, lines])).not.toContain('secret')
    answer = 200
    const before = got.length
    await pass(3)
    expect(got).toHaveLength(before + 1)
    expect(paused.at(-1)).toBeUndefined()
  })

  test('is not followed elsewhere', async () => {
    const { tell, pass, paused } = await started()
    answer = 302
    await tell(critical())
    await pass(3)
    expect(paused.at(-1)).toContain('302')
  })

  test('needs an address, and PagerDuty a key', async () => {
    process.env['TEST_ESCALATION_URL'] = 'not an address'
    await expect(started()).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect(escalate.config.safeParse({ url: { env: 'X' }, format: 'pagerduty' }).success).toBe(false)
  })
})

test('what is kept and cannot be read stops it', async () => {
  const { topics, again, tell } = await started()
  await topics.append('escalated', [{ key: 'x', value: Buffer.from('{}'), timeMs: NOON }])
  await again().catch(() => undefined)
  expect(await tell(critical())).toMatchObject({ retry: [0] })
})

test('records that are no incidents are refused', async () => {
  const { topics } = await started()
  const sink = sinks[0]!
  const verdict = await sink.write([recordOf({ uid: 7 }, 'incident')], signal)
  expect(verdict).toEqual({ retry: [], reject: [{ index: 0, reason: 'not_incident: no incident of this version' }] })
  expect(topics.ensured.get('escalated')).toMatchObject({ compacted: true, partitions: 1 })
})

test('who lost the partition calls nobody, however often a delivery is tried again, until he is given it anew', async () => {
  const partition = new Partition('incidents/0')
  const { tell, pass } = await started({}, { positions: partition.positions })
  partition.assign()
  partition.revoke()
  expect(await tell(critical())).toEqual({ retry: [], reject: [] })
  await pass(4)
  expect(got).toEqual([])
  partition.assign()
  await pass(1)
  expect(reasonsOf()).toEqual(['not_in_slack'])
})
