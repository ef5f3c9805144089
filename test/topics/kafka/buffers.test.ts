import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeBatch } from '../../../platform/topics/kafka/batch.ts'
import { Buffers, PartitionBuffer } from '../../../platform/topics/kafka/buffers.ts'
import { recordOf } from '../support.ts'

/** A stored batch of records `from` to `to`, excluded; each holds its own offset. */
function stored(from: number, to: number, padding = 0): Buffer {
  const values = Array.from({ length: to - from }, (_, index) => `${from + index}`.padEnd(padding, '.'))
  const batch = Buffer.from(encodeBatch(values.map(value => recordOf('k', value))))
  batch.writeBigInt64BE(BigInt(from), 0)
  return batch
}

const offsets = (records: readonly { readonly offset: bigint }[]): number[] =>
  records.map(({ offset }) => Number(offset))
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index)

describe('one partition', () => {
  test('gives each record once and in order, however it was cut into batches, fetches and polls', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 99 }), { maxLength: 12 })
    const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 10 })
    fc.assert(
      fc.property(cuts, fc.integer({ min: 0, max: 99 }), sizes, (inner, start, polls) => {
        const edges = [0, ...inner.sort((a, b) => a - b), 100]
        const buffer = new PartitionBuffer({ topic: 't', partition: 0 }, BigInt(start))
        const got: number[] = []
        for (const [index, edge] of edges.slice(1).entries()) {
          const batch = stored(edges[index]!, edge)
          // A broker that answers twice gives nothing twice.
          buffer.add(Buffer.concat([batch, batch]))
          got.push(...offsets(buffer.take(polls[index % polls.length]!, 1_000_000)))
        }
        while (got.length < 100 - start) got.push(...offsets(buffer.take(polls[0]!, 1_000_000)))
        expect(got).toEqual(range(start, 100))
        expect(buffer.take(1, 1)).toEqual([])
        expect(buffer.bytes).toBe(0)
      }),
      { numRuns: 50 },
    )
  })

  test('gives no more bytes than asked for, but one record at least', () => {
    const buffer = new PartitionBuffer({ topic: 't', partition: 0 }, 0n)
    buffer.add(stored(0, 10, 100))
    expect(offsets(buffer.take(500, 350))).toEqual([0, 1, 2])
    expect(offsets(buffer.take(500, 1))).toEqual([3])
  })

  test('leaves out what lies before the place it skipped to, also within a batch', () => {
    const buffer = new PartitionBuffer({ topic: 't', partition: 0 }, 0n)
    buffer.add(stored(0, 10))
    buffer.skipTo(25n)
    buffer.add(stored(20, 30))
    expect(offsets(buffer.take(500, 1_000_000))).toEqual([...range(0, 10), ...range(25, 30)])
  })
})

describe('several partitions', () => {
  test('take turns, and a full one is not fetched while an empty one always is', () => {
    const list = [0, 1, 2].map(partition => new PartitionBuffer({ topic: 't', partition }, 0n))
    const buffers = new Buffers()
    buffers.set(list)
    for (const buffer of list) buffer.add(stored(0, 4))
    const turns = Array.from({ length: 6 }, () => buffers.take(2, 1_000)?.partition)
    expect(turns).toEqual([0, 1, 2, 0, 1, 2])
    expect(buffers.take(2, 1_000)).toBeUndefined()
    list[0]!.bytes = 2 * 1024 * 1024
    expect(list.map(buffer => buffers.hasRoom(buffer))).toEqual([false, true, true])
    list[1]!.bytes = 7 * 1024 * 1024
    expect(list.map(buffer => buffers.hasRoom(buffer))).toEqual([false, false, true])
  })
})
