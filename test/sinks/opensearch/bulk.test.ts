import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  ACTION_BYTES,
  bulkBody,
  type Document,
  dailyIndex,
  requestsOf,
  Spaces,
} from '../../../sinks/opensearch/bulk.ts'

function document(at: number, json: string, id = `id-${at}`, index = 'haetae-waf-2026.11.24'): Document {
  return { at, index, id, json: Buffer.from(json), shortened: false }
}

test('the index is that of the event day in UTC, at both ends of the day', () => {
  const indexOf = dailyIndex('haetae-waf')
  expect(indexOf(Date.UTC(2026, 10, 24))).toBe('haetae-waf-2026.11.24')
  expect(indexOf(Date.UTC(2026, 10, 24, 23, 59, 59, 999))).toBe('haetae-waf-2026.11.24')
  expect(indexOf(Date.UTC(2026, 10, 25))).toBe('haetae-waf-2026.11.25')
  expect(indexOf(0)).toBe('haetae-waf-1970.01.01')
})

test.each([Number.NaN, Number.POSITIVE_INFINITY, -1, Date.UTC(10_000, 0), 8.64e15])(
  'no index for the time %d',
  time => {
    expect(dailyIndex('haetae-waf')(time)).toBeUndefined()
  },
)

test('a body is one action line and the document bytes for each, every line ended, whatever the id holds', () => {
  const record = fc.record({ id: fc.string({ unit: 'binary' }), value: fc.jsonValue() })
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), records => {
      const documents = records.map(({ id, value }, at) => document(at, JSON.stringify(value), id.toWellFormed()))
      const lines = bulkBody(documents).toString().split('\n')
      expect(lines.pop()).toBe('')
      expect(lines).toHaveLength(2 * documents.length)
      for (const [at, { id, index, json }] of documents.entries()) {
        expect(JSON.parse(lines[2 * at]!)).toEqual({ create: { _index: index, _id: id } })
        expect(lines[2 * at + 1]).toBe(json.toString())
      }
    }),
  )
})

test('requests hold every document once, in order, and exceed a bound only for a document that does so alone', () => {
  const sizes = fc.array(fc.integer({ min: 2, max: 3_000 }), { maxLength: 60 })
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 500, max: 5_000 }), (list, most, bytes) => {
      const documents = list.map((size, at) => document(at, `"${'x'.repeat(size - 2)}"`))
      const requests = requestsOf(documents, { documentsMax: most, bytesMax: bytes })
      expect(requests.flat()).toEqual(documents)
      for (const request of requests) {
        expect(request.length).toBeGreaterThan(0)
        expect(request.length).toBeLessThanOrEqual(most)
        const total = request.reduce((sum, { json }) => sum + json.length + ACTION_BYTES, 0)
        if (request.length > 1) expect(total).toBeLessThanOrEqual(bytes)
      }
    }),
  )
})

test('an action line of an id of ours fits the room that is kept for it', () => {
  const id = 'f'.repeat(32)
  const body = bulkBody([document(0, '{}', id, `${'x'.repeat(20)}-2026.11.24`)])
  expect(body.length - '{}'.length).toBeLessThanOrEqual(ACTION_BYTES)
})

test('memory used again holds the new body and nothing of the old one; a body that does not fit gets its own', () => {
  const spaces = new Spaces(1, 10_000)
  expect(spaces.take()).toBeUndefined()
  const large = bulkBody([document(0, `"${'x'.repeat(500)}"`), document(1, '{}')], spaces.take())
  spaces.give(large)
  const space = spaces.take()
  const small = bulkBody([document(2, '{}')], space)
  expect(small.buffer).toBe(large.buffer)
  expect(small).toEqual(bulkBody([document(2, '{}')]))
  const larger = bulkBody([document(3, `"${'y'.repeat(5_000)}"`)], space)
  expect(larger.buffer).not.toBe(large.buffer)
})

test('no more memory is kept than was agreed, in pieces and in bytes', () => {
  const spaces = new Spaces(2, 1_000)
  spaces.give(Buffer.allocUnsafeSlow(1_001))
  expect(spaces.take()).toBeUndefined()
  for (let at = 0; at < 3; at++) spaces.give(Buffer.allocUnsafeSlow(1_000))
  expect([spaces.take(), spaces.take(), spaces.take()].filter(Boolean)).toHaveLength(2)
})
