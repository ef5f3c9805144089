import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecordEvent, recordId, trimmed } from '../../engine/event.ts'

const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\r', '\n'), maxLength: 5 })

test('the id of a record is the first 128 bits of SHA-256 over its bytes', () => {
  const raw = Buffer.from('{"a":1}')
  expect(recordId(raw)).toBe(createHash('sha256').update(raw).digest('hex').slice(0, 32))
})

test('white space around a record does not change its id, whatever the record', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), space, space, (text, before, after) => {
      const core = trimmed(Buffer.from(text))
      const padded = trimmed(Buffer.concat([Buffer.from(before), core, Buffer.from(after)]))
      expect(padded.equals(core)).toBe(true)
      expect(recordId(padded)).toBe(recordId(core))
    }),
  )
})

test('only JSON white space is trimmed, from both ends, and never a byte of the record itself', () => {
  expect(trimmed(Buffer.from(' \t\r\n{ "a" : 1 }\n')).toString()).toBe('{ "a" : 1 }')
  expect(trimmed(Buffer.from('\u00a0{}\v')).toString()).toBe('\u00a0{}\v')
  expect(trimmed(Buffer.from(' \n ')).length).toBe(0)
  expect(trimmed(Buffer.alloc(0)).length).toBe(0)
})

test('trimming copies nothing', () => {
  const bytes = Buffer.from(' x ')
  expect(trimmed(bytes).buffer).toBe(bytes.buffer)
  const clean = Buffer.from('x')
  expect(trimmed(clean)).toBe(clean)
})

test('two records that differ in one byte have different ids', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.nat(), (bytes, at) => {
      const other = Uint8Array.from(bytes)
      const index = at % bytes.length
      other[index] = other[index]! ^ 1
      expect(recordId(Buffer.from(other))).not.toBe(recordId(Buffer.from(bytes)))
    }),
  )
})

test('an event tried again from its raw bytes keeps its identity and origin and nothing that a stage did', () => {
  const origin = { stream: 'events.waf/3', position: 9n }
  const event = new RecordEvent('waf', Buffer.from('{}'), 5, origin, 'marker-1')
  event.key = '192.0.2.1'
  event.timeMs = 77
  event.body = { class_uid: 4002 }
  event.encode = () => Buffer.from('changed')
  const again = RecordEvent.untouched(event)
  expect(again).toMatchObject({ kind: 'waf', timeMs: 5, receivedMs: 5, body: {}, key: undefined, encode: undefined })
  expect([again.id, again.origin, again.raw, again.marker]).toEqual([event.id, origin, event.raw, 'marker-1'])
})
