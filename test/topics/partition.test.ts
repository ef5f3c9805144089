import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { murmur2, partitionOf, toPositive } from '../../platform/topics/partition.ts'

describe('the partitioner', () => {
  // The vectors of Kafka's own UtilsTest.testMurmur2.
  it.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ])('hashes %s as Kafka does', (text, hash) => {
    expect(murmur2(Buffer.from(text))).toBe(hash)
  })

  it('hashes the bytes abc as Kafka does', () => {
    expect(murmur2(Buffer.from([0x61, 0x62, 0x63]))).toBe(479470107)
  })

  it('clears the sign bit instead of negating, also for the smallest integer', () => {
    expect(toPositive(-1)).toBe(0x7fffffff)
    expect(toPositive(-2147483648)).toBe(0)
    expect(toPositive(5)).toBe(5)
  })

  it('gives a partition in range for any key, the same each time, by its UTF-8 bytes', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 2000 }),
        fc.integer({ min: 1, max: 1024 }),
        (key, partitions) => {
          const partition = partitionOf(key, partitions)
          expect(partition).toBe(toPositive(murmur2(Buffer.from(key, 'utf8'))) % partitions)
          expect(partition).toBeGreaterThanOrEqual(0)
          expect(partition).toBeLessThan(partitions)
          expect(partitionOf(key, partitions)).toBe(partition)
        },
      ),
    )
  })

  it('spreads client addresses evenly', () => {
    const counts = Array.from({ length: 8 }, () => 0)
    for (let host = 0; host < 16_000; host++) {
      const partition = partitionOf(`203.${host % 113}.${host >> 8}.${host & 255}`, 8)
      counts[partition] = counts[partition]! + 1
    }
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200)
  })
})
