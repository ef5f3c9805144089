import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isRefusal } from '../../../sources/http/answer.ts'
import { parseFirehose } from '../../../sources/http/firehose.ts'
import { scanFirehose } from '../../../sources/http/firehose-scan.ts'
import type { Hold } from '../../../sources/http/inflight.ts'
import { base64, firehoseBody } from '../../support/http-source.ts'

const roomy: Hold = { grow: () => true, shrink: () => undefined, release: () => undefined }

interface Taken {
  readonly records: readonly string[]
  readonly spoiled: readonly string[]
  readonly empty: number
}

/** What parseFirehose makes of a body, as text; 'refused' if it takes nothing. Works on a copy, as decoding is in place. */
function taken(body: Buffer | string, requestId = 'id'): Taken | 'refused' {
  const result = parseFirehose(Buffer.from(body as string), requestId, roomy)
  if (isRefusal(result)) {
    expect(result.status).toBe(400)
    expect(result.message).not.toBe('')
    return 'refused'
  }
  const { bytes, spans, spoiled, empty } = result
  const records: string[] = []
  for (let at = 0; at < spans.length; at += 2) records.push(bytes.toString('latin1', spans[at], spans[at + 1]))
  return { records, spoiled: spoiled.map(s => `${s.reason} ${bytes.toString('latin1', s.start, s.end)}`), empty }
}

/** The same, written the plain way: JSON.parse, one buffer a record. */
function expected(body: Buffer, requestId = 'id'): Taken | 'refused' {
  let parsed: { requestId?: unknown; records?: unknown } | null
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body))
  } catch {
    return 'refused'
  }
  if (typeof parsed !== 'object' || parsed === null || parsed.requestId !== requestId) return 'refused'
  if (!Array.isArray(parsed.records) || parsed.records.length > 10_000) return 'refused'
  const result = { records: [] as string[], spoiled: [] as string[], empty: 0 }
  for (const record of parsed.records as unknown[]) {
    const data = (record as { data?: unknown } | null)?.data
    if (typeof record !== 'object' || Array.isArray(record) || typeof data !== 'string') return 'refused'
    if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(data) || (data.includes('=') && data.length % 4 > 0) || !canBeBase64(data)) {
      result.spoiled.push(`bad_base64 ${Buffer.from(data).toString('latin1')}`)
      continue
    }
    const text = Buffer.from(data, 'base64').toString('latin1')
    const lines = text
      .split('\n')
      .map(trim)
      .filter(line => line !== '')
    const whole = trim(text)
    if (whole === '') result.empty++
    else if (lines.length > 1 && lines.every(line => line.startsWith('{') && line.endsWith('}')))
      result.records.push(...lines)
    else result.records.push(whole)
  }
  return result
}

const trim = (text: string) => text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '')
const canBeBase64 = (data: string) => data.replaceAll('=', '').length % 4 !== 1

const object = fc.record({ a: fc.integer(), s: fc.string() }).map(value => JSON.stringify(value))
const data = fc.oneof(
  { weight: 6, arbitrary: object.map(json => base64(json)) },
  { weight: 2, arbitrary: object.map(json => base64(`${json}\n`)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map(bytes => base64(Buffer.from(bytes))) },
  { weight: 1, arbitrary: fc.array(object, { minLength: 2, maxLength: 3 }).map(parts => base64(parts.join('\r\n'))) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '',
      '=',
      '==',
      'A',
      'AA',
      'AAA',
      'AA=',
      'A===',
      'AA==',
      'AA=A',
      'A-_+',
      ' AA',
      'é',
      '\n',
    ),
  },
)
const compactBody = fc
  .array(data, { maxLength: 8 })
  .map(all =>
    Buffer.from(
      `{"requestId":"id","timestamp":1578090901599,"records":${JSON.stringify(all.map(d => ({ data: d })))}}`,
    ),
  )
