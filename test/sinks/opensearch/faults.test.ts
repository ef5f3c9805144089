import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Sink } from '../../../engine/contract.ts'
import { type WriteContext, writeAll } from '../../../engine/write.ts'
import { silentLog } from '../../../platform/log.ts'
import { error, type FakeOpenSearch, type Fault, startFakeOpenSearch } from '../../support/opensearch-server.ts'
import { never, openAgainst, record, records } from '../../support/opensearch-sink.ts'

let server: FakeOpenSearch
beforeEach(async () => {
  server = await startFakeOpenSearch()
})
afterEach(() => server.close())

const open = (config: object = {}) => openAgainst(server.url, config)
const done = { retry: [], reject: [] }
const all = { retry: [0, 1], reject: [] }

describe('answers that say nothing of the documents', () => {
  test.each<[string, Fault]>([
    ['503', { status: 503, body: error('unavailable', 'no shard') }],
    ['429', { status: 429, body: 'Too Many Requests' }],
    ['502 from a proxy', { status: 502, body: '<html>Bad Gateway</html>' }],
    ['504 from a proxy', { status: 504, body: '' }],
    ['a connection that breaks before the answer', { reset: 'before' }],
    ['a connection that breaks after everything was stored', { reset: 'after' }],
    ['an answer that breaks off', { reset: 'midway' }],
    ['an answer that is not JSON', { garbage: '<html>' }],
    ['an empty object', { garbage: '{}' }],
    ['JSON null', { garbage: 'null' }],
    ['items without a status', { garbage: '{"items":[{"create":{}},{"create":{"status":201}}]}' }],
    ['items of another action', { garbage: '{"items":[{"index":{"status":201}},{"index":{"status":201}}]}' }],
    [
      'one item more than documents',
      { garbage: `{"items":[${'{"create":{"status":201}},'.repeat(2)}{"create":{"status":201}}]}` },
    ],
    ['one item less than documents', { itemsShort: true }],
  ])('%s: everything is tried again, and the second time all is there once', async (_, fault) => {
    const { sink } = await open()
    server.faults.push(fault)
    expect(await sink.write(records(2), never)).toEqual(all)
    expect(await sink.write(records(2), never)).toEqual(done)
    expect(server.documents.size).toBe(2)
  })

  test('an answer whose body never comes ends with requestMsMax', async () => {
    const { sink } = await open({ requestMsMax: 200 })
    server.faults.push({ stall: true })
    expect(await sink.write(records(2), never)).toEqual(all)
    expect(await sink.write(records(2), never)).toEqual(done)
  })

  test('a server that is gone is said once, and once that it is back', async () => {
    const { sink, lines } = await open()
    server.bulk = () => ({ reset: 'before' })
    for (let round = 0; round < 5; round++) expect(await sink.write(records(2), never)).toEqual(all)
    expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(1)
    server.bulk = () => undefined
    for (let round = 0; round < 3; round++) expect(await sink.write(records(2), never)).toEqual(done)
    expect(lines.map(({ level }) => level)).toEqual(['info', 'warn', 'info'])
  })

  test('one broken connection, as a balancer does it to idle ones, is not worth a line', async () => {
    const { sink, lines } = await open()
    server.faults.push({ reset: 'before' })
    await sink.write(records(2), never)
    await sink.write(records(2), never)
    expect(lines.map(({ level }) => level)).toEqual(['info'])
  })

  test('a connection that breaks prints nothing on stdout, which belongs to events', async () => {
    const { sink } = await open()
    const print = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    for (let round = 0; round < 5; round++) {
      server.faults.push({ reset: 'midway' })
      await sink.write(records(2), never)
    }
    expect(print).not.toHaveBeenCalled()
    print.mockRestore()
  })
})

