import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Guarded, guardedJson } from '../../../platform/json/guard.ts'

const limits = { bytesMax: 1000, depthMax: 8, keysMax: 20 }
const read = (text: string | Buffer, some = limits): Guarded => guardedJson(Buffer.from(text), some)
const parsed = (text: string): unknown => {
  const result = read(text)
  if (!result.ok) throw new Error(result.reason)
  return result.value
}
const reasonOf = (text: string | Buffer): string => {
  const result = read(text)
  return result.ok ? '' : result.reason
}

describe('JSON from strangers', () => {
  it('reads as JSON.parse does, whatever it holds', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), text => {
        const result = read(text, { bytesMax: 1e6, depthMax: 64, keysMax: 2000 })
        if (!result.ok) throw new Error(result.reason)
        // Text that JSON.parse itself makes, so that numbers and surrogates are what both can hold.
        const expected = JSON.parse(text.toWellFormed()) as unknown
        if (!/__proto__|constructor|prototype|\\u[dD]|[0-9]{16}/.test(text)) expect(result.value).toEqual(expected)
      }),
      { numRuns: 2000 },
    )
  })

  it('keeps integers past 2^53 and numbers past a double as their digits', () => {
    expect(parsed('[9007199254740991,9007199254740993,-1610667584834631763,1e400,0.1,1e20,-0]')).toEqual([
      9007199254740991,
      '9007199254740993',
      '-1610667584834631763',
      '1e400',
      0.1,
      1e20,
      -0,
    ])
  })

  it('replaces lone surrogates, in keys too, as no store takes them', () => {
    expect(parsed('{"a\\ud800":"b\\udc00","c":"\\ud83d\\ude00"}')).toEqual({ 'a\ufffd': 'b\ufffd', c: '😀' })
  })

  it('takes prototype keys out at any depth and keeps what they held as text', () => {
    const result = read('{"a":[{"__proto__":{"x":1}}],"constructor":"c","b":{"prototype":null,"ok":1}}')
    expect(result).toEqual({
      ok: true,
      value: { a: [{}], b: { ok: 1 } },
      dangerous: { '$.a[0].__proto__': '{"x":1}', '$.constructor': '"c"', '$.b.prototype': 'null' },
    })
    expect(({} as { x?: number }).x).toBeUndefined()
  })

  it('lets the last of two equal keys win, as JSON.parse does', () => {
    expect(parsed('{"a":1,"a":2}')).toEqual({ a: 2 })
  })
})

describe('refusals', () => {
  it.each([
    ['', 'not_json'],
    ['{', 'not_json'],
    ['{"a":1}{"b":2}', 'not_json'],
    ['{"a":\u0000}', 'not_json'],
    ['\ufeff{}', 'not_json'],
    ["{'a':1}", 'not_json'],
    ['NaN', 'not_json'],
    ['['.repeat(9), 'too_deep'],
    ['[{'.repeat(400), 'too_deep'],
    [`{${'"a":1,'.repeat(21)}"b":1}`, 'too_many_keys'],
    [`"${'x'.repeat(1000)}"`, 'oversize'],
  ])('%s', (text, reason) => {
    expect(reasonOf(text)).toBe(reason)
  })

  it('says where JSON ends to be JSON, but quotes nothing of it', () => {
    expect(read('{"secret":"hunter2" x}')).toMatchObject({ reason: 'not_json', detail: 'at position 20' })
  })

  it('invalid UTF-8 is refused, overlong and truncated sequences too', () => {
    for (const bytes of [[0xff], [0xc0, 0xaf], [0xe2, 0x82], [0xed, 0xa0, 0x80]]) {
      expect(reasonOf(Buffer.from([0x22, ...bytes, 0x22]))).toBe('invalid_utf8')
    }
  })

  it('brackets and colons inside strings count for nothing', () => {
    expect(parsed(`"${'[{:'.repeat(100)}"`)).toBe('[{:'.repeat(100))
    expect(parsed(`["\\"${'['.repeat(50)}", "\\\\"]`)).toEqual([`"${'['.repeat(50)}`, '\\'])
  })

  it('exactly at the limits is accepted', () => {
    expect(reasonOf('['.repeat(8) + ']'.repeat(8))).toBe('')
    expect(reasonOf(`{${Array.from({ length: 20 }, (_, index) => `"k${index}":1`).join(',')}}`)).toBe('')
    expect(reasonOf(`"${'x'.repeat(998)}"`)).toBe('')
  })

  it('any bytes at all are an answer, never an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        expect(read(Buffer.from(bytes)).ok).toBeTypeOf('boolean')
      }),
      { numRuns: 2000 },
    )
  })
})
