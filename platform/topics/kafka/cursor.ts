/** Zig-zag: small numbers of either sign take few bytes. Arithmetic, not bits: times have more than 32. */
function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value
}

export function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

/** Reads and writes the variable-length numbers of records. */
export class Cursor {
  readonly buffer: Buffer
  at = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  byte(value: number): void {
    this.buffer[this.at++] = value
  }

  copy(bytes: Buffer): void {
    bytes.copy(this.buffer, this.at)
    this.at += bytes.length
  }

  varint(value: number): void {
    let rest = zigzag(value)
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80)
    this.byte(rest)
  }

  readVarint(): number {
    let value = 0
    for (let factor = 1; ; factor *= 0x80) {
      const byte = this.buffer[this.at++]
      if (byte === undefined || factor > 2 ** 63) throw new RangeError('a number does not end')
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
  }

  /** undefined for null. */
  readBytes(): Buffer | undefined {
    const length = this.readVarint()
    if (length < 0) return undefined
    const start = this.at
    this.at += length
    if (this.at > this.buffer.length) throw new RangeError('a field is longer than its batch')
    return this.buffer.subarray(start, this.at)
  }
}
