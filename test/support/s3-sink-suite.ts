/** What the sink s3 promises of any server that speaks S3's protocol. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Encoded, Sink } from '../../engine/contract.ts'
import { s3 } from '../../sinks/s3.ts'
import { testDeps } from './deps.ts'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'
import { DAY, FakePositions, httpActivity, recordOf, STREAM } from './lake-sink.ts'

export interface S3Place {
  readonly url: string
  readonly bucket: string
  readonly bucketFolder: string
}

const never = new AbortController().signal
const SEED = Number(process.env['HAETAE_SEED'] ?? 20261124)
const open: Sink[] = []
const folders: string[] = []
let count = 0

/** A record of a certain time; its position says which. */
export function at(position: number, timeMs = DAY + position, stream = STREAM): Encoded {
  const record = recordOf(position, httpActivity(`u${position}`, { time: timeMs }), stream)
  record.event.timeMs = timeMs
  return record
}

const byText = (left: string | undefined, right: string | undefined): number => (left ?? '').localeCompare(right ?? '')

export const several = (from: number, to: number): Encoded[] =>
  Array.from({ length: to - from }, (_, n) => at(from + n))

export class S3Bench {
  readonly prefix = `raw/${++count}`
  readonly positions = new FakePositions()
  readonly #place: S3Place

  constructor(place: S3Place) {
    this.#place = place
  }

  /** Another process, with the positions that were durable. */
  async open(more: object = {}): Promise<{ readonly sink: Sink; readonly deps: ReturnType<typeof testDeps> }> {
    const stateFolder = mkdtempSync(join(tmpdir(), 'haetae-s3-'))
    folders.push(stateFolder)
    const deps = testDeps({ positions: this.positions, stateFolder })
    const given = { bucket: this.#place.bucket, prefix: this.prefix, flushMs: 3_600_000, ...more }
    const sink = await s3.open(s3.config.parse(given), deps)
    open.push(sink)
    return { sink, deps }
  }

  get keys(): string[] {
    const folder = join(this.#place.bucketFolder, this.prefix)
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    return names.filter(name => name.endsWith('.gz')).sort()
  }

  bytesOf(key: string): Buffer {
    return readFileSync(join(this.#place.bucketFolder, this.prefix, key))
  }

  linesOf(key: string): string[] {
    return gunzipSync(this.bytesOf(key)).toString().trimEnd().split('\n')
  }

  /** Ids of all events in all objects. */
  get uids(): (string | undefined)[] {
    return this.keys.flatMap(key =>
      this.linesOf(key).map(line => (JSON.parse(line) as { metadata: { uid: string } }).metadata.uid),
    )
  }
}

export async function store(sink: Sink, batch: readonly Encoded[]) {
  const verdict = await sink.write(batch, never)
  sink.drain?.()
  await verdict.later
  return verdict
}

export function s3SinkSuite(where: string, place: () => S3Place): void {
  afterEach(async () => {
    for (const sink of open.splice(0)) await sink.close()
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
  })
  describe(`the sink s3 over ${where}`, () => {
    promises(place)
    repeats(place)
    faults(place)
  })
}

function promises(place: () => S3Place): void {
  it('writes an object for each kind and hour, named after stream, lineage and first offset, in the order of the stream', async () => {
    const bench = new S3Bench(place())
    const { sink } = await bench.open()
    const hour = 3_600_000
    await store(sink, [at(7, DAY + 5), at(8, DAY + 3), at(9, DAY + hour), at(12, DAY + 4)])
    const { lineage } = JSON.parse(bench.positions.note(STREAM)!) as { lineage: string }
    const name = `events.waf-0-${lineage}-00000000000000000007.ndjson.gz`
    expect(bench.keys).toEqual([`kind=waf/day=2026-11-24/hour=00/${name}`, `kind=waf/day=2026-11-24/hour=01/${name}`])
    expect(bench.uids).toEqual(['u7', 'u8', 'u12', 'u9'])
  })

  it('acknowledges nothing before its object is there, and everything after', async () => {
    const bench = new S3Bench(place())
    const { sink } = await bench.open()
    let durable = false
    const { later, retry, reject } = await sink.write(several(0, 10), never)
    void later!.then(() => {
      durable = true
    })
    expect({ retry, reject }).toEqual({ retry: [], reject: [] })
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(durable).toBe(false)
    sink.drain!()
    await later
    expect(bench.uids).toHaveLength(10)
  })
}

function repeats(place: () => S3Place): void {
  it('after a crash that came behind the write, the same range is the same object, which is left alone', async () => {
    const bench = new S3Bench(place())
    const { sink } = await bench.open()
    await store(sink, several(0, 30))
    const [key] = bench.keys
    const before = bench.bytesOf(key!)
    // Nothing was committed. It is read again, in other batches, and with records behind it.
    const { sink: next, deps } = await bench.open()
    const laters: Promise<void>[] = []
    for (const batch of [several(0, 7), several(7, 29), several(29, 45)]) {
      laters.push((await next.write(batch, never)).later!)
    }
    next.drain!()
    await Promise.all(laters)
    expect(bench.bytesOf(key!).equals(before)).toBe(true)
    expect(bench.uids.toSorted(byText)).toEqual(
      several(0, 45)
        .map(({ event }) => event.body.metadata!.uid!)
        .toSorted(byText),
    )
    expect(await deps.metrics.expose()).toContain('haetae_archive_objects_total{pipeline="test",how="found"} 1')
  })

  it('a range that was never written becomes, byte for byte, what it would have been', async () => {
    const bench = new S3Bench(place())
    const { sink } = await bench.open()
    await store(sink, several(0, 30))
    const [key] = bench.keys
    const before = bench.bytesOf(key!)
    rmSync(join(place().bucketFolder, bench.prefix, key!))
    const { sink: next } = await bench.open()
    const { later: first } = await next.write(several(0, 11), never)
    const { later: second } = await next.write(several(11, 30), never)
    next.drain!()
    await Promise.all([first, second])
    expect(bench.bytesOf(key!).equals(before)).toBe(true)
  })
}

function faults(place: () => S3Place): void {
  it(`every record is in the bucket once, through 503, resets and lost answers (seed ${SEED})`, async () => {
    const bench = new S3Bench(place())
    const proxy: FaultProxy = await startFaultProxy(place().url, SEED)
    try {
      vi.stubEnv('AWS_ENDPOINT_URL_S3', proxy.url)
      const { sink } = await bench.open()
      vi.stubEnv('AWS_ENDPOINT_URL_S3', place().url)
      proxy.chances = { slow_down: 0.15, reset: 0.15, lost_answer: 0.15 }
      for (let batch = 0; batch < 25; batch++) await store(sink, several(batch * 20, batch * 20 + 20))
      proxy.chances = {}
      expect(bench.uids.toSorted(byText)).toEqual(
        several(0, 500)
          .map(({ event }) => event.body.metadata!.uid!)
          .toSorted(byText),
      )
      const { slow_down, reset, lost_answer } = proxy.counts
      expect(Math.min(slow_down, reset, lost_answer)).toBeGreaterThan(0)
    } finally {
      await proxy.stop()
    }
  })
}
