/** Sizes are rounded up to this; below it a fresh buffer costs nothing worth saving. */
const STEP_BYTES = 64 * 1024
const KEPT_BYTES_MAX = 16 * 1024 * 1024

/**
 * Memory for blocks, used again once their transaction is settled: LMDB has copied it then. A fresh megabyte for each append costs
 * more in page faults and garbage collection than filling it.
 */
export class BlockBuffers {
  readonly #free = new Map<number, ArrayBuffer[]>()
  #keptBytes = 0

  /** Its bytes are whatever they were. */
  take(bytes: number): Buffer {
    if (bytes < STEP_BYTES) return Buffer.allocUnsafeSlow(bytes)
    const size = Math.ceil(bytes / STEP_BYTES) * STEP_BYTES
    const used = this.#free.get(size)?.pop()
    if (used) this.#keptBytes -= size
    return Buffer.from(used ?? new ArrayBuffer(size), 0, bytes)
  }

  /** Only what `take` gave, and only when nobody reads it any more. */
  give({ buffer }: Buffer): void {
    const size = buffer.byteLength
    if (!(buffer instanceof ArrayBuffer) || size < STEP_BYTES || this.#keptBytes + size > KEPT_BYTES_MAX) return
    const free = this.#free.get(size) ?? []
    free.push(buffer)
    this.#free.set(size, free)
    this.#keptBytes += size
  }
}
