/** Kafka's primitive types, big-endian, as the versions before "flexible" write them: https://kafka.apache.org/protocol#protocol_types. */
export class Writer {
  #buffer: Buffer
  #length = 0

  constructor(bytesExpected = 256) {
    this.#buffer = Buffer.allocUnsafe(bytesExpected)
  }

  int8(value: number): this {
    const at = this.#grow(1)
    this.#buffer.writeInt8(value, at)
    return this
  }

  int16(value: number): this {
    const at = this.#grow(2)
    this.#buffer.writeInt16BE(value, at)
    return this
  }

  int32(value: number): this {
    const at = this.#grow(4)
    this.#buffer.writeInt32BE(value, at)
    return this
  }

  int64(value: bigint): this {
    const at = this.#grow(8)
    this.#buffer.writeBigInt64BE(value, at)
    return this
  }

  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0)
  }

  /** NULLABLE_STRING; null and STRING look alike but for null. */
  string(value: string | null): this {
    if (value === null) return this.int16(-1)
    const size = Buffer.byteLength(value)
    this.int16(size)
    const at = this.#grow(size)
    this.#buffer.write(value, at)
    return this
  }

  /** BYTES and RECORDS. */
  bytes(value: Buffer): this {
    this.int32(value.length)
    const at = this.#grow(value.length)
    value.copy(this.#buffer, at)
    return this
  }

  array<T>(values: readonly T[] | null, write: (value: T) => void): this {
    this.int32(values === null ? -1 : values.length)
    for (const value of values ?? []) write(value)
    return this
  }

  /** A view: write nothing more. */
  done(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Room for so many bytes; returns where it begins. May replace the buffer: to be called before that is named. */
  #grow(bytes: number): number {
    const at = this.#length
    this.#length += bytes
    if (this.#length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, this.#buffer.length * 2))
      this.#buffer.copy(larger, 0, 0, at)
      this.#buffer = larger
    }
    return at
  }
}

/** Reads what Writer writes. Throws a RangeError past the end. */
export class Reader {
  readonly #buffer: Buffer
  #at = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  int8(): number {
    return this.#buffer.readInt8(this.#skip(1))
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#skip(2))
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#skip(4))
  }

  int64(): bigint {
    return this.#buffer.readBigInt64BE(this.#skip(8))
  }

  boolean(): boolean {
    return this.int8() !== 0
  }

  nullableString(): string | null {
    const size = this.int16()
    if (size < 0) return null
    const at = this.#skip(size)
    return this.#buffer.toString('utf8', at, at + size)
  }

  string(): string {
    return this.nullableString() ?? ''
  }

  /** A view; empty for null. */
  bytes(): Buffer {
    const size = Math.max(this.int32(), 0)
    const at = this.#skip(size)
    return this.#buffer.subarray(at, at + size)
  }

  /** Empty for null. */
  array<T>(read: () => T): T[] {
    const length = this.int32()
    const values: T[] = []
    for (let index = 0; index < length; index++) values.push(read())
    return values
  }

  #skip(bytes: number): number {
    const at = this.#at
    if (at + bytes > this.#buffer.length) throw new RangeError(`an answer ends after ${this.#buffer.length} bytes`)
    this.#at = at + bytes
    return at
  }
}
