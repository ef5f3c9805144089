import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BlockReader, blockBytes, encodeBlock, recordBytes } from '../../platform/topics/block.ts'
import type { TopicRecord } from '../../platform/topics/contract.ts'

const anyRecord: fc.Arbitrary<TopicRecord> = fc.record({
  key: fc.option(fc.string({ unit: 'grapheme', maxLength: 40 }), { nil: undefined }),
  value: fc.option(
    fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
    { nil: null },
  ),
  timeMs: fc.oneof(fc.nat(), fc.constantFrom(0, -1, 1.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY)),
})

function blockOf(records: readonly TopicRecord[], deltas?: readonly number[]): Buffer {
  const bytes = blockBytes(records.reduce((sum, record) => sum + recordBytes(record), 0))
  // As a used buffer would be.
  return encodeBlock(records, Buffer.alloc(bytes, 0xa5), deltas)
}

function readAll(reader: BlockReader) {
  const records = []
  while (!reader.done) records.push(reader.next())
  return records
}

describe('a block', () => {
  it('gives back what was put in, for any keys, values and times', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 30 }), fc.nat(), (records, base) => {
        const got = readAll(new BlockReader(blockOf(records), base))
        expect(got).toEqual(records.map((record, index) => ({ ...record, offset: BigInt(base + index) })))
      }),
    )
  })

  it('keeps offsets with gaps, and can begin at any of them', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(1000), { minLength: 1, maxLength: 30 }), fc.nat(1100), (deltas, from) => {
        const sorted = deltas.sort((a, b) => a - b)
        const records = sorted.map(delta => ({ key: `k${delta}`, value: Buffer.from(String(delta)), timeMs: delta }))
        const reader = new BlockReader(blockOf(records, sorted), 5000)
        reader.skipTo(5000 + from)
        expect(readAll(reader).map(({ value }) => Number(String(value)))).toEqual(sorted.filter(delta => delta >= from))
      }),
    )
  })

  it('refuses a block of which any bit changed or any byte is missing', () => {
    const records = [
      { key: 'k', value: Buffer.from('value'), timeMs: 1 },
      { key: undefined, value: null, timeMs: 2 },
    ]
    const block = blockOf(records)
    for (let at = 0; at < block.length; at++) {
      if (at > 0 && at < 4) continue // Reserved, not read.
      for (let bit = 0; bit < 8; bit++) {
        const broken = Buffer.from(block)
        broken[at] = broken[at]! ^ (1 << bit)
        expect(() => new BlockReader(broken, 0)).toThrow(RangeError)
      }
    }
    for (let length = 0; length < block.length; length++) {
      expect(() => new BlockReader(block.subarray(0, length), 0)).toThrow(RangeError)
    }
  })
})
