import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeAssignment,
  encodeAssignment,
  protocolName,
  shareOut,
} from '../../../platform/topics/kafka/assignment.ts'

const members = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 12 })
const topics = fc
  .uniqueArray(fc.constantFrom('events.waf', 'events.falco', 'alerts'), { minLength: 1 })
  .chain(names =>
    fc.tuple(
      ...names.map(topic => fc.record({ topic: fc.constant(topic), partitions: fc.integer({ min: 1, max: 64 }) })),
    ),
  )

test('every partition goes to exactly one member, and no member has two more of a topic than another', () => {
  fc.assert(
    fc.property(members, topics, (names, counts) => {
      const shares = shareOut(names, counts)
      expect([...shares.keys()].sort()).toEqual([...names].sort())
      const all = [...shares.values()].flat().map(({ topic, partition }) => `${topic}/${partition}`)
      const wanted = counts.flatMap(({ topic, partitions }) =>
        Array.from({ length: partitions }, (_, p) => `${topic}/${p}`),
      )
      expect(all.sort()).toEqual(wanted.sort())
      for (const { topic } of counts) {
        const sizes = [...shares.values()].map(share => share.filter(ref => ref.topic === topic).length)
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
      }
    }),
  )
})

test('the share does not depend on the order in which members are listed', () => {
  const counts = [{ topic: 't', partitions: 7 }]
  expect(shareOut(['b', 'a', 'c'], counts)).toEqual(shareOut(['c', 'b', 'a'], counts))
})

test('an assignment survives its way through the broker', () => {
  fc.assert(
    fc.property(topics, counts => {
      const [share] = shareOut(['only'], counts).values()
      expect(decodeAssignment(encodeAssignment(share!))).toEqual(share)
    }),
  )
  expect(decodeAssignment(Buffer.alloc(0))).toEqual([])
})

test('members agree only when they read the same topics for the same reason', () => {
  expect(protocolName('waf', ['a', 'b'])).toBe(protocolName('waf', ['b', 'a']))
  expect(protocolName('waf', ['a', 'b'])).not.toBe(protocolName('waf', ['a']))
  expect(protocolName('waf', ['a'])).not.toBe(protocolName('waf-lake', ['a']))
  // Neither part can be written so that it looks like the other.
  expect(protocolName('a', ['b', 'c'])).not.toBe(protocolName('a,b', ['c']))
})
