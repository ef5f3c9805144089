/** What every component promises, whoever wrote it: a new one is held to it by its line in the folder's index.ts. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { ZodType } from 'zod'
import type { Spec } from '../../engine/contract.ts'
import { exampleOf, roles, type Schema, schemaOf, schemasIn } from '../support/components.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const all = roles.flatMap(({ folder, specs }) => specs.map(spec => ({ name: `${folder}/${spec.type}`, folder, spec })))

describe.each(roles)('$folder/index.ts', ({ folder, specs }) => {
  test('lists each component of the folder once, in alphabetical order', () => {
    const files = readdirSync(`${root}${folder}`)
      .filter(name => name.endsWith('.ts') && name !== 'index.ts')
      .map(name => name.slice(0, -'.ts'.length))
    expect(specs.map(({ type }) => type)).toEqual(files.sort())
  })
})

describe.each(all)('$name', ({ folder, spec }) => {
  test('is exported by the file named like its type, in camel case', async () => {
    const module = (await import(`../../${folder}/${spec.type}.ts`)) as Record<string, unknown>
    expect(module[spec.type.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())]).toBe(spec)
  })

  test('says in one sentence what it does', () => {
    expect(spec.summary).toMatch(/^\S.{9,}$/)
    expect(spec.summary).not.toMatch(/[.!?]\s/)
  })

  test('has an example that its own schema takes', () => {
    expect(spec.config.safeParse(exampleOf(spec))).toMatchObject({ success: true })
  })

  test('uses in its example every key that can stand there', () => {
    expect(unused(schemaOf(spec), exampleOf(spec), '').filter(key => !isAlternative(spec, key))).toEqual([])
  })

  test('explains every key', () => {
    const keys = Object.entries(schemaOf(spec).properties ?? {})
    expect(keys.filter(([, schema]) => !schema.description).map(([key]) => key)).toEqual([])
  })

  test('refuses an unknown key, and takes nothing from __proto__', () => {
    const unknown = spec.config.safeParse({ ...exampleOf(spec), colour: 'red' })
    expect(unknown.error?.issues).toMatchObject([{ code: 'unrecognized_keys', keys: ['colour'] }])
    const polluted = JSON.parse(
      `{"__proto__":{"colour":"red"},${JSON.stringify(exampleOf(spec)).slice(1)}`.replace(',}', '}'),
    ) as unknown
    const result = spec.config.safeParse(polluted)
    expect((result.data as { colour?: string } | undefined)?.colour).toBeUndefined()
  })

  test('is strict in every object inside', () => {
    const objects = [...schemasIn(schemaOf(spec))].filter(([, { type }]) => type === 'object')
    expect(objects.length).toBeGreaterThan(0)
    const open = objects.filter(([, each]) => each.additionalProperties === true || isLoose(each)).map(([path]) => path)
    expect(open).toEqual([])
  })

  test('refuses a secret that is written out', () => {
    const example = exampleOf(spec)
    for (const path of secretsIn(example)) {
      const result = spec.config.safeParse(withLiteral(example, path))
      expect(result.success, path.join('.')).toBe(false)
      expect(String(result.error)).not.toContain(LITERAL)
    }
  })

  test('takes nothing called a secret as text', () => {
    const named = [...schemasIn(schemaOf(spec))].flatMap(([, { properties = {} }]) => Object.entries(properties))
    const texts = named.filter(([key, schema]) => SECRET_NAME.test(key) && schema.type === 'string')
    expect(texts.map(([key]) => key)).toEqual([])
  })
})

const LITERAL = 'hunter2-written-out'
const SECRET_NAME = /password|secret|token|(?:access|api)key$/i

function isLoose({ properties, additionalProperties }: Schema): boolean {
  return properties !== undefined && additionalProperties !== false
}

/** Keys of plain nested objects that the example leaves out, as dotted paths. */
function unused({ properties = {} }: Schema, example: Record<string, unknown>, base: string): string[] {
  return Object.entries(properties).flatMap(([key, inner]) => {
    const value = example[key]
    if (value === undefined) return [base + key]
    return inner.type === 'object' ? unused(inner, value as Record<string, unknown>, `${base}${key}.`) : []
  })
}

/** A key that stands instead of one the example uses (`drop` or `keep`): it fits in its place, and not beside it. */
function isAlternative(spec: Spec<ZodType, unknown>, key: string): boolean {
  const example = exampleOf(spec)
  return Object.entries(example).some(([used, value]) => {
    const { [used]: _, ...rest } = example
    const instead = spec.config.safeParse({ ...rest, [key]: value })
    return instead.success && !spec.config.safeParse({ ...example, [key]: value }).success
  })
}

/** Paths of values that name a secret: `{env: NAME}` or `{file: PATH}`. */
function secretsIn(value: unknown, path: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return []
  const keys = Object.keys(value)
  if (keys.length === 1 && (keys[0] === 'env' || keys[0] === 'file')) return [path]
  return Object.entries(value).flatMap(([key, inner]) => secretsIn(inner, [...path, key]))
}

function withLiteral(value: unknown, [key, ...rest]: readonly string[]): unknown {
  if (key === undefined) return LITERAL
  const holder = value as Record<string, unknown>
  return { ...holder, [key]: withLiteral(holder[key], rest) }
}

test('at least the listener and the search index name secrets, so the checks above look at something', () => {
  const naming = all.filter(({ spec }) => secretsIn(exampleOf(spec)).length > 0).map(({ name }) => name)
  expect(naming).toEqual(expect.arrayContaining(['sources/http', 'sinks/opensearch']))
})
