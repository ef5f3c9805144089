import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { recordId } from '../../engine/event.ts'
import { FirstSeen } from '../../platform/first-seen.ts'

const id = (n: number) => recordId(Buffer.from(String(n)))

/** What FirstSeen promises, without any cleverness. */
class Model {
  readonly #idsMax: number
  readonly #entries: { id: string; position: bigint }[] = []
  constructor(idsMax: number) {
    this.#idsMax = idsMax
  }
  firstPosition(id: string, position: bigint): bigint {
    const known = this.#entries.find(entry => entry.id === id)
    if (known) return known.position
    if (this.#entries.length === this.#idsMax) this.#entries.shift()
    this.#entries.push({ id, position })
    return position
  }
}

describe('first seen', () => {
  it('answers with the position of the first sighting', () => {
    const seen = new FirstSeen(10)
    expect(seen.firstPosition(id(1), 100n)).toBe(100n)
    expect(seen.firstPosition(id(1), 200n)).toBe(100n)
    expect(seen.firstPosition(id(2), 201n)).toBe(201n)
    expect(seen.firstPosition(id(1), 100n)).toBe(100n)
  })

  it('keeps positions of 64 bits', () => {
    const seen = new FirstSeen(10)
    const far = 2n ** 63n - 1n
    expect(seen.firstPosition(id(1), far)).toBe(far)
    expect(seen.firstPosition(id(1), 0n)).toBe(far)
  })

  it('remembers the last idsMax ids and no more', () => {
    const seen = new FirstSeen(1000)
    for (let n = 0; n < 1500; n++) seen.firstPosition(id(n), BigInt(n))
    expect(seen.size).toBe(1000)
    expect(seen.firstPosition(id(500), 9999n)).toBe(500n)
    expect(seen.firstPosition(id(499), 9999n)).toBe(9999n)
  })

  it('tells ids apart that differ in one bit anywhere', () => {
    const seen = new FirstSeen(1000)
    const base = BigInt(`0x${id(7)}`)
    const all = [base, ...Array.from({ length: 128 }, (_, bit) => base ^ (1n << BigInt(bit)))]
    const ids = all.map(value => value.toString(16).padStart(32, '0'))
    for (const [n, each] of ids.entries()) expect(seen.firstPosition(each, BigInt(n))).toBe(BigInt(n))
    for (const [n, each] of ids.entries()) expect(seen.firstPosition(each, 999n)).toBe(BigInt(n))
  })

  it('gives the answers of a plain list for any sequence, also when all ids share one slot', () => {
    const seeds = [undefined, new Uint32Array(4)] as const
    const ids = Array.from({ length: 40 }, (_, n) => id(n))
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 24 }),
        fc.array(fc.nat(39), { maxLength: 300 }),
        fc.constantFrom(...seeds),
        (idsMax, sequence, seed) => {
          const seen = seed ? new FirstSeen(idsMax, seed) : new FirstSeen(idsMax)
          const model = new Model(idsMax)
          for (const [position, n] of sequence.entries()) {
            const expected = model.firstPosition(ids[n]!, BigInt(position))
            expect(seen.firstPosition(ids[n]!, BigInt(position))).toBe(expected)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('stays exact while it grows from its first size to 20,000 ids and then rolls over', () => {
    const seen = new FirstSeen(20_000)
    const model = new Map<string, bigint>()
    const order: string[] = []
    let state = 1
    for (let n = 0; n < 60_000; n++) {
      state = (state * 48_271) % 2_147_483_647
      const each = id(state % 30_000)
      const known = model.get(each)
      if (known === undefined) {
        model.set(each, BigInt(n))
        order.push(each)
        if (order.length > 20_000) model.delete(order.shift()!)
      }
      expect(seen.firstPosition(each, BigInt(n))).toBe(known ?? BigInt(n))
    }
  })
})
