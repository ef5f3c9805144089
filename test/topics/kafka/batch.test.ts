import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { FetchedRecord, TopicRecord } from '../../../platform/topics/contract.ts'
import { decodeBatch, encodeBatch, splitBatches } from '../../../platform/topics/kafka/batch.ts'
import { recordOf } from '../support.ts'

const record: fc.Arbitrary<TopicRecord> = fc.record({
  key: fc.option(
    fc.string({ unit: 'binary', maxLength: 300 }).filter(text => text.isWellFormed()),
    { nil: undefined },
  ),
  value: fc.option(
    fc.uint8Array({ maxLength: 2_000 }).map(bytes => Buffer.from(bytes)),
    { nil: null },
  ),
  timeMs: fc.integer({ min: 0, max: 4_102_444_800_000 }),
  replayed: fc.boolean(),
})

/** As a broker stores it: with the offset of its first record. */
function storedAt(batch: Buffer, offset: bigint): Buffer {
  const stored = Buffer.from(batch)
  stored.writeBigInt64BE(offset, 0)
  return stored
}

function decoded(batches: Buffer, from = 0n): FetchedRecord[] {
  return splitBatches(batches).flatMap(batch => decodeBatch(batch, from))
}

describe('a record batch', () => {
  test('gives back what was put in, for any keys, values and times', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 50 }), fc.bigInt(0n, 2n ** 50n), (records, offset) => {
        const got = decoded(storedAt(encodeBatch(records), offset))
        expect(got).toEqual(
          records.map(({ replayed, ...rest }, index) => ({
            ...rest,
            offset: offset + BigInt(index),
            ...(replayed ? { replayed } : {}),
          })),
        )
      }),
      { numRuns: 200 },
    )
  })

  test('is read from the middle when only a part is wanted', () => {
    const batch = storedAt(encodeBatch([recordOf('a', '1'), recordOf('b', '2'), recordOf('c', '3')]), 10n)
    expect(decoded(batch, 12n).map(({ offset, value }) => [offset, String(value)])).toEqual([[12n, '3']])
  })

  test('that is cut off at the end of a fetch is left for the next one, whatever the cut', () => {
    const one = storedAt(encodeBatch([recordOf('a', '1')]), 0n)
    const two = storedAt(encodeBatch([recordOf('b', '2')]), 1n)
    const both = Buffer.concat([one, two])
    for (let length = 0; length <= both.length; length++) {
      const whole = length < one.length ? 0 : length < both.length ? 1 : 2
      expect(splitBatches(both.subarray(0, length))).toHaveLength(whole)
    }
  })

  test('with one flipped bit is refused whole, with its stored bytes as evidence and its offsets in the reason', () => {
    const batch = storedAt(encodeBatch([recordOf('a', '1'), recordOf('b', '2')]), 40n)
    fc.assert(
      fc.property(fc.integer({ min: 21, max: batch.length - 1 }), fc.integer({ min: 0, max: 7 }), (at, bit) => {
        const broken = Buffer.from(batch)
        broken[at]! ^= 1 << bit
        // The count of offsets stands outside what can be trusted then, too.
        const [raw] = splitBatches(broken)
        const [only, ...more] = decodeBatch({ ...raw!, lastOffset: 41n }, 0n)
        expect(more).toEqual([])
        expect(only).toMatchObject({ key: undefined, value: broken, offset: 41n })
        expect(only!.refused).toMatch(/^unreadable_batch: offsets 40 to 41: wrong CRC$/)
      }),
    )
  })

  test('of any bytes neither throws nor hangs', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
        for (const each of decoded(Buffer.from(bytes))) expect(each.offset).toBeTypeOf('bigint')
      }),
      { numRuns: 500 },
    )
  })
})
