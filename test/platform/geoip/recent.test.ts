import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Recent } from '../../../platform/geoip/recent.ts'

describe('a map of what was used recently', () => {
  it('forgets what was not used and keeps what was', () => {
    const recent = new Recent<number, string>(4)
    for (const key of [1, 2, 3]) recent.add(key, `v${key}`)
    expect(recent.get(1)).toBe('v1')
    recent.add(4, 'v4')
    recent.add(5, 'v5')
    expect(recent.get(1)).toBe('v1')
    expect(recent.get(2)).toBeUndefined()
  })

  it('is empty after clear', () => {
    const recent = new Recent<number, string>(4)
    for (const key of [1, 2, 3]) recent.add(key, 'v')
    recent.clear()
    expect(recent.size).toBe(0)
    expect(recent.get(3)).toBeUndefined()
  })

  it('never holds more than entriesMax, always holds the half used last, and never confuses values', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.array(fc.nat(30), { maxLength: 300 }), (entriesMax, keys) => {
        const recent = new Recent<number, string>(entriesMax)
        const used: number[] = []
        for (const key of keys) {
          const value = recent.get(key)
          const lastUsed = [...new Set(used.toReversed())].slice(0, Math.floor(entriesMax / 2))
          if (lastUsed.includes(key)) expect(value).toBe(`v${key}`)
          if (value === undefined) recent.add(key, `v${key}`)
          else expect(value).toBe(`v${key}`)
          used.push(key)
          expect(recent.size).toBeLessThanOrEqual(entriesMax)
        }
      }),
    )
  })
})
