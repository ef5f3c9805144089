/**
 * Memory that is used again and again. A new Buffer of a megabyte for each batch would be a garbage collection every few dozen
 * batches: half the CPU time of this sink, when it was measured. What `take` gives is good until the next `take`.
 */
export class Scratch {
  #bytes = Buffer.allocUnsafeSlow(0)

  take(length: number): Buffer {
    if (this.#bytes.length < length) this.#bytes = Buffer.allocUnsafeSlow(Math.ceil(length * 1.25))
    return this.#bytes.subarray(0, length)
  }
}
