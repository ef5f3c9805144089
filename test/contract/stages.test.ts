/** What every stage promises about a batch: each record has its own outcome, and none gets lost on the way. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateWaf } from '../../bench/generate.ts'
import type { Batch, Event, LogKind, Stage } from '../../engine/contract.ts'
import { logKinds } from '../../engine/contract.ts'
import { stages } from '../../enrichers/index.ts'
import { FakeClock } from '../support/clock.ts'
import { exampleOf } from '../support/components.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { alertsOfEveryKind } from '../support/falco-alerts.ts'
import { findingsOfEveryKind } from '../support/findings.ts'

const good: Readonly<Record<LogKind, readonly unknown[]>> = {
  waf: [...generateWaf({ seed: 7, count: 12, startMs: Date.UTC(2026, 10, 23), durationMs: 3_600_000, attackOdds: 50 })],
  guardduty: Object.values(findingsOfEveryKind),
  falco: Object.values(alertsOfEveryKind),
}

const bad: Readonly<Record<string, unknown>> = {
  'garbage bytes': Buffer.from([0xff, 0x00, 0xc3, 0x28, 0x80, 0x0a, 0x22]),
  'an empty object': '{}',
  'an empty list': '[]',
  null: 'null',
  'half a record': '{"timestamp":1763900000000,"httpRequest":{"clientIp":"192.0.2',
  'deep lists': '['.repeat(100_000),
  'deep objects': '{"a":'.repeat(20_000),
  'deep and whole': `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`,
  'keys of prototypes':
    '{"__proto__":{"action":"ALLOW"},"constructor":{"prototype":{"x":1}},"timestamp":1763900000000}',
  'the right keys with the wrong types':
    '{"timestamp":"now","action":[],"webaclId":{},"httpRequest":7,"detail":null,"output_fields":"x","rule":{}}',
  'many keys': `{${Array.from({ length: 5_000 }, (_, at) => `"k${at}":${at}`).join(',')}}`,
  'a lone surrogate': '{"timestamp":1763900000000,"action":"\\ud800","x":"\\u0000"}',
}

/** Stages that let events go on purpose; every other one passes or rejects. */
const DROPPING = ['dedupe', 'filter']
const deps = { ...testDeps(), clock: new FakeClock() }
const parsers = new Map<LogKind, Stage>()

beforeAll(async () => {
  for (const kind of logKinds) {
    const spec = stages.find(({ type }) => type === `parse-${kind}`)
    expect(spec, `parse-${kind}`).toBeDefined()
    parsers.set(kind, await spec!.open({}, deps))
  }
})

describe.each(stages.map(spec => ({ type: spec.type, spec })))('$type', ({ type, spec }) => {
  let stage: Stage
  let streams = 0

  beforeAll(async () => {
    // Defaults where there are any: an example names files of another machine.
    const bare = spec.config.safeParse({})
    stage = await spec.open(bare.success ? bare.data : spec.config.parse(exampleOf(spec)), deps)
  })
  afterAll(async () => await stage.close?.())

  /** The outcome of each record of one batch, in order: what went on, why it was rejected, or that it was let go. */
  async function outcomes(records: readonly unknown[], kind: LogKind, parsed: boolean): Promise<string[]> {
    const stream = `contract/${streams++}`
    const given = records.map((record, at) => eventOf(record, kind, { stream, position: BigInt(at) }))
    const rejected = new Map<Event, string>()
    const reject = (event: Event, reason: string): void => {
      expect(given).toContain(event)
      expect(rejected.has(event), 'rejected twice').toBe(false)
      expect(reason).toMatch(/^[a-z][a-z0-9_]*(: .+)?$/s)
      rejected.set(event, reason)
    }
    const entering = parsed ? await parsers.get(kind)!.apply(given.slice(), reject) : given.slice()
    const entered = new Set(entering)
    const out: Batch = entering.length > 0 ? await stage.apply(entering, reject) : []
    const passed = new Set(out)
    expect(passed.size, 'an event went on twice').toBe(out.length)
    return given.map(event => {
      if (passed.has(event)) {
        expect(entered.has(event), 'an event came from nowhere').toBe(true)
        expect(rejected.has(event), 'an event went on and was rejected').toBe(false)
        const body = event.encode?.().toString('utf8') ?? JSON.stringify(event.body)
        return `passed ${event.timeMs} ${event.key} ${body}`
      }
      const reason = rejected.get(event)
      if (reason === undefined) expect(DROPPING, 'an event is neither passed nor rejected').toContain(type)
      return reason ?? 'dropped'
    })
  }

  test.each(logKinds.flatMap(kind => [false, true].map(parsed => ({ kind, parsed }))))(
    'a bad record among good ones costs only itself ($kind, parsed: $parsed)',
    async ({ kind, parsed }) => {
      const [first, ...rest] = good[kind]
      const undisturbed = await outcomes([first, ...rest], kind, parsed)
      for (const [name, record] of Object.entries(bad)) {
        const [before, own, ...after] = await outcomes([first, record, ...rest], kind, parsed)
        expect([before, ...after], name).toEqual(undisturbed)
        // None of them is a record of any kind: the parse stage must say so, and every other stage may let it be.
        if (type === `parse-${kind}`) expect(own, name).not.toMatch(/^(passed|dropped)/)
      }
    },
  )

  test.each(logKinds)('what happens to a record does not depend on its neighbours (%s)', async kind => {
    const pool = [...good[kind], ...Object.values(bad)]
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.nat(pool.length - 1), { minLength: 1, maxLength: 12 }),
        fc.boolean(),
        async (picks, parsed) => {
          const records = picks.map(pick => pool[pick])
          const alone: string[] = []
          for (const record of records) alone.push(...(await outcomes([record], kind, parsed)))
          expect(await outcomes(records, kind, parsed)).toEqual(alone)
        },
      ),
      { numRuns: 20 },
    )
  })

  test.each(logKinds)(
    'any bytes at all are passed, rejected or let go, and never thrown at the neighbours (%s)',
    kind =>
      fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.oneof(
              fc.uint8Array({ maxLength: 200 }).map(bytes => Buffer.from(bytes)),
              fc.json(),
            ),
            {
              minLength: 1,
              maxLength: 20,
            },
          ),
          async records => {
            expect(await outcomes(records, kind, false)).toHaveLength(records.length)
          },
        ),
        { numRuns: 40 },
      ),
  )
})
