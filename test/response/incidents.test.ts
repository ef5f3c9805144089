import { describe, expect, test } from 'vitest'
import type { Deps, Encoded, Sink } from '../../engine/contract.ts'
import { type Incident, incidentSchema } from '../../platform/incident.ts'
import { createLog } from '../../platform/log.ts'
import { blockedSchema } from '../../response/incidents/blocked.ts'
import { incidents } from '../../response/incidents.ts'
import { alertBody, auditBody, NOON, recordOf, uidOf } from '../support/alerts.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { MemoryTopics } from '../support/memory-topics.ts'
import { Partition } from '../support/partition.ts'
import { Random } from '../support/random.ts'
import { openTemporary } from '../topics/temporary.ts'

const signal = new AbortController().signal

async function opened(topics: MemoryTopics, overrides: Partial<Deps> = {}, config: object = {}): Promise<Sink> {
  const deps = testDeps({ topics: () => Promise.resolve(topics), clock: new FakeClock(NOON), ...overrides })
  return incidents.open(incidents.config.parse(config), deps)
}

function stored(topics: MemoryTopics): Incident[] {
  const all = topics.values('incidents').map(each => incidentSchema.parse(each))
  return all.sort((a, b) => a.number - b.number)
}

function counted(topics: MemoryTopics): number {
  const counting = stored(topics).filter(({ merged_into }) => merged_into === undefined)
  return counting.reduce((sum, { count }) => sum + count, 0)
}

const alert = (given: Parameters<typeof alertBody>[0] = {}): Encoded => recordOf(alertBody(given), 'alert')

describe('the sink incidents', () => {
  test('keeps incidents on a compacted topic of one partition', async () => {
    const topics = new MemoryTopics()
    const sink = await opened(topics)
    const records = [alert(), alert({ severity: 5 }), recordOf({ hello: 'world' }, 'alert')]
    expect(await sink.write(records, signal)).toEqual({
      retry: [],
      reject: [{ index: 2, reason: 'not_alert: neither an alert nor an audit record' }],
    })
    expect(topics.ensured.get('incidents')).toMatchObject({ partitions: 1, compacted: true })
    expect(stored(topics)).toMatchObject([{ count: 2, severity_id: 5, version: 1, number: 1 }])
    await sink.close()
  })

  test('counts an alert once, however often and wherever it comes again', async () => {
    const topics = new MemoryTopics()
    let sink = await opened(topics)
    const records = [alert({ uid: uidOf('a') }), alert({ uid: uidOf('b') }), alert({ uid: uidOf('a') })]
    await sink.write(records, signal)
    await sink.write(records, signal)
    await sink.close()
    sink = await opened(topics)
    await sink.write(records, signal)
    expect(stored(topics)).toMatchObject([{ count: 2 }])
    await sink.close()
  })

  test('takes what audit records say, each once', async () => {
    const topics = new MemoryTopics()
    const sink = await opened(topics)
    const held = recordOf(
      auditBody('hold_created', { hold: 'h', target: { type: 'address', value: '203.0.113.7' } }),
      'audit',
    )
    const other = recordOf(auditBody('budget_tripped', {}), 'audit')
    await sink.write([alert(), held, held, other], signal)
    expect(stored(topics)[0]!.holds).toEqual({ active: 1, waiting: 1, total: 1, targets: ['203.0.113.7'] })
    await sink.close()
  })

  test('closes a quiet incident by itself, and says so once', async () => {
    const topics = new MemoryTopics()
    const clock = new FakeClock(NOON)
    const sink = await opened(topics, { clock })
    await sink.write([alert()], signal)
    await clock.advance(9 * 60_000)
    const before = topics.appended.length
    await clock.advance(2 * 60_000)
    expect(stored(topics)).toMatchObject([{ state: 'closed', version: 2 }])
    expect(topics.appended.length).toBe(before + 2)
    await sink.close()
  })

  test('does nothing while another process has the partition, and goes on where that one stopped', async () => {
    const topics = new MemoryTopics()
    const clock = new FakeClock(NOON)
    const partition = new Partition('alerts/0')
    const owner = await opened(topics, { clock })
    const standby = await opened(topics, { clock, positions: partition.positions })
    await owner.write([alert()], signal)
    await owner.close()
    const written = topics.appended.length
    await clock.advance(20 * 60_000)
    partition.assign('audit/0')
    await clock.advance(2_000)
    expect(topics.appended.length).toBe(written)
    partition.assign()
    await clock.advance(2_000)
    expect(stored(topics)).toMatchObject([{ state: 'closed', count: 1 }])
    partition.revoke()
    const after = topics.appended.length
    await clock.advance(60_000)
    // What is tried again is let go: whoever owns the partition now reads it.
    expect(await standby.write([alert()], signal)).toEqual({ retry: [], reject: [] })
    await clock.advance(60_000)
    expect(topics.appended.length).toBe(after)
    partition.assign()
    await standby.write([alert()], signal)
    expect(counted(topics)).toBe(2)
    await standby.close()
  })

  test('asks for the records again while its topic is away, warns once, and counts them once', async () => {
    const topics = new MemoryTopics()
    const lines: string[] = []
    const sink = await opened(topics, { log: createLog('info', { write: line => void lines.push(line) }) })
    const records = [alert(), alert()]
    topics.fate = () => 'lost'
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await sink.write(records, signal)).toMatchObject({ retry: [0, 1], retryAfterMs: 1_000 })
    }
    topics.fate = () => 'taken'
    expect(await sink.write(records, signal)).toMatchObject({ retry: [] })
    expect(counted(topics)).toBe(2)
    expect(lines.filter(line => line.includes('cannot be kept yet'))).toHaveLength(1)
    await sink.close()
  })

  test('changes nothing when what is stored cannot be read', async () => {
    const topics = new MemoryTopics()
    await topics.append('incidents', [{ key: 'x', value: Buffer.from('{"uid":1}'), timeMs: NOON }])
    const sink = await opened(topics)
    expect(await sink.write([alert()], signal)).toMatchObject({ retry: [0] })
    expect(topics.values('incidents')).toEqual([{ uid: 1 }])
    await sink.close()
  })

  test('writes an attack of many incidents in records that a broker takes', async () => {
    const topics = new MemoryTopics()
    const sink = await opened(topics)
    const wide = Array.from({ length: 500 }, (_, each) => {
      const title = `${each}${'\u{1f98a}'.repeat(100)}`
      return alert({
        address: `10.0.${each >> 8}.${each & 255}`,
        technique: `T${each}`,
        title,
        host: title,
        path: title,
      })
    })
    await sink.write(wide, signal)
    await sink.write(
      wide.map((_, each) => alert({ address: `10.0.${each >> 8}.${each & 255}`, technique: 'T1' })),
      signal,
    )
    const sizes = topics.appended.flatMap(({ records }) => records.map(({ value }) => value?.length ?? 0))
    expect(Math.max(...sizes)).toBeLessThan(700_000)
    expect(counted(topics)).toBe(1_000)
    await sink.close()
  })

  test('goes on in the embedded log as well', async () => {
    const { topics, reopen } = await openTemporary()
    const clock = new FakeClock(NOON)
    const open = async (log: typeof topics) =>
      incidents.open(incidents.config.parse({}), testDeps({ topics: () => Promise.resolve(log), clock }))
    const first = await open(topics)
    await first.write([alert({ uid: uidOf('once') })], signal)
    await first.close()
    await topics.close()
    const again = await reopen()
    const second = await open(again)
    await second.write([alert({ uid: uidOf('once') }), alert()], signal)
    const kept: Incident[] = []
    for await (const { value } of again.readCompacted('incidents'))
      kept.push(incidentSchema.parse(JSON.parse(String(value))))
    expect(kept).toMatchObject([{ count: 2, version: 2 }])
    await second.close()
    await again.close()
  })
})

