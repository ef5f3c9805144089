import fc from 'fast-check'
import { expect, test } from 'vitest'
import { shortened } from '../../../sinks/opensearch/shorten.ts'

const TERM_BYTES_MAX = 32_766
const cut = (document: unknown): unknown => {
  const result = shortened(Buffer.from(JSON.stringify(document)))
  return result && JSON.parse(result.toString())
}

/** The terms that flat_object makes: every value with and without its path. */
function terms(value: unknown, path = 'unmapped'): string[] {
  if (Array.isArray(value)) return value.flatMap(item => terms(item, path))
  if (typeof value !== 'object' || value === null) return [String(value), `${path}=${String(value)}`]
  return Object.entries(value).flatMap(([key, item]) => terms(item, `${path}.${key}`))
}

test('a long string in unmapped is cut and says so; nothing else of the document changes', () => {
  const document = {
    time: 1,
    http_request: { args: 'a'.repeat(40_000) },
    unmapped: { short: 'x', list: ['y'.repeat(40_000)] },
  }
  const result = cut(document) as typeof document
  expect(result.unmapped.list[0]).toMatch(/^y+…\[cut, 40000 characters\]$/)
  expect(result).toEqual({ ...document, unmapped: { short: 'x', list: [result.unmapped.list[0]] } })
})

test('what is left is small enough for the index in every script, also behind long keys', () => {
  const long = fc
    .integer({ min: 1, max: 40_000 })
    .chain(length => fc.constantFrom('a'.repeat(length), '한'.repeat(length), '🙂'.repeat(length)))
  fc.assert(
    fc.property(fc.dictionary(long, fc.oneof(long, fc.dictionary(long, long))), unmapped => {
      const document = { unmapped }
      const result = (cut(document) ?? document) as typeof document
      for (const term of terms(result.unmapped)) expect(Buffer.byteLength(term)).toBeLessThanOrEqual(TERM_BYTES_MAX)
    }),
    { numRuns: 50 },
  )
})

test('keys that mean something to JavaScript stay keys', () => {
  const text = `{"unmapped":{"__proto__":{"a":"${'x'.repeat(9_000)}"},"constructor":1}}`
  const result = shortened(Buffer.from(text))!.toString()
  expect(result).toContain('"__proto__":{"a":"xxx')
  expect(result).toContain('"constructor":1')
})

test.each([
  ['there is no unmapped', '{"a":1}'],
  ['nothing in it is long', '{"unmapped":{"a":"b"}}'],
  ['it is not an object', '[1]'],
  ['it is not JSON', '{"unmapped":'],
  ['it is nested too deep to walk', `{"unmapped":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`],
])('nothing is cut when %s', (_, text) => {
  expect(shortened(Buffer.from(text))).toBeUndefined()
})
