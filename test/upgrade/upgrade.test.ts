import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Found, findDeadLetters } from '../../pipelines/dead-letters.ts'
import { openEmbedded } from '../../platform/topics/embedded.ts'
import { decodeBatch, splitBatches } from '../../platform/topics/kafka/batch.ts'
import { RangePlan } from '../../sinks/ranges/plan.ts'
import { rowsOf } from '../support/lake.ts'
import { copyOf, type Earlier, earlierVersions } from '../support/upgrade.ts'
import { options, take, valuesOf, watch } from '../topics/support.ts'
import { embeddedOptions } from '../topics/temporary.ts'

test('there is something of an earlier version to read', () => {
  expect(earlierVersions.length).toBeGreaterThan(0)
})

describe.each(earlierVersions)('what version %s left behind', name => {
  let earlier: Earlier
  beforeEach(() => {
    earlier = copyOf(name)
  })
  afterEach(() => rmSync(earlier.folder, { recursive: true, force: true }))

  test('topics: the group goes on where it stood, with its notes, and reads every record that was taken', async () => {
    const topics = await openEmbedded(embeddedOptions({ folder: join(earlier.stateFolder, 'topics') }))
    const waiting = (await topics.lag()).filter(({ group }) => group === 'waf-lake')
    const count = waiting.reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
    const listener = watch()
    const subscription = await topics.subscribe(options('events.waf', { group: 'waf-lake', listener }))
    const fetched = await take(subscription, count)
    const values = new Set(valuesOf(fetched))
    for (const record of earlier.records.slice(earlier.stored)) expect(values).toContain(String(record))
    // The dead letter that was sent again carries the mark that lets it pass the dedupe stage.
    const again = fetched.flatMap(({ records }) => records).filter(({ replayed }) => replayed)
    expect(earlier.bad.map(String)).toContain(String(again[0]?.value))
    for (const { note, offset } of listener.positions.values()) {
      expect(new RangePlan(note, offset, 'another').lineage).not.toBe('another')
    }
    await subscription.close()
    await topics.close()
  })

  test('lake: the query reads objects and merged objects, each event once, under the id that its bytes have today', async () => {
    const rows = await rowsOf(earlier.lakeFolder, 'SELECT metadata.uid FROM http_activity')
    expect(rows.map(([uid]) => uid).sort()).toEqual(earlier.ids.slice(0, earlier.stored).sort())
    const [[raw]] = (await rowsOf(earlier.lakeFolder, 'SELECT count(*) FROM http_activity_raw')) as [[unknown]]
    // Without any help of the ids: the manifests say which objects a merged one replaces.
    expect(Number(raw)).toBe(earlier.stored)
  })

  test('dead letters: reasons and bytes are read, and which of them were sent again', async () => {
    const folder = join(earlier.stateFolder, 'deadletter')
    const found: Found[] = []
    for await (const each of findDeadLetters(folder, { replayed: true })) found.push(each)
    expect([...new Set(found.map(({ letter }) => String(letter.raw)))].sort()).toEqual(earlier.bad.map(String).sort())
    expect(found.map(({ letter }) => letter.reason)).toEqual(
      found.map(() => expect.stringMatching(/^(not_json|not_waf)/)),
    )
    // In each pipeline that had it.
    expect(new Set(found.filter(({ replayed }) => replayed).map(({ letter }) => letter.id)).size).toBe(1)
  })

  test('Kafka: a record batch is decoded, with key, time, mark and tombstone', () => {
    const batches = splitBatches(readFileSync(join(earlier.folder, 'kafka-batch.bin')))
    const records = batches.flatMap(batch => decodeBatch(batch, 0n))
    const startMs = Date.UTC(2026, 10, 20)
    expect(records).toMatchObject([
      { offset: 0n, key: '192.0.2.7', value: earlier.records[0], timeMs: startMs },
      { offset: 1n, key: undefined, value: earlier.records[1], timeMs: startMs + 1, replayed: true },
      { offset: 2n, key: 'gone', value: null, timeMs: startMs + 2 },
    ])
  })
})
