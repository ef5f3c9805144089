import fc from 'fast-check'
import { expect, test } from 'vitest'
import { trackOffsets } from '../../engine/checkpoint.ts'

type Step = { readonly kind: 'track'; readonly gap: number } | { readonly kind: 'ack'; readonly which: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('track' as const), gap: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant('ack' as const), which: fc.nat() }),
)

/** The promise in its plainest form: every tracked offset with whether it was acked, looked through from the start. */
function contiguous(entries: readonly { offset: bigint; acked: boolean }[]): bigint | undefined {
  let highest: bigint | undefined
  for (const { offset, acked } of entries) {
    if (!acked) break
    highest = offset
  }
  return highest
}

test('what is committed is exactly the contiguous acked prefix, after every step of any history', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), steps => {
      const checkpoint = trackOffsets()
      const entries: { offset: bigint; acked: boolean; ack: () => void }[] = []
      let next = 0n
      for (const each of steps) {
        if (each.kind === 'track') {
          next += BigInt(each.gap)
          entries.push({ offset: next, acked: false, ...checkpoint.track(next) })
        } else if (entries.length > 0) {
          const entry = entries[each.which % entries.length]!
          entry.acked = true
          entry.ack()
        }
        expect(checkpoint.committable()).toBe(contiguous(entries))
      }
      const prefix = entries.findIndex(entry => !entry.acked)
      expect(checkpoint.outstanding).toBe(prefix < 0 ? 0 : entries.length - prefix)
    }),
    { numRuns: 300 },
  )
})

test('after a revoke nothing is committed, whatever is acked later', () => {
  fc.assert(
    fc.property(fc.nat({ max: 20 }), fc.nat({ max: 20 }), (count, ackedBefore) => {
      const checkpoint = trackOffsets()
      const entries = Array.from({ length: count }, (_, n) => checkpoint.track(BigInt(n)))
      for (const entry of entries.slice(0, ackedBefore)) entry.ack()
      checkpoint.revoke()
      expect(checkpoint.committable()).toBeUndefined()
      for (const entry of entries) entry.ack()
      expect(checkpoint.committable()).toBeUndefined()
      expect(checkpoint.outstanding).toBe(0)
    }),
  )
})

test('a second ack of the same records changes nothing', () => {
  const checkpoint = trackOffsets()
  const first = checkpoint.track(3n)
  checkpoint.track(7n)
  first.ack()
  first.ack()
  expect(checkpoint.committable()).toBe(3n)
  expect(checkpoint.outstanding).toBe(1)
})

test('nothing is committable before the first ack, and the first offset may be 0', () => {
  const checkpoint = trackOffsets()
  expect(checkpoint.committable()).toBeUndefined()
  const first = checkpoint.track(0n)
  expect(checkpoint.committable()).toBeUndefined()
  first.ack()
  expect(checkpoint.committable()).toBe(0n)
})

test('offsets that do not ascend are refused: they would hide a gap', () => {
  const checkpoint = trackOffsets()
  checkpoint.track(5n)
  expect(() => checkpoint.track(5n)).toThrow(RangeError)
  expect(() => checkpoint.track(4n)).toThrow('was tracked after 5')
})

test('a million records behind a slow first one are committed in one step when it is acked', () => {
  const checkpoint = trackOffsets()
  const slow = checkpoint.track(0n)
  for (let offset = 1n; offset <= 1_000_000n; offset++) checkpoint.track(offset).ack()
  expect(checkpoint.committable()).toBeUndefined()
  expect(checkpoint.outstanding).toBe(1_000_001)
  slow.ack()
  expect(checkpoint.committable()).toBe(1_000_000n)
  expect(checkpoint.outstanding).toBe(0)
})
