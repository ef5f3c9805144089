import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Alert, Event } from '../../engine/contract.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import {
  correlation,
  detected,
  detectorOf,
  matchesOf,
  parsed,
  pathRule,
  requestOf,
  START_MS,
} from '../support/correlations.ts'
import { testDeps } from '../support/deps.ts'
import { falcoAlert } from '../support/falco-alerts.ts'
import { connection, finding } from '../support/findings.ts'
import { ocsfErrors } from '../support/ocsf-validator.ts'
import { document } from '../support/sigma.ts'

const byClient = (more: object = {}): object =>
  correlation({ rules: ['login'], 'group-by': ['src_endpoint.ip'], ...more })

function requests(count: number, more: Partial<Parameters<typeof requestOf>[0]> = {}): Promise<Event[]> {
  return Promise.all(Array.from({ length: count }, (_, at) => requestOf({ atMs: at * 1_000, ...more })))
}

describe('a correlation by client', () => {
  test('alerts on the event that completes it, once for each group and time span', async () => {
    const detector = await detectorOf([pathRule('login'), byClient()])
    const found = detected(detector, [...(await requests(5)), ...(await requests(2, { client: '203.0.113.10' }))])
    expect(found).toHaveLength(1)
    expect(found[0]!.timeMs).toBe(START_MS + 2_000)
    const later = detected(detector, await Promise.all([60, 61, 62].map(at => requestOf({ atMs: at * 1_000 }))))
    expect(later.map(({ timeMs }) => timeMs)).toEqual([START_MS + 60_000])
    expect(later[0]!.id).not.toBe(found[0]!.id)
  })

  test('gives a valid OCSF finding with group, count, evidence, and what the response needs', async () => {
    const more = { haetae: { runbook: 'Look.', respond: { block: true, ttl: '1h' } }, level: 'high' }
    const detector = await detectorOf([
      pathRule('login'),
      correlation({ rules: ['login'], 'group-by': ['c-ip', 'http_request.url.path'], condition: { gt: 29 } }, more),
    ])
    const [alert] = detected(detector, await requests(30, { args: 'password=hunter2' }))
    const body = JSON.parse(String(alert!.raw)) as JsonObject
    expect(ocsfErrors(body)).toEqual([])
    expect(alert).toMatchObject({ kind: 'alert', severity: 'high', key: '203.0.113.9', receivedMs: START_MS + 29_000 })
    expect(body).toMatchObject({
      count: 30,
      metadata: { logged_time: START_MS + 29_000 },
      finding_info: { first_seen_time: START_MS, last_seen_time: START_MS + 29_000 },
      unmapped: {
        haetae: {
          actor: { type: 'address', value: '203.0.113.9' },
          group: { 'c-ip': '203.0.113.9', 'http_request.url.path': '/login' },
          count: 30,
          respond: { block: true, ttlMs: 3_600_000 },
          replayed: false,
          sample: false,
        },
      },
    })
    expect(alert!.body.evidences).toHaveLength(10)
    expect((alert!.body.finding_info!['related_events'] as object[]).length).toBe(20)
    expect(String(alert!.raw)).not.toContain('hunter2')
    expect(String(alert!.raw)).toContain('/login')
  })

  test('counts an event once, however often it is delivered', async () => {
    const detector = await detectorOf([pathRule('login'), byClient()])
    const [one, two] = await requests(2)
    expect(detected(detector, [one!, one!, two!, one!, two!])).toEqual([])
  })

  test('silences its rule, unless it says that the rule shall alert, too', async () => {
    const silent = await detectorOf([pathRule('login'), byClient()])
    const told = await detectorOf([pathRule('login'), byClient({ generate: true })])
    expect(detected(silent, await requests(2))).toEqual([])
    expect(detected(told, await requests(3))).toHaveLength(4)
  })

  test('lets no clock that runs ahead make others late', async () => {
    const detector = await detectorOf([pathRule('login'), byClient()])
    const ahead = Object.assign(await requestOf({ atMs: 0, client: '203.0.113.77' }), { timeMs: START_MS + 80_000_000 })
    expect(detected(detector, [ahead, ...(await requests(3))])).toHaveLength(1)
  })

  test('counts what is late within the bound, and leaves out and counts what is later', async () => {
    const metrics = createMetrics()
    const detector = await detectorOf([pathRule('login'), byClient()], { latenessMs: 120_000 }, testDeps({ metrics }))
    const [first, second, third] = await requests(3)
    const now = await requestOf({ atMs: 100_000, client: '203.0.113.77' })
    const muchLater = await requestOf({ atMs: 400_000, client: '203.0.113.77' })
    expect(detected(detector, [first!, second!, now, third!])).toHaveLength(1)
    expect(detected(detector, [muchLater, ...(await requests(3))])).toEqual([])
    expect(await metrics.expose()).toContain('haetae_correlation_late_events_total{pipeline="test"} 3')
  })

  test('forgets groups past its bound, the least recent first, and counts them', async () => {
    const metrics = createMetrics()
    const detector = await detectorOf([pathRule('login'), byClient()], { groupsMax: 50 }, testDeps({ metrics }))
    const crowd = await Promise.all(
      Array.from({ length: 60 }, (_, at) => requestOf({ atMs: at, client: `198.51.100.${at}` })),
    )
    detected(detector, crowd)
    const again = (at: number) => Promise.all([70, 71].map(atMs => requestOf({ atMs, client: `198.51.100.${at}` })))
    expect(detected(detector, await again(0))).toEqual([])
    expect(detected(detector, await again(59))).toHaveLength(1)
    const text = await metrics.expose()
    expect(Number(/evicted_total\{pipeline="test"\} (\d+)/.exec(text)?.[1])).toBeGreaterThanOrEqual(10)
    expect(Number(/groups_count\{pipeline="test"\} (\d+)/.exec(text)?.[1])).toBeLessThanOrEqual(50)
  })
})

