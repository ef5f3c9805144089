const SEED = 0x9747b28c
const M = 0x5bd1e995
const R = 24

let scratch = Buffer.allocUnsafe(256)

/**
 * The partition of a key: `toPositive(murmur2(utf8(key))) % partitions`, bit for bit what Kafka's Java client does
 * (org.apache.kafka.common.utils.Utils.murmur2 and toPositive), so a key lands in the same partition whoever writes it.
 */
export function partitionOf(key: string, partitions: number): number {
  // Three bytes are the most that one UTF-16 unit can become.
  if (scratch.length < key.length * 3) scratch = Buffer.allocUnsafe(key.length * 3)
  return toPositive(murmur2(scratch, scratch.write(key, 'utf8'))) % partitions
}

/** Signed 32-bit, as Java's int. Reads the first `length` bytes. */
export function murmur2(bytes: Uint8Array, length = bytes.length): number {
  let h = SEED ^ length
  const whole = length & ~3
  for (let at = 0; at < whole; at += 4) {
    let k = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    k = Math.imul(k, M)
    k ^= k >>> R
    h = Math.imul(h, M) ^ Math.imul(k, M)
  }
  const rest = length - whole
  if (rest > 2) h ^= bytes[whole + 2]! << 16
  if (rest > 1) h ^= bytes[whole + 1]! << 8
  if (rest > 0) h = Math.imul(h ^ bytes[whole]!, M)
  h ^= h >>> 13
  h = Math.imul(h, M)
  return (h ^ (h >>> 15)) | 0
}

/** Clears the sign bit; not Math.abs, which would differ from Kafka for negative hashes. */
export function toPositive(hash: number): number {
  return hash & 0x7fffffff
}
