import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadPipeline } from '../../pipelines/load.ts'
import { startProcess } from '../../pipelines/process.ts'
import { readSettings } from '../../pipelines/settings.ts'
import { readIncident } from '../../platform/incident.ts'
import { holdSchema } from '../../platform/response/hold.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import { openEmbedded } from '../../platform/topics/embedded.ts'
import { decodeBatch, splitBatches } from '../../platform/topics/kafka/batch.ts'
import { stateSchema } from '../../response/holds/state.ts'
import { LedgerStore } from '../../response/holds/store.ts'
import { IncidentStore } from '../../response/incidents/store.ts'
import { partsOf, prefixOf, readNote, readStored } from '../../sources/topic/stored-state.ts'
import { copyOf, type Earlier, earlierVersions } from '../support/upgrade.ts'
import { options, take, watch } from '../topics/support.ts'
import { embeddedOptions } from '../topics/temporary.ts'
import { KEPT_TOPICS, SEARCHES, search } from './response.ts'

const isKept = (name: string): boolean => existsSync(new URL(`../fixtures/upgrade/${name}/response`, import.meta.url))
const remembering = earlierVersions.filter(isKept)
const names = { holds: 'holds', state: 'holds.state', audit: 'audit' }
const FLOOD = 'Flood of Searches From One Client'

test('there is something that an earlier version remembered', () => {
  expect(remembering.length).toBeGreaterThan(0)
})

describe.each(remembering)('what version %s remembered', name => {
  let earlier: Earlier
  let stateFolder: string
  beforeEach(() => {
    earlier = copyOf(name)
    stateFolder = join(earlier.folder, 'response')
  })
  afterEach(() => rmSync(earlier.folder, { recursive: true, force: true }))

  async function withTopics<T>(work: (topics: Topics) => Promise<T>): Promise<T> {
    const topics = await openEmbedded(embeddedOptions({ folder: join(stateFolder, 'topics') }))
    try {
      return await work(topics)
    } finally {
      await topics.close()
    }
  }

  /** What a pipeline of today that reads it from the start would get. */
  async function textsOf(topics: Topics, topic: string): Promise<readonly string[]> {
    const group = `reader-of-${topic}`
    const subscription = await topics.subscribe(options(topic, { group }))
    const waiting = (await topics.lag()).filter(each => each.group === group)
    const count = waiting.reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
    const fetched = count > 0 ? await take(subscription, count) : []
    await subscription.close()
    return fetched.flatMap(({ records }) => records).map(({ value }) => String(value))
  }

  test('holds, and who made them: the ledger is read whole', async () => {
    await withTopics(async topics => {
      const ledger = await new LedgerStore(topics, names, Date.now).load()
      const mine = [...ledger.holds.values()].filter(({ cidr }) => cidr === '203.0.113.9/32')
      expect(mine).toMatchObject([{ state: 'active', reason: 'made for the upgrade test', dryRun: true }])
      expect(mine[0]!.history[0]).toMatchObject({ what: 'hold_created' })
      expect(ledger.audited).toBeGreaterThan(0)
    })
  })

  test('audit records: the hold is among them', async () => {
    await withTopics(async topics => {
      const texts = await textsOf(topics, 'audit')
      expect(texts.filter(text => text.includes('203.0.113.9')).length).toBeGreaterThan(0)
      for (const text of texts) expect(JSON.parse(text)).toBeTypeOf('object')
    })
  })

  test('incidents: all of them, the number of the newest, and the alerts that were counted', async () => {
    await withTopics(async topics => {
      const store = new IncidentStore(topics, { incidents: 'incidents', state: 'incidents.state' })
      const { incidents, number, chunks } = await store.restore(Date.now())
      expect(incidents.length).toBeGreaterThan(0)
      expect(number).toBe(incidents.length)
      expect(chunks.length).toBeGreaterThan(0)
    })
  })

  test('detectors: the committed position of detect has its whole snapshot', async () => {
    await withTopics(async topics => {
      const listener = watch()
      const subscription = await topics.subscribe(options('events.waf', { group: 'detect', listener }))
      const positions = [...listener.positions.values()].filter(({ note }) => note !== undefined)
      const all = positions.map(({ partition, note, offset }) => {
        return { prefix: prefixOf('detect', `events.waf/${partition}`), note: readNote(note, offset) }
      })
      for (const { note } of all) expect(note).toBeDefined()
      // Nothing was remembered of a partition before its first event.
      const read = all.filter(({ note }) => note?.snapshot)
      expect(read.length).toBeGreaterThan(0)
      const owners = new Map(read.map(({ prefix, note }) => [prefix, note?.snapshot?.owner]))
      const stored = await readStored(topics, 'detect.state', owners, new AbortController().signal)
      for (const { prefix, note } of read) expect(partsOf(stored.get(prefix)!.values, prefix, note!)).toBeDefined()
      await subscription.close()
    })
  })

  test('searches that were counted count on: with the last of 120 the alert comes, once', async () => {
    const settings = readSettings({ HAETAE_STATE: stateFolder, HAETAE_STATUS_PORT: '0', HAETAE_LOG_LEVEL: 'fatal' })
    const running = await startProcess([loadPipeline('pipelines/detect.yaml', {})], settings)
    const topics = await running.runtime.topics()
    const come = SEARCHES.snapshot + SEARCHES.read
    const records = Array.from({ length: SEARCHES.toCome }, (_, at) => {
      return { key: '203.0.113.77', value: Buffer.from(search(come + at)), timeMs: Date.now() }
    })
    const floods = async (): Promise<readonly string[]> =>
      (await textsOf(topics, 'alerts')).filter(text => text.includes(FLOOD))
    const acked = async (): Promise<number> => {
      const lines = (await running.runtime.metrics.expose()).split('\n')
      const line = lines.find(each => each.startsWith('haetae_events_acked_total{pipeline="detect"'))
      return Number(line?.split(' ').at(-1) ?? 0)
    }
    await topics.append('events.waf', records.slice(0, -1))
    await expect.poll(acked, { timeout: 20_000 }).toBeGreaterThanOrEqual(records.length - 1)
    expect(await floods()).toEqual([])
    await topics.append('events.waf', records.slice(-1))
    await expect.poll(floods, { timeout: 20_000 }).toHaveLength(1)
    running.stop()
    await running.done
  })

  test.each(KEPT_TOPICS)('Kafka: a batch of %s is decoded and understood', topic => {
    const batches = splitBatches(readFileSync(join(earlier.folder, 'kafka', `${topic}.bin`)))
    const records = batches.flatMap(batch => decodeBatch(batch, 0n))
    expect(records.length).toBeGreaterThan(0)
    for (const { key, value } of records) understand(topic, key ?? '', value ?? Buffer.alloc(0))
  })
})

/** As whoever reads the topic does it. */
function understand(topic: (typeof KEPT_TOPICS)[number], key: string, value: Buffer): void {
  const parsed = (): unknown => JSON.parse(String(value))
  switch (topic) {
    case 'holds':
      expect(holdSchema.parse(parsed()).uid).toBe(key)
      break
    case 'holds.state':
      expect(stateSchema.parse(parsed()).type).toBe(key.split(' ')[0])
      break
    case 'incidents':
      expect(readIncident(value)?.uid).toBe(key)
      break
    case 'incidents.state':
      expect(parsed()).toHaveProperty('number')
      break
    case 'detect.state':
      expect(key).toMatch(/^(detect|correlate)\/[\w.]+\/\d\/[0-9a-f-]{36}\/(manifest|sigma-0)\//)
      break
  }
}