describe('killed at any append, before or after it was taken', () => {
  test.each([0, 1, 2])('300 seeds: every alert is counted exactly once (part %i)', async part => {
    for (let seed = part * 100; seed < part * 100 + 100; seed++) await simulate(seed)
  })
})

/** Alerts in batches, some of them again at later positions; the process dies at appends, and the next reads from what was acked. */
async function simulate(seed: number): Promise<void> {
  const random = new Random(seed)
  const topics = new MemoryTopics()
  const clock = new FakeClock(NOON)
  let wanted = 0
  const log: Encoded[] = []
  const ids: string[] = []
  const blocked: string[] = []
  for (let each = 0; each < 60; each++) {
    const again = ids.length > 0 && random.int(0, 4) === 0
    const uid = again ? ids[random.int(0, ids.length - 1)]! : uidOf(`${seed} ${each}`)
    if (!again) {
      ids.push(uid)
      wanted++
    }
    const address = `192.0.2.${random.int(0, 11)}`
    log.push(
      alert({
        uid,
        address,
        technique: `T${1000 + random.int(0, 2)}`,
        severity: 1 + random.int(0, 4),
      }),
    )
    // What is seen a second time may be an alert that was counted elsewhere: its address is known nowhere else.
    if (again || random.int(0, 2) > 0) continue
    blocked.push(`h${each}`)
    log.push(recordOf(auditBody('hold_created', { hold: `h${each}`, target: address }), 'audit'))
  }
  let acked = 0
  let deaths = 0
  while (acked < log.length) {
    let dead = false
    topics.fate = () => {
      if (dead) return 'lost'
      if (deaths >= 20 || random.int(0, 3) > 0) return 'taken'
      dead = true
      deaths++
      return random.int(0, 1) === 0 ? 'lost' : 'unanswered'
    }
    const sink = await opened(topics, { clock })
    while (!dead && acked < log.length) {
      const batch = log.slice(acked, acked + 1 + random.int(0, 7))
      const verdict = await sink.write(batch, signal)
      if (!dead && verdict.retry.length === 0) acked += batch.length
      if (random.int(0, 59) === 0) await clock.advance(random.int(0, 11) * 60_000)
    }
    dead = true
    await sink.close()
  }
  topics.fate = () => 'taken'
  // The next start finishes what was begun.
  const sink = await opened(topics, { clock })
  await sink.write([alert({ uid: ids[0]! })], signal)
  await sink.close()
  expect(counted(topics), `seed ${seed}`).toBe(wanted)
  const all = stored(topics)
  const known = topics.values('incidents.state').flatMap(each => blockedSchema.safeParse(each).data ?? [])
  expect(known.flatMap(({ holds }) => holds.map(({ uid }) => uid)).sort(), `seed ${seed}`).toEqual(blocked.sort())
  const standing = all.filter(({ merged_into }) => merged_into === undefined)
  expect(
    standing.reduce((sum, { holds }) => sum + holds.active, 0),
    `seed ${seed}`,
  ).toBe(known.filter(({ holds }) => holds.length > 0).length)
  expect(new Set(all.map(({ number }) => number)).size, `seed ${seed}`).toBe(all.length)
}