describe('a correlation by something else', () => {
  const byAsn = correlation({
    type: 'value_count',
    rules: ['login'],
    'group-by': ['src_endpoint.autonomous_system.number'],
    condition: { field: 'src_endpoint.ip', gte: 3 },
  })

  test('sends slim records to where its group is counted, and no alert', async () => {
    const detector = await detectorOf([pathRule('login'), byAsn])
    const found = detected(detector, await requests(3, { asn: 64_496 }))
    expect(found.map(({ kind }) => kind)).toEqual(['match', 'match', 'match'])
    expect(new Set(found.map(({ key }) => key)).size).toBe(1)
    expect(Math.max(...found.map(({ raw }) => raw.length))).toBeLessThan(1_200)
    expect(detected(detector, await matchesOf(found))).toEqual([])
  })

  test('leaves out an event that has not the field: nobody shares a group for being unknown', async () => {
    const detector = await detectorOf([pathRule('login'), byAsn])
    const crowd = await Promise.all([1, 2, 3].map(at => requestOf({ atMs: at, client: `198.51.100.${at}` })))
    expect(detected(detector, crowd)).toEqual([])
  })

  test('takes no record that is none of its own', async () => {
    const metrics = createMetrics()
    const detector = await detectorOf([pathRule('login'), byAsn], {}, testDeps({ metrics }))
    const [match] = await matchesOf(detected(detector, await requests(1, { asn: 1 })))
    const record = match!.body as JsonObject
    const wrong = [
      { uid: 1 },
      { group: ['a', 'b'] },
      { group: 'a' },
      { rule: 'nobody' },
      { base: 'nobody' },
      { evidence: [] },
      { received: '1' },
    ]
    const events = await Promise.all(wrong.map(more => parsed('match', { ...record, ...more }, START_MS, 'matches/0')))
    expect(detected(detector, events)).toEqual([])
    expect(await metrics.expose()).toContain(`haetae_matches_unknown_total{pipeline="test"} ${wrong.length}`)
  })

  test('gives the alerts of one consumer when two share the work, however their records interleave', async () => {
    const documents = [
      pathRule('login'),
      pathRule('cart'),
      byAsn,
      correlation({
        type: 'temporal',
        rules: ['login', 'cart'],
        'group-by': ['haetae.network24'],
        condition: undefined,
      }),
    ]
    const crowd = await Promise.all(
      Array.from({ length: 120 }, (_, at) =>
        requestOf({
          atMs: at * 4_000,
          client: `198.51.${at % 3}.${at % 7}`,
          asn: 64_496 + (at % 2),
          path: at % 5 === 0 ? '/cart' : '/login',
        }),
      ),
    )
    const alone = await detectorOf(documents)
    const expected = idsOf(detected(alone, await matchesOf(detected(alone, crowd))))
    expect(expected.length).toBeGreaterThan(10)
    const [left, right] = [await detectorOf(documents), await detectorOf(documents)]
    const shares = [crowd.filter((_, at) => at % 3 === 0), crowd.filter((_, at) => at % 3 !== 0)]
    const matches = [await matchesOf(detected(left, shares[0]!)), await matchesOf(detected(right, shares[1]!))] as const
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(3), { minLength: 300, maxLength: 300 }), async order => {
        const found: Alert[] = []
        const readers = [await detectorOf(documents), await detectorOf(documents)]
        for (const match of interleaved(matches, order)) {
          const { group } = match.body as unknown as { readonly group: readonly string[] }
          // Each group has its partition, and each partition its reader.
          found.push(...detected(readers[group[0]!.charCodeAt(group[0]!.length - 1) % 2]!, [match]))
        }
        expect(idsOf(found)).toEqual(expected)
      }),
      { numRuns: 30 },
    )
  })
})

