import type { Readable } from 'node:stream'
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX } from '../../engine/contract.ts'
import { connectS3, type S3 } from '../../platform/s3.ts'
import { plainBytes } from '../records/bytes.ts'
import { type CutRecord, RecordCutter } from '../records/cutter.ts'
import type { Announced } from './announced.ts'

/** Clients that are kept: one for each bucket. */
const BUCKETS_MAX = 32

/** Opens objects of any bucket. */
export class Buckets {
  readonly #clients = new Map<string, S3>()

  async open({ bucket, key, versionId }: Announced): Promise<Readable | undefined> {
    let client = this.#clients.get(bucket)
    if (!client) {
      client = await connectS3(bucket)
      const [oldest] = this.#clients
      if (oldest && this.#clients.size >= BUCKETS_MAX) {
        this.#clients.delete(oldest[0])
        oldest[1].close()
      }
      this.#clients.set(bucket, client)
    }
    return client.stream(key, versionId)
  }

  close(): void {
    for (const client of this.#clients.values()) client.close()
  }
}

/** The object holds more than it may, unpacked. */
export class ObjectTooLong extends Error {}

/** The records of an object in parts of a batch's size, while it streams. Throws ObjectTooLong, and what reading throws. */
export async function* partsOf(input: Readable, bytesMax: number): AsyncGenerator<readonly CutRecord[]> {
  const cutter = new RecordCutter()
  let part: CutRecord[] = []
  let partBytes = 0
  let bytes = 0
  const parts = function* (cuts: readonly CutRecord[]): Generator<readonly CutRecord[]> {
    for (const cut of cuts) {
      if (part.length === BATCH_EVENTS_MAX || (part.length > 0 && partBytes + cut.raw.length > BATCH_BYTES_MAX)) {
        yield part
        part = []
        partBytes = 0
      }
      part.push(cut)
      partBytes += cut.raw.length
    }
  }
  for await (const chunk of plainBytes(input)) {
    bytes += chunk.length
    if (bytes > bytesMax) throw new ObjectTooLong(`more than ${bytesMax} bytes unpacked`)
    const cuts: CutRecord[] = []
    cutter.push(chunk, cuts)
    yield* parts(cuts)
  }
  const last: CutRecord[] = []
  cutter.end(last)
  yield* parts(last)
  if (part.length > 0) yield part
}
