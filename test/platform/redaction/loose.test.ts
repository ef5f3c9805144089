import { describe, expect, it } from 'vitest'
import { redactLoose } from '../../../platform/redaction/loose.ts'
import { SecretNames } from '../../../platform/redaction/names.ts'

const R = '[redacted]'
const names = new SecretNames()

describe('loose text that is no JSON', () => {
  it.each([
    ['a header with quotes in its value', 'Cookie: a="b"; c=hush', `Cookie: ${R}`],
    [
      'headers as curl shows them',
      '> Authorization: Basic aHVzaA==\n> Accept: */*',
      `> Authorization: ${R}\n> Accept: */*`,
    ],
    ['a header with blanks behind its name', 'Cookie \t: hush\nAccept : */*', `Cookie \t: ${R}\nAccept : */*`],
    [
      'an object before its name, and none of the keys',
      '{"value":{"a":"S","b":[1]}, "name":"cookie"',
      `{"value":{"a":"${R}","b":["${R}"]}, "name":"cookie"`,
    ],
    [
      'an object in a cookie that was cut off',
      '{"name":"cookie","value":{"a":"S","b":{"c":"hu',
      `{"name":"cookie","value":{"a":"${R}","b":{"c":"${R}`,
    ],
    ['a bracket too many before a name', '{"a":"b"}} "name":"cookie"', '{"a":"b"}} "name":"cookie"'],
    ['a value without quotes', '{"password":hush, "a": null}', `{"password":"${R}", "a": null}`],
    ['a list of numbers', '{"sid":[1, 2,', `{"sid":["${R}", "${R}",`],
    ['a number before its name', '{"value": 12, "name": "cookie"', `{"value": "${R}", "name": "cookie"`],
    ['a raw line feed in a string with escapes', '{"a":"\\u0074oken=hush\n"', `{"a":"token=${R}\\n"`],
    [
      'a match that was cut off',
      '{"location":"COOKIE","matchedData":["hu',
      `{"location":"COOKIE","matchedData":["${R}`,
    ],
  ])('%s', (_what, before, after) => {
    expect(redactLoose(before, names)).toBe(after)
  })

  it('takes time in proportion to its length: a hundred thousand names, values and brackets', () => {
    for (const part of [
      '"value":"a","name":"cookie",',
      '{"name":',
      '[',
      'basic ',
      'basic: ',
      ': ',
      'token=',
      '%3d',
      '"',
      'eyJ.',
      '{"value":',
      '{"value":{},"name":"cookie","x":',
      '{"cookie":',
      '"name":["cookie',
      '"cookie                ":',
    ]) {
      expect(redactLoose(part.repeat(100_000), names).length).toBeGreaterThan(0)
    }
  })
})
