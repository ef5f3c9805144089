import type { IncomingMessage } from 'node:http'
import { createGunzip, type Gunzip } from 'node:zlib'
import { tooLarge } from './admit.ts'
import { type Refusal, tryLater } from './answer.ts'
import type { Hold } from './inflight.ts'

/** Output of one decompression step; the default of 16 KiB costs four times the trips to the thread pool. */
const GUNZIP_CHUNK_BYTES = 64 * 1024
/** First guess at a gzip body: base64 of JSON shrinks to about a quarter. */
const GUNZIP_RATIO = 4
const UNKNOWN_LENGTH_BYTES = 64 * 1024

export interface BodyLimits {
  readonly bytesMax: number
  readonly gzip: boolean
  readonly lengthBytes: number | undefined
}

/**
 * The buffer to begin with. A length we know is taken as it is; else a size out of bytesMax, bytesMax/2, bytesMax/4 …,
 * so that growing to the largest body holds at most one and a half times `bytesMax`.
 */
export function firstBufferBytes({ bytesMax, gzip, lengthBytes }: BodyLimits): number {
  if (lengthBytes !== undefined && !gzip) return lengthBytes
  const guess = lengthBytes === undefined ? UNKNOWN_LENGTH_BYTES : lengthBytes * GUNZIP_RATIO
  let bytes = bytesMax
  while (bytes / 2 >= Math.max(guess, 1024)) bytes = Math.ceil(bytes / 2)
  return bytes
}

/**
 * Reads and decompresses the body into one buffer that the caller owns. `hold` must cover firstBufferBytes(limits).
 * undefined: the client went away. A refusal leaves the rest of the body unread.
 */
export function readBody(
  request: IncomingMessage,
  limits: BodyLimits,
  hold: Hold,
): Promise<Buffer | Refusal | undefined> {
  return new Promise(resolve => {
    const collected = new Collected(limits, hold)
    const gunzip = limits.gzip ? createGunzip({ chunkSize: GUNZIP_CHUNK_BYTES }) : undefined
    const settle = (result: Buffer | Refusal | undefined) => {
      request.removeListener('data', take)
      request.removeListener('end', finish)
      request.removeListener('close', gone)
      if (gunzip) stop(request, gunzip)
      resolve(result)
    }
    const take = (chunk: Buffer) => {
      const problem = collected.add(chunk)
      if (problem) settle(problem)
    }
    const finish = () => settle(collected.bytes())
    const gone = () => {
      if (!request.complete) settle(undefined)
    }
    request.on('close', gone)
    // An aborted upload emits an error as well as close; close says all we need.
    request.on('error', () => undefined)
    if (!gunzip) {
      request.on('data', take).on('end', finish)
      return
    }
    gunzip.on('data', take).on('end', finish)
    gunzip.on('error', error => settle({ status: 400, message: `the gzip body is damaged: ${error.message}` }))
    request.pipe(gunzip)
  })
}

function stop(request: IncomingMessage, gunzip: Gunzip): void {
  request.unpipe(gunzip)
  gunzip.removeAllListeners('data').removeAllListeners('end')
  gunzip.destroy()
}

class Collected {
  readonly #bytesMax: number
  readonly #hold: Hold
  #buffer: Buffer
  #size = 0

  constructor(limits: BodyLimits, hold: Hold) {
    this.#bytesMax = limits.bytesMax
    this.#hold = hold
    this.#buffer = Buffer.allocUnsafe(firstBufferBytes(limits))
  }

  add(chunk: Buffer): Refusal | undefined {
    const size = this.#size + chunk.length
    if (size > this.#bytesMax) return tooLarge(this.#bytesMax)
    if (size > this.#buffer.length && !this.#grow(size))
      return tryLater('no memory for a body of this size just now', 1000)
    chunk.copy(this.#buffer, this.#size)
    this.#size = size
    return undefined
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size)
  }

  #grow(size: number): boolean {
    const old = this.#buffer
    let bytes = old.length
    while (bytes < size) bytes = Math.min(bytes * 2, this.#bytesMax)
    if (!this.#hold.grow(bytes)) return false
    this.#buffer = Buffer.allocUnsafe(bytes)
    old.copy(this.#buffer, 0, 0, this.#size)
    this.#hold.shrink(old.length)
    return true
  }
}
