import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, vi } from 'vitest'
import type { Delivery, Source } from '../../engine/contract.ts'
import { s3 } from '../../sources/s3.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { fakeS3OfTests } from '../support/s3-server.ts'
import { fakeSqsOfTests } from '../support/sqs-server.ts'

const store = await fakeS3OfTests()
const queue = await fakeSqsOfTests()
const until = (what: () => unknown): Promise<unknown> => vi.waitUntil(what, { timeout: 10_000 })

function put(key: string, content: string | Buffer): void {
  const path = join(store.bucketFolder, key)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

/** As S3 announces it: the key URL-encoded, a blank as a plus. */
function announce(key: string, eTag = 'e1', eventName = 'ObjectCreated:Put', bucket = store.bucket): void {
  const encoded = encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/')
  const object = { key: encoded, eTag, size: 1, sequencer: '1' }
  queue.send(JSON.stringify({ Records: [{ eventName, s3: { bucket: { name: bucket }, object } }] }))
}

async function opened(config: object = {}) {
  store.refuse = () => undefined
  store.requests.length = 0
  queue.fresh()
  const clock = new FakeClock()
  const paused: (string | undefined)[] = []
  const deps = testDeps({ clock, paused: (_, reason) => void paused.push(reason) })
  const given = { queueUrl: queue.queueUrl, kind: 'waf', waitMs: 1_000, ...config }
  const source: Source = await s3.open(s3.config.parse(given), deps)
  return { source, deps, clock, paused }
}

/** Acknowledges what comes until the queue is empty. */
async function drained({ source, clock }: Awaited<ReturnType<typeof opened>>, deliveries: Delivery[] = []) {
  const stop = new AbortController()
  const reading = (async () => {
    for (let delivery = await source.read(stop.signal); delivery; delivery = await source.read(stop.signal)) {
      deliveries.push(delivery)
      delivery.ack()
    }
  })()
  await until(() => {
    void clock.advance(1_000)
    return queue.messages.length === 0
  })
  stop.abort()
  await reading
  await source.close()
  return deliveries.flatMap(({ batch }) => batch)
}

const lines = (count: number, name = 'r'): string =>
  Array.from({ length: count }, (_, at) => `{"${name}":${at}}\n`).join('')

describe('the s3 source', () => {
  it('streams the records of an announced object, plain or gzip, with where they stood', async () => {
    const bench = await opened()
    put('AWSLogs/2026/11/plain.log', lines(3, 'plain'))
    put('AWSLogs/2026/11/packed.log.gz', gzipSync(lines(2, 'packed')))
    announce('AWSLogs/2026/11/plain.log')
    announce('AWSLogs/2026/11/packed.log.gz')
    const events = await drained(bench)
    expect(events.map(({ raw }) => String(raw)).toSorted()).toEqual(
      ['{"packed":0}', '{"packed":1}', '{"plain":0}', '{"plain":1}', '{"plain":2}'].toSorted(),
    )
    expect(events[1]?.origin).toEqual({ stream: `s3://${store.bucket}/AWSLogs/2026/11/plain.log`, position: 2n })
  })

  it('takes large objects in parts, and deletes the message only when the last of them is durable', async () => {
    const { source } = await opened()
    put('large', lines(1_200))
    announce('large')
    const signal = new AbortController().signal
    const parts = [await source.read(signal), await source.read(signal), await source.read(signal)] as Delivery[]
    expect(parts.map(({ batch }) => batch.length)).toEqual([500, 500, 200])
    const next = new AbortController()
    const reading = source.read(next.signal)
    parts[2]!.ack()
    parts[0]!.ack()
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(queue.messages).toHaveLength(1)
    parts[1]!.ack()
    await until(() => queue.messages.length === 0)
    next.abort()
    await reading
    await source.close()
  })

  it('understands keys with blanks and letters of any script, in both forms of announcement', async () => {
    const bench = await opened()
    put('로그 파일+1/a b.log', '{"form":"notification"}')
    put('로그 파일+1/c d.log', '{"form":"eventbridge"}')
    announce('로그 파일+1/a b.log')
    const detail = { bucket: { name: store.bucket }, object: { key: '로그 파일+1/c d.log', etag: 'x' } }
    queue.send(JSON.stringify({ source: 'aws.s3', 'detail-type': 'Object Created', detail }))
    const events = await drained(bench)
    expect(events.map(({ raw }) => String(raw)).toSorted()).toEqual([
      '{"form":"eventbridge"}',
      '{"form":"notification"}',
    ])
    expect(bench.deps.dead).toEqual([])
  })

  it('deletes the test event of S3 and news of deletions, and reads nothing for them', async () => {
    const bench = await opened()
    queue.send(JSON.stringify({ Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: store.bucket }))
    announce('gone', 'e1', 'ObjectRemoved:Delete')
    expect(await drained(bench)).toEqual([])
    expect(bench.deps.dead).toEqual([])
    expect(store.requests).toEqual([])
  })

  it('reads an object once that is announced twice, and again when it was written anew', async () => {
    const bench = await opened()
    put('twice', '{"a":1}')
    announce('twice', 'e1')
    const first: Delivery[] = []
    const stop = new AbortController()
    first.push((await bench.source.read(stop.signal))!)
    first[0]!.ack()
    announce('twice', 'e1')
    announce('twice', 'e2')
    const events = await drained(bench)
    expect(events.map(({ raw }) => String(raw))).toEqual(['{"a":1}'])
    expect(store.requests.filter(each => each.startsWith('GET'))).toHaveLength(2)
  })

  it.each([
    [403, 'AccessDenied', 1],
    [500, 'InternalError', 0],
  ])(
    'waits for S3 while it answers %s, holds that against no message, and says so when a person must act',
    async (status, code, said) => {
      const bench = await opened({ receivesMax: 1 })
      put('refused', '{"a":1}')
      announce('refused')
      store.refuse = () => ({ status, code })
      const reading = drained(bench)
      await until(() => store.requests.filter(each => each.startsWith('GET')).length >= 3)
      store.refuse = () => undefined
      expect((await reading).map(({ raw }) => String(raw))).toEqual(['{"a":1}'])
      expect(bench.deps.dead).toEqual([])
      expect(queue.requests.filter(each => each.startsWith('ReceiveMessage')).length).toBeGreaterThan(0)
      expect(bench.paused.filter(reason => reason !== undefined).length >= said).toBe(true)
      expect(bench.paused.at(-1)).toBeUndefined()
    },
  )

  it('dead-letters the message of a broken object after so many receives, as what it is', async () => {
    const bench = await opened({ receivesMax: 2 })
    put('broken.gz', gzipSync(lines(50_000)).subarray(0, 5_000))
    announce('broken.gz')
    const reading = drained(bench)
    await until(() => queue.messages[0]?.receives === 1 && queue.requests.some(each => each.startsWith('Change')))
    queue.expire()
    await until(() => queue.messages[0]?.receives === 2)
    queue.expire()
    await reading
    expect(bench.deps.dead.map(({ reason }) => reason)).toEqual([
      'announcement: poison: received 3 times and never finished',
    ])
    expect(String(bench.deps.dead[0]?.raw)).toContain('"broken.gz"')
  })

  it.each([
    ['is no JSON', 'hello', 'not_json'],
    ['is no announcement', '{"hello":1}', 'not_s3_event'],
    ['names an object that is gone', undefined, 'object_missing: s3://haetae-lake/nowhere'],
  ])('dead-letters a message that %s', async (_what, body, reason) => {
    const bench = await opened()
    if (body === undefined) announce('nowhere')
    else queue.send(body)
    expect(await drained(bench)).toEqual([])
    expect(bench.deps.dead.map(each => each.reason)).toEqual([`announcement: ${reason}`])
  })

  it('reads no bucket that it was not told to', async () => {
    const bench = await opened({ buckets: ['another-bucket'] })
    put('private', '{"a":1}')
    announce('private')
    expect(await drained(bench)).toEqual([])
    expect(bench.deps.dead.map(({ reason }) => reason)).toEqual([
      'announcement: object_refused: haetae-lake is none of the buckets',
    ])
    expect(store.requests).toEqual([])
  })

  it('stops at an object that unpacks to more than it may', async () => {
    const bench = await opened({ objectBytesMax: 1_048_576 })
    put('bomb.gz', gzipSync(Buffer.alloc(32 * 1_048_576, '{"a":1}\n')))
    announce('bomb.gz')
    const events = await drained(bench)
    expect(events.length).toBeLessThan(200_000)
    expect(bench.deps.dead.map(({ reason }) => reason)).toEqual([
      'announcement: oversize: s3://haetae-lake/bomb.gz holds more than 1048576 bytes unpacked',
    ])
  })

  it('keeps the message of such an object until what was read of it before is durable', async () => {
    const { source, deps } = await opened({ objectBytesMax: 1_048_576 })
    put('bomb', lines(120_000))
    announce('bomb')
    const stop = new AbortController()
    const first = await source.read(stop.signal)
    const others: Delivery[] = []
    const reading = (async () => {
      for (let next = await source.read(stop.signal); next; next = await source.read(stop.signal)) others.push(next)
    })()
    await until(() => deps.dead.length === 1)
    for (const { ack } of others) ack()
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(queue.messages).toHaveLength(1)
    first!.ack()
    await until(() => queue.messages.length === 0)
    stop.abort()
    await reading
    await source.close()
  })

  it('gives an object that was cut off half-way back, and reads it whole later', async () => {
    const bench = await opened()
    const whole = gzipSync(lines(50_000))
    put('torn.gz', whole.subarray(0, whole.length - 20))
    announce('torn.gz')
    const deliveries: Delivery[] = []
    const reading = drained(bench, deliveries)
    await until(() => queue.requests.some(each => each.startsWith('ChangeMessageVisibilityBatch')))
    put('torn.gz', whole)
    queue.expire()
    const ids = new Set((await reading).map(({ id }) => id))
    expect(ids.size).toBe(50_000)
    expect(bench.deps.dead).toEqual([])
  })

  it('dead-letters a record that is too large, and goes on with the next', async () => {
    const bench = await opened()
    put('big', `{"a":"${'x'.repeat(1_100_000)}"}\n{"b":1}\n`)
    announce('big')
    expect((await drained(bench)).map(({ raw }) => String(raw))).toEqual(['{"b":1}'])
    expect(bench.deps.dead.map(({ reason }) => reason)).toEqual(['oversize: more than 1 MiB'])
  })
})