/** Two lists as one, each in its order; some records twice, as when their sender died before he knew that they are there. */
function interleaved([left, right]: readonly (readonly Event[])[], order: readonly number[]): readonly Event[] {
  const rest = [[...left!], [...right!]]
  const topic: Event[] = []
  for (let at = 0; rest[0]!.length + rest[1]!.length > 0; at++) {
    const turn = order[at % order.length]!
    const next = rest[turn % 2]!.shift() ?? rest[1 - (turn % 2)]!.shift()!
    topic.push(next, ...(turn > 1 ? [next] : []))
  }
  return topic
}

describe('across sources', () => {
  const documents = [
    pathRule('login'),
    {
      ...document({ selection: { 'severity_id|gte': 4 }, condition: 'selection' }),
      name: 'guardduty',
      logsource: { product: 'aws', service: 'guardduty' },
    },
    {
      ...document({ selection: { 'evidences.process.name': 'bash' }, condition: 'selection' }),
      name: 'shell',
      logsource: { product: 'falco' },
    },
    correlation({
      type: 'temporal',
      rules: ['login', 'guardduty'],
      'group-by': ['haetae.remote'],
      timespan: '1h',
      condition: undefined,
    }),
  ]
  const seen = (severity: number, ip: string) => {
    const action = connection('INBOUND', { ipAddressV4: ip })
    const time = new Date(START_MS + 5_000).toISOString()
    return parsed(
      'guardduty',
      finding('UnauthorizedAccess:EC2/SSHBruteForce', action, { severity, updatedAt: time }),
      START_MS + 6_000,
      'events.guardduty/1',
    )
  }

  test('the same address in WAF and GuardDuty is one actor', async () => {
    const detector = await detectorOf(documents)
    const found = detected(detector, [
      await requestOf({ atMs: 0 }),
      await seen(8, '203.0.113.9'),
      await seen(8, '203.0.113.10'),
      await seen(2, '203.0.113.9'),
    ])
    const [alert, ...others] = detected(detector, await matchesOf(found))
    expect(others).toEqual([])
    expect(ocsfErrors(JSON.parse(String(alert!.raw)) as JsonObject)).toEqual([])
    expect(alert!.body).toMatchObject({
      finding_info: { data_sources: ['waf', 'guardduty'] },
      unmapped: { haetae: { actor: { type: 'address', value: '203.0.113.9' }, count: 2 } },
    })
    expect(alert!.receivedMs).toBe(START_MS + 6_000)
  })

  test('a rule about findings alone alerts about the pod, container or host', async () => {
    const detector = await detectorOf(documents)
    const [alert] = detected(detector, [
      await parsed('falco', falcoAlert(), START_MS + 3_600_000 * 5, 'events.falco/0'),
    ])
    expect(ocsfErrors(JSON.parse(String(alert!.raw)) as JsonObject)).toEqual([])
    expect(alert!.body).toMatchObject({
      unmapped: { haetae: { actor: { type: 'resource', value: 'order-6c9d8b7f5-x2x4z' } } },
    })
  })
})

