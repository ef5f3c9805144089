import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { allowedKeys, problemsOf, readDocument } from '../../pipelines/document.ts'
import { hasCode } from '../../platform/errors.ts'

const schema = z.strictObject({
  name: z.string(),
  limits: z.strictObject({ waitMs: z.int(), bytesMax: z.int().optional() }).optional(),
  parts: z.array(z.strictObject({ type: z.string() })).optional(),
  key: z.union([z.strictObject({ env: z.string() }), z.strictObject({ file: z.string() })]).optional(),
})

function problems(text: string, env = {}) {
  const document = readDocument('a.yaml', text, env)
  return problemsOf(document, schema, document.value, [])
}

describe('an error names its place', () => {
  test('an unknown key: line, column and the keys that are allowed there', () => {
    expect(problems('name: x\nlimits:\n  waitMS: 5\n  waitMs: 5\n')).toEqual([
      { where: 'a.yaml:3:3', message: 'unknown key "waitMS"; allowed here: waitMs, bytesMax' },
    ])
  })

  test('an unknown key inside a list', () => {
    expect(problems('name: x\nparts:\n  - type: a\n  - type: b\n    colour: red\n')).toEqual([
      { where: 'a.yaml:5:5', message: 'unknown key "colour"; allowed here: type' },
    ])
  })

  test('a value of the wrong type', () => {
    const [problem] = problems('name: x\nlimits:\n  waitMs: soon\n')
    expect(problem?.where).toBe('a.yaml:3:11')
    expect(problem?.message).toMatch(/limits\.waitMs: .*expected number/i)
  })

  test('a missing key: the place of the object that lacks it', () => {
    expect(problems('limits:\n  waitMs: 1\n')[0]?.message).toMatch(/^name: /)
  })

  test('a literal where a secret must be named', () => {
    expect(problems('name: x\nkey: hunter2\n')[0]?.where).toBe('a.yaml:2:6')
  })

  test('what is not YAML, and a key given twice', () => {
    for (const text of ['name: [', 'name: a\nname: b\n', 'a: *nowhere']) {
      let thrown: unknown
      try {
        readDocument('a.yaml', text, {})
      } catch (error) {
        thrown = error
      }
      expect(hasCode(thrown, 'CONFIG_UNREADABLE')).toBe(true)
      expect(String(thrown)).toMatch(/a\.yaml:\d+:\d+/)
    }
  })
})

describe('the environment', () => {
  test('a plain reference takes the type of its value, a quoted one stays text', () => {
    const { value } = readDocument('a.yaml', 'a: ${PORT}\nb: "${PORT}"\nc: ${ON}\nd: x${PORT}\n', {
      PORT: '7078',
      ON: 'true',
    })
    expect(value).toEqual({ a: 7078, b: '7078', c: true, d: 'x7078' })
  })

  test('a value cannot bring structure with it', () => {
    expect(readDocument('a.yaml', 'a: ${X}\n', { X: '{evil: 1}' }).value).toEqual({ a: '{evil: 1}' })
    expect(readDocument('a.yaml', 'a: ${X}\n', { X: '"\nb: 1' }).value).toEqual({ a: '"\nb: 1' })
  })

  test.each([
    ['a: { env: ${NAME} }', 11, '${NAME}'],
    ['a: [ x, ${NAME:-b} ]', 9, '${NAME:-b}'],
    ['a: { path: x/${NAME}/y, b: 1 }', 14, '${NAME}'],
  ])('a reference in braces or brackets that is not quoted is pointed at: %s', (text, column, reference) => {
    const read = (): unknown => readDocument('a.yaml', `b: 1\n${text}\n`, { NAME: 'x' })
    expect(read).toThrow(`a.yaml:2:${column}: not YAML: inside { } or [ ] quote it: "${reference}"`)
    expect(readDocument('a.yaml', text.replace(/(\S*\$\{[^}]*\}[^ ,]*)/, '"$1"'), { NAME: 'x' }).value).toBeDefined()
  })

  test('nothing is filled in when no environment is given', () => {
    expect(readDocument('a.yaml', 'a: ${X}\n', undefined).value).toEqual({ a: '${X}' })
  })
})

test('an alias bomb is refused', () => {
  const lines = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]']
  for (let level = 1; level < 9; level++) {
    const before = `*a${level - 1}`
    lines.push(`a${level}: &a${level} [${Array(10).fill(before).join(',')}]`)
  }
  expect(() => readDocument('a.yaml', lines.join('\n'), {})).toThrow(/alias/i)
})

test('allowed keys are read from the schema at the path', () => {
  expect(allowedKeys(schema, [])).toEqual(['name', 'limits', 'parts', 'key'])
  expect(allowedKeys(schema, ['parts', 3])).toEqual(['type'])
  expect(allowedKeys(schema, ['nowhere'])).toEqual([])
})