describe('slow servers', () => {
  test('push-back lowers the number of requests at once, and good answers raise it again', async () => {
    const { sink, metric } = await open({ documentsMax: 1, requestsMax: 4 })
    await sink.write(records(40), never)
    expect(await metric('haetae_opensearch_concurrency_requests')).toBe(4)
    server.bulk = () => ({ status: 429, body: 'busy' })
    for (let round = 0; round < 3; round++) await sink.write(records(1, 100), never)
    expect(await metric('haetae_opensearch_concurrency_requests')).toBe(1)
    server.bulk = () => undefined
    await sink.write(records(40, 200), never)
    expect(await metric('haetae_opensearch_concurrency_requests')).toBe(4)
  })

  test('giving up ends a request that waits for its answer and those that wait for their turn', async () => {
    const { sink } = await open({ documentsMax: 1 })
    server.bulk = () => ({ until: new Promise(() => undefined) })
    const stop = new AbortController()
    const write = sink.write(records(3), stop.signal)
    await vi.waitUntil(() => server.bulks.length > 0)
    stop.abort()
    expect([...(await write).retry].sort((a, b) => a - b)).toEqual([0, 1, 2])
    expect(server.bulks).toHaveLength(1)
    await sink.close()
  })
})

/** The engine's own retry loop around the sink, without its waits. */
async function writeAsEngine(sink: Sink, batch: ReturnType<typeof records>, dead: string[]): Promise<void> {
  const context: WriteContext = {
    name: 'opensearch',
    clock: { now: () => 0, monotonicMs: () => 0, wait: () => Promise.resolve() },
    log: silentLog,
    random: () => 0,
    backoff: { firstMs: 1, maxMs: 1 },
    signal: never,
    retries: { add: () => undefined },
    broken: thrown => {
      throw thrown
    },
    deadLetter(rejected) {
      for (const each of rejected) dead.push(each.record.event.id)
      return Promise.resolve()
    },
  }
  await Promise.all(await writeAll(sink, batch, context))
}

const anyFault: fc.Arbitrary<Fault> = fc.oneof(
  fc.constantFrom(503, 429, 500, 413).map(status => ({ status, body: error('x', 'y') })),
  fc.constantFrom<Fault>({ reset: 'before' }, { reset: 'after' }, { reset: 'midway' }, { itemsShort: true }),
  fc.constant({ garbage: '{"items":[]}' }),
)

test('whatever goes wrong on the way, each document ends up in the index once or is rejected, never both', async () => {
  const plan = fc.record({
    faults: fc.array(anyFault, { maxLength: 6 }),
    limit: fc.integer({ min: 1, max: 40 }),
    poison: fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { maxLength: 5 }),
    /** How often each document is put off before it is taken. */
    putOff: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 10 }),
  })
  let run = 0
  await fc.assert(
    fc.asyncProperty(plan, async ({ faults, limit, poison, putOff }) => {
      const name = `run ${run++}`
      const batch = Array.from({ length: 100 }, (_, at) => record({ message: `${name} ${at}` }))
      const poisoned = new Set(poison.map(at => batch[at]!.event.id))
      const left = new Map(batch.map(({ event }, at) => [event.id, putOff[at % putOff.length]!]))
      server.item = ({ id }) => {
        if (poisoned.has(id)) return { status: 400, type: 'mapper_parsing_exception', reason: 'poison' }
        const times = left.get(id) ?? 0
        left.set(id, times - 1)
        return times > 0 ? { status: 429, type: 'rejected_execution_exception' } : undefined
      }
      server.faults.push(...faults)
      const before = server.documents.size
      const { sink } = await open({ documentsMax: limit })
      const dead: string[] = []
      await writeAsEngine(sink, batch, dead)
      await sink.close()
      server.faults.length = 0
      // A document alone in a request that is answered 413 is rejected; every other one is stored.
      const entries = [...server.documents].slice(before)
      const stored = entries.map(([key]) => key.split('/')[1]!)
      const bytes = new Map(batch.map(({ event, json }) => [event.id, json.toString()]))
      for (const [key, json] of entries) expect(json).toBe(bytes.get(key.split('/')[1]!))
      expect(new Set(dead).size).toBe(dead.length)
      expect([...poisoned].filter(id => !dead.includes(id))).toEqual([])
      expect([...stored, ...dead].sort()).toEqual(batch.map(({ event }) => event.id).sort())
    }),
    { numRuns: 25 },
  )
})
