import { createReadStream } from 'node:fs'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { asError, HaetaeError } from '../../platform/errors.ts'

/** Big enough that a chunk holds a hundred records, small enough that a held record keeps little else alive. */
const CHUNK_BYTES = 256 * 1024

/** The bytes of a file, or of standard input for `-`; gzip, of any number of members, is unpacked as it streams. */
export async function* bytesOf(path: string): AsyncGenerator<Buffer> {
  const input: Readable = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: CHUNK_BYTES })
  try {
    yield* plainBytes(input)
  } catch (cause) {
    const name = path === '-' ? 'standard input' : path
    throw new HaetaeError('SOURCE_UNREADABLE', `${name}: ${asError(cause).message}`, { cause })
  }
}

/** What a stream holds, unpacked when its first bytes are those of gzip. Destroys the stream at the end. */
export async function* plainBytes(input: Readable): AsyncGenerator<Buffer> {
  try {
    const chunks = input.iterator({ destroyOnReturn: true })
    const start = await firstBytes(chunks)
    yield* start[0] === 0x1f && start[1] === 0x8b ? unpacked(start, chunks) : following(start, chunks)
  } finally {
    input.destroy()
  }
}

/** At least two bytes, unless the input is shorter: enough to tell gzip. */
async function firstBytes(chunks: AsyncIterator<unknown>): Promise<Buffer> {
  let start = Buffer.alloc(0)
  while (start.length < 2) {
    const { value, done } = await chunks.next()
    if (done) break
    start = Buffer.concat([start, value as Buffer])
  }
  return start
}

async function* following(start: Buffer, chunks: AsyncIterator<unknown>): AsyncGenerator<Buffer> {
  if (start.length > 0) yield start
  for (;;) {
    const { value, done } = await chunks.next()
    if (done) return
    yield value as Buffer
  }
}

async function* unpacked(start: Buffer, chunks: AsyncIterator<unknown>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  // The callback's error is the one that iterating throws.
  pipeline(Readable.from(following(start, chunks)), gunzip, () => undefined)
  yield* gunzip as AsyncIterable<Buffer>
}