const otherBody = fc
  .tuple(
    fc.array(
      fc.oneof(
        data.map(d => ({ data: d })),
        data.map(d => ({ extra: [1], data: d })),
        fc.json().map(j => JSON.parse(j)),
      ),
      { maxLength: 5 },
    ),
    fc.constantFrom(undefined, 1, '\t', '  '),
    fc.boolean(),
  )
  .map(([records, indent, recordsFirst]) => {
    const value = recordsFirst ? { records, requestId: 'id' } : { requestId: 'id', __proto__x: 1, records }
    return Buffer.from(JSON.stringify(value, undefined, indent))
  })
const interesting = [...Buffer.from('"\\{}[],:= \n\t\r\0\x1fAZ09-_/+'), 0x80, 0xc3, 0xff]
const mutation = fc.tuple(
  fc.nat(),
  fc.constantFrom('set', 'insert', 'delete', 'cut', 'repeat'),
  fc.oneof(fc.constantFrom(...interesting), fc.nat(255)),
  fc.nat(30),
)

function mutate(body: Buffer, [position, how, byte, length]: readonly [number, string, number, number]): Buffer {
  const at = position % (body.length + 1)
  const before = body.subarray(0, at)
  const rest = body.subarray(at)
  if (how === 'set') return Buffer.concat([before, Buffer.from([byte]), rest.subarray(1)])
  if (how === 'insert') return Buffer.concat([before, Buffer.from([byte]), rest])
  if (how === 'delete') return Buffer.concat([before, rest.subarray(length)])
  if (how === 'repeat') return Buffer.concat([before, rest.subarray(0, length), rest])
  return Buffer.from(before)
}