describe('what is remembered', () => {
  test('goes on as if nothing had happened after it was stored and brought back, part by part, at any moment', async () => {
    const documents = [
      pathRule('login'),
      pathRule('cart'),
      byClient(),
      correlation({
        type: 'temporal_ordered',
        rules: ['login', 'cart'],
        'group-by': ['c-ip'],
        timespan: '10s',
        condition: undefined,
      }),
    ]
    const crowd = await Promise.all(
      Array.from({ length: 80 }, (_, at) =>
        requestOf({ atMs: at * 3_000, client: `198.51.100.${at % 9}`, path: at % 4 === 0 ? '/cart' : '/login' }),
      ),
    )
    const whole = detected(await detectorOf(documents), crowd)
    expect(whole.length).toBeGreaterThan(5)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(79), { maxLength: 6 }), async moments => {
        const kept = new Map<number, Uint8Array>()
        const found: Alert[] = []
        let detector = await detectorOf(documents)
        for (const [at, event] of crowd.entries()) {
          if (moments.includes(at)) {
            for (const { part, bytes } of detector.state!.snapshot('events.waf/0')) kept.set(part, bytes)
            if (at % 2 === 0) {
              detector = await detectorOf(documents)
              const parts = [...kept].filter(([, bytes]) => bytes.length > 0).map(([part, bytes]) => ({ part, bytes }))
              detector.state!.restore('events.waf/0', parts)
            }
          }
          found.push(...detected(detector, [event]))
        }
        expect(found.map(({ raw }) => String(raw))).toEqual(whole.map(({ raw }) => String(raw)))
      }),
      { numRuns: 30 },
    )
  })

  test('by a correlation that says something else now is not counted on', async () => {
    const before = await detectorOf([pathRule('login'), byClient()])
    detected(before, await requests(2))
    const parts = before.state!.snapshot('events.waf/0').filter(({ bytes }) => bytes.length > 0)
    const after = await detectorOf([pathRule('login'), byClient()])
    after.state!.restore('events.waf/0', parts)
    expect(detected(after, await requests(1))).toEqual([])
  })

  test('of a stream is forgotten when it is dropped', async () => {
    const detector = await detectorOf([pathRule('login'), byClient()])
    detected(detector, await requests(2))
    detector.state!.drop('events.waf/0')
    expect(detected(detector, await requests(1))).toEqual([])
  })

  test('that cannot be read throws, so that nobody goes on with half of it', async () => {
    const detector = await detectorOf([pathRule('login'), byClient()])
    expect(() => detector.state!.restore('s', [{ part: 3, bytes: Buffer.from('{"correlation":1}') }])).toThrow()
  })
})

function idsOf(found: readonly Alert[]): readonly string[] {
  return [...new Set(found.map(({ id }) => id))].toSorted()
}
