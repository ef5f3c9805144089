import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isRefusal } from '../../../sources/http/answer.ts'
import { parseNdjson } from '../../../sources/http/ndjson.ts'

function taken(body: string | Buffer): string[] | string {
  const result = parseNdjson(Buffer.from(body as string))
  if (isRefusal(result)) return result.message
  const { bytes, spans } = result
  const records: string[] = []
  for (let at = 0; at < spans.length; at += 2) records.push(bytes.toString('utf8', spans[at], spans[at + 1]))
  return records
}

// Strings with everything that could mislead a splitter.
const text = fc.string({ unit: fc.constantFrom(...'{}[]",:\\ \n}{a한'.split('')) })
const value = fc.dictionary(text, fc.oneof(text, fc.integer(), fc.array(text), fc.record({ n: text })))
const values = fc.array(value, { maxLength: 6 })

describe('parseNdjson', () => {
  it('finds every object, one a line', () => {
    fc.assert(
      fc.property(values, fc.constantFrom('\n', '\r\n', '\n\n  '), (all, separator) => {
        const texts = all.map(v => JSON.stringify(v))
        expect(taken(texts.join(separator))).toEqual(texts)
        expect(taken(texts.map(t => t + separator).join(''))).toEqual(texts)
      }),
      { numRuns: 2000 },
    )
  })

  it('finds every object, one after the other, over several lines, or in one array', () => {
    fc.assert(
      fc.property(values, fc.constantFrom('', ' ', '\n', '\t\r\n'), fc.constantFrom(0, 2), (all, separator, indent) => {
        const texts = all.map(v => JSON.stringify(v, undefined, indent))
        expect(taken(texts.join(separator))).toEqual(texts)
        expect(taken(`[${separator}${texts.join(`${separator},${separator}`)}${separator}]\n`)).toEqual(texts)
      }),
      { numRuns: 2000 },
    )
  })

  it('keeps the neighbours of a line that was cut off anywhere', () => {
    fc.assert(
      fc.property(values, value, values, fc.nat(), (before, broken, after, cut) => {
        const line = JSON.stringify(broken)
        const part = line.slice(0, 1 + (cut % (line.length - 1)))
        const lines = [...before, ...after].map(v => JSON.stringify(v))
        const found = taken([...lines.slice(0, before.length), part, ...lines.slice(before.length)].join('\n'))
        for (const neighbour of lines) expect(found).toContain(neighbour)
      }),
      { numRuns: 2000 },
    )
  })

  it('takes lines that are not JSON for the stages to judge, if at least one looks like an object', () => {
    expect(taken('\0\n{"a":1}\nnull\n{"b"\n')).toEqual(['\0', '{"a":1}', 'null', '{"b"'])
  })

  it('refuses a body in which nothing looks like an object', () => {
    for (const body of ['hello', '42\n43', '[1,2]', '"{}"', '<html>\n<body>'])
      expect(taken(body)).toMatch(/^no JSON object in the body/)
  })

  it('takes nothing from white space or an empty array', () => {
    for (const body of ['', ' \r\n\t', '[]', ' [ ] \n']) expect(taken(body)).toEqual([])
  })

  it('sets a record over 1 MiB aside with its beginning; its neighbours are taken', () => {
    const big = `{"x":"${'y'.repeat(1024 * 1024)}"}`
    for (const body of [`{"a":1}\n${big}\n{"b":2}\n`, `{"a":1}${big}{"b":2}`]) {
      expect(taken(body)).toEqual(['{"a":1}', '{"b":2}'])
      const result = parseNdjson(Buffer.from(body))
      if ('status' in result) throw new Error(result.message)
      expect(result.spoiled).toHaveLength(1)
      const { start, end, reason } = result.spoiled[0]!
      expect(reason).toBe('oversize')
      expect(result.bytes.subarray(start, end).toString()).toBe(big.slice(0, 64 * 1024))
    }
    expect(taken(`\n${big.slice(0, 1024 * 1024 - 2)}"}\n`)).toHaveLength(1)
  })

  it('refuses more than 100,000 records, however they are written', () => {
    expect(taken('{}\n'.repeat(100_000))).toHaveLength(100_000)
    expect(taken('{}\n'.repeat(100_001))).toMatch(/^more than 100000 records/)
    expect(taken('{}'.repeat(100_000))).toHaveLength(100_000)
    // As one line of 200 KB it is one event, which the parse stage will refuse: never 100,001 of them.
    expect(taken('{}'.repeat(100_001))).toHaveLength(1)
  })

  it('takes one object over more lines than records are allowed', () => {
    const object = `{"a":[${Array(100_500).fill('\n0').join(',')}\n]}`
    expect(taken(object)).toEqual([object])
    expect(taken(object.slice(0, -1))).toMatch(/^more than 100000 records/)
  })

  it('takes time in proportion to the body for depth bombs, quote bombs and backslash bombs', () => {
    const bombs = ['{', '[', '{"', '{"a":', '"', '\\', '{"\\', '}', '{"a":"\n"}']
    for (const bomb of bombs) {
      const outcome = taken(`{"a":1}\n${bomb.repeat(300_000 / bomb.length)}\n`)
      if (typeof outcome === 'string') expect(outcome).toMatch(/^more than 100000 records/)
      else expect(outcome[0]).toBe('{"a":1}')
    }
  })
})