describe('parseFirehose', () => {
  it('takes what JSON.parse and Buffer.from take, for bodies as Firehose writes them and otherwise', () => {
    fc.assert(
      fc.property(fc.oneof(compactBody, otherBody), body => {
        expect(taken(body)).toEqual(expected(body))
      }),
      { numRuns: 2000 },
    )
  })

  it('takes what JSON.parse and Buffer.from take, for mutated bodies', () => {
    fc.assert(
      fc.property(
        fc.oneof(compactBody, otherBody),
        fc.array(mutation, { minLength: 1, maxLength: 3 }),
        (body, changes) => {
          const mutated = changes.reduce(mutate, body)
          expect(taken(mutated)).toEqual(expected(mutated))
        },
      ),
      { numRuns: 8000 },
    )
  })

  it('reads a body as Firehose writes it with the scanner, not with JSON.parse', () => {
    const usual = Buffer.from(firehoseBody(['{"a":1}', '', '{"b":2}\n'], 'id'))
    expect(scanFirehose(usual)?.texts).toHaveLength(6)
    expect(scanFirehose(Buffer.from(JSON.stringify(JSON.parse(usual.toString()), undefined, 2)))?.texts).toHaveLength(6)
    expect(scanFirehose(Buffer.from('{"requestId":"id","records":[{"data":"e30=","data":"e30="}]}'))).toBeUndefined()
  })

  it('refuses what is not a Firehose body, whole and with a reason', () => {
    const records = '[{"data":"e30="}]'
    const wrong = [
      '',
      'null',
      '[]',
      '42',
      '{}',
      '{"requestId":"id"}',
      `{"records":${records}}`,
      `{"requestId":"other","records":${records}}`,
      `{"requestId":7,"records":${records}}`,
      '{"requestId":"id","records":{}}',
      '{"requestId":"id","records":[{}]}',
      '{"requestId":"id","records":[null]}',
      '{"requestId":"id","records":[{"data":null}]}',
      '{"requestId":"id","records":["e30="]}',
      `{"requestId":"id","records":${records}}x`,
      `{"requestId":"id","records":${records}`,
      `{"requestId":"id","records":${records},}`,
      `{"requestId":"id","timestamp":01,"records":${records}}`,
      '{"requestId":"id","records":[{"data":"e30="},]}',
      '{"requestId":"id","records":[{"data":"e3\n0="}]}',
      '{"requestId":"id","records":[{"data":"e30\\"}]}',
      `\ufeff{"requestId":"id","records":${records}}`,
      `${'['.repeat(100_000)}`,
      `{"requestId":"id","records":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
      '{"__proto__":{"requestId":"id","records":[]}}',
    ]
    for (const body of wrong) expect([body.slice(0, 80), taken(body)]).toEqual([body.slice(0, 80), 'refused'])
    expect(taken(Buffer.from('{"requestId":"id","records":[{"data":"\xff"}]}', 'latin1'))).toBe('refused')
  })

  it('takes the last of a key that is there twice, as JSON.parse does', () => {
    const body = `{"requestId":"no","requestId":"id","records":[1],"records":[{"data":"!","data":"${base64('{"a":1}')}"}]}`
    expect(taken(body)).toEqual({ records: ['{"a":1}'], spoiled: [], empty: 0 })
  })

  it('keeps NUL bytes, invalid UTF-8 and other trash in a record for the stages to judge', () => {
    const trash = Buffer.from([0x7b, 0, 0xff, 0xfe, 0x7d])
    expect(taken(firehoseBody([trash, '{"a":1}'], 'id'))).toEqual({
      records: [trash.toString('latin1'), '{"a":1}'],
      spoiled: [],
      empty: 0,
    })
  })

  it('splits aggregated lines, and leaves everything that may be one value together', () => {
    const pretty = JSON.stringify({ a: { b: [1, 2] } }, undefined, 2)
    const together = [pretty, '{"a":1}\nnot an object', '{"a":1}{"b":2}', '[{"a":1},\n{"b":2}]', '{"a":\n1}', 'x\ny']
    for (const record of together) expect(taken(firehoseBody([record], 'id'))).toMatchObject({ records: [record] })
    const aggregated = '{"a":1}\n\r\n {"b":2} \n{"c":3}\n'
    const { records } = taken(firehoseBody(['{"z":0}', aggregated, '{"y":0}\n'], 'id')) as Taken
    expect(records).toEqual(['{"z":0}', '{"a":1}', '{"b":2}', '{"c":3}', '{"y":0}'])
  })

  it('does not let one record of tiny lines become more than 100,000 events', () => {
    const lines = '{}\n'.repeat(120_000)
    expect((taken(firehoseBody(['{"a":1}', lines], 'id')) as Taken).records).toEqual(['{"a":1}', lines.trimEnd()])
  })

  it('sets an oversize record aside with its beginning, whether or not it is base64 to the end', () => {
    const big = `{"x":"${'y'.repeat(1024 * 1024)}"}`
    const whole = firehoseBody(['{"a":1}', big, '{"b":2}'], 'id')
    for (const body of [whole, whole.replace('IifQ==', 'I*fQ=='), whole.replace('"data"', '"d\\u0061ta"')]) {
      const result = taken(body) as Taken
      expect(result.records).toEqual(['{"a":1}', '{"b":2}'])
      expect(result.spoiled).toEqual([`oversize ${big.slice(0, 65_535)}`])
    }
    expect(taken(firehoseBody([big.slice(0, 1024 * 1024)], 'id'))).toMatchObject({ spoiled: [] })
    expect(taken(whole.replace('eXl5', 'eX\n5'))).toBe('refused')
  })

  it('parses an unusual body only while there is memory for its strings', () => {
    const unusual = Buffer.from('{"requestId":"id","more":1,"records":[]}')
    const full: Hold = { ...roomy, grow: () => false }
    expect(parseFirehose(Buffer.from(unusual), 'id', full)).toMatchObject({ status: 503 })
    let held = 0
    const add = (bytes: number) => {
      held += bytes
      return true
    }
    const counting: Hold = { ...roomy, grow: add, shrink: bytes => void add(-bytes) }
    expect(isRefusal(parseFirehose(Buffer.from(unusual), 'id', counting))).toBe(false)
    expect(held).toBe(0)
    const large = Buffer.alloc(16 * 1024 * 1024 + 1, ' ')
    unusual.copy(large)
    expect(parseFirehose(large, 'id', roomy)).toMatchObject({ status: 400 })
  })
})
