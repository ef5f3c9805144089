import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { redactText } from '../../platform/redaction.ts'
import { wafRequest } from '../support/waf-records.ts'

const R = '[redacted]'
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl_-x'

const record = JSON.stringify(
  wafRequest({
    args: 'token=hush-1&page=2',
    headers: [
      { name: 'Cookie', value: 'a=hush-2; b=hush-3' },
      { name: 'Accept', value: 'text/html' },
      { value: 'hush-4', name: 'Authorization' },
    ],
  }),
)

describe('text for people to see', () => {
  it('a record that is JSON is JSON without its secrets', () => {
    const text = redactText(record)
    expect(text).not.toContain('hush')
    expect(JSON.parse(text)).toMatchObject({
      action: 'BLOCK',
      httpRequest: {
        args: `token=${R}&page=2`,
        headers: [
          { name: 'Cookie', value: R },
          { name: 'Accept', value: 'text/html' },
          { value: R, name: 'Authorization' },
        ],
      },
    })
  })

  it('a record without secrets stays as it is, also text that is no JSON', () => {
    const harmless = JSON.stringify(wafRequest({ args: '상품=해태🦁' }))
    expect(redactText(harmless)).toBe(harmless)
    for (const text of ['', 'hello', '{"a": 1', 'not_json: position 7', '해태🦁 "x'])
      expect(redactText(text)).toBe(text)
  })

  it('several records in one', () => {
    expect(redactText(`${record}\n${record}`)).not.toContain('hush')
  })

  it.each([
    [`Authorization: Basic aHVzaA==\nAccept: text/html`, `Authorization: ${R}\nAccept: text/html`],
    [`GET /?token=abc&page=2 HTTP/1.1`, `GET /?token=${R}&page=2 HTTP/1.1`],
    [`unexpected token near ${JWT}`, `unexpected token near ${R}`],
    ['{"password":"abc', `{"password":"${R}`],
    ['{"sid":12345,"a":12345', `{"sid":"${R}","a":12345`],
  ])('%j', (before, after) => {
    expect(redactText(before)).toBe(after)
  })

  it('a record that was cut off after its name anywhere shows no secret', () => {
    const start = record.indexOf('"httpRequest"')
    for (let end = start; end < record.length; end++) {
      const text = redactText(record.slice(0, end))
      // The value that stands before its name is only known to be one when the name is there.
      const found = text.replace(/"hush-4?"?|"hush?-?$|"hu?$/, '')
      expect(found).not.toContain('hush')
    }
  })

  it('no text of any shape shows a JSON Web Token', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      '"name"',
      '"cookie"',
      '"value"',
      'token=',
      '%3d',
      JWT,
      '7',
      ' ',
    )
    const texts = fc
      .array(fc.oneof(pieces, fc.string({ maxLength: 5 })), { maxLength: 30 })
      .map(parts => parts.join(''))
    fc.assert(
      fc.property(texts, text => {
        expect(redactText(text)).not.toContain(JWT)
      }),
      { numRuns: 500 },
    )
  })
})
