import { type AddressInfo, connect, createServer } from 'node:net'
import { Writable } from 'node:stream'
import { expect, test, vi } from 'vitest'
import { stdout, writeTo } from '../../sinks/stdout.ts'
import { testDeps } from '../support/deps.ts'
import { never, record, records } from '../support/opensearch-sink.ts'

const done = { retry: [], reject: [] }

/** A stream that passes a chunk on only when told to. */
class Gate extends Writable {
  readonly chunks: Buffer[] = []
  readonly #waiting: (() => void)[] = []

  override _write(chunk: Buffer, _: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.chunks.push(Buffer.from(chunk))
    this.#waiting.push(() => callback())
  }

  pass(): void {
    this.#waiting.shift()?.()
  }
}

class Broken extends Writable {
  readonly #code: string
  constructor(code: string) {
    super()
    this.#code = code
  }
  override _write(_chunk: Buffer, _: BufferEncoding, callback: (error?: Error | null) => void): void {
    callback(Object.assign(new Error(this.#code), { code: this.#code }))
  }
}

test('a batch is one write of one line a document, in order', async () => {
  const stream = new Gate()
  const sink = writeTo(stream, testDeps())
  const batch = records(3)
  const write = sink.write(batch, never)
  stream.pass()
  expect(await write).toEqual(done)
  expect(stream.chunks.map(String)).toEqual([batch.map(({ json }) => `${json.toString()}\n`).join('')])
})

test('a write is answered only when the reader took it, so that a slow one slows the pipeline', async () => {
  const stream = new Gate()
  const sink = writeTo(stream, testDeps())
  let answered = 0
  const writes = [0, 1].map(at => sink.write(records(1, at), never).then(() => answered++))
  await new Promise(resolve => setImmediate(resolve))
  expect(answered).toBe(0)
  stream.pass()
  await writes[0]
  expect(answered).toBe(1)
  stream.pass()
  await writes[1]
  expect(stream.chunks).toHaveLength(2)
})

test('batches that wait together keep their own bytes, small ones and ones larger than the space kept for them', async () => {
  const stream = new Gate()
  const sink = writeTo(stream, testDeps())
  const large = Array.from({ length: 3 }, (_, at) => record({ message: `${at}${'x'.repeat(1024 * 1024)}` }))
  const batches = [records(2), large, records(2, 2), records(2, 4), records(2, 6), records(2, 8), records(2, 10)]
  const writes = batches.map(batch => sink.write(batch, never))
  for (const write of writes) {
    stream.pass()
    await write
  }
  const lines = (batch: typeof large): string => batch.map(({ json }) => `${json.toString()}\n`).join('')
  expect(Buffer.concat(stream.chunks).toString()).toBe(batches.map(lines).join(''))
})

test.each(['EPIPE', 'ERR_STREAM_DESTROYED'])('a reader that went away (%s) stops the pipeline, quietly', async code => {
  const sink = writeTo(new Broken(code), testDeps())
  const verdict = await sink.write(records(2), never)
  expect(verdict).toMatchObject(done)
  await expect(verdict.later).rejects.toMatchObject({ code: 'OUTPUT_CLOSED' })
})

test('any other failure is tried again', async () => {
  await expect(writeTo(new Broken('EIO'), testDeps()).write(records(1), never)).rejects.toThrow('EIO')
})

test('a real connection whose reader is gone ends in the same way, and no error escapes', async () => {
  const server = createServer(socket => socket.resetAndDestroy())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const sink = writeTo(socket, testDeps())
  await new Promise(resolve => socket.once('close', resolve))
  const verdict = await sink.write(records(1), never)
  await expect(verdict.later).rejects.toMatchObject({ code: 'OUTPUT_CLOSED' })
  await sink.close()
  server.close()
})

test('the component writes to standard output and leaves it as it was', async () => {
  const before = process.stdout.listenerCount('error')
  const written = vi.spyOn(process.stdout, 'write').mockImplementation((...given: unknown[]) => {
    const callback = given.at(-1) as () => void
    callback()
    return true
  })
  const sink = await stdout.open({}, testDeps())
  expect(await sink.write(records(1), never)).toEqual(done)
  expect(written).toHaveBeenCalledTimes(1)
  written.mockRestore()
  await sink.close()
  expect(process.stdout.listenerCount('error')).toBe(before)
})
