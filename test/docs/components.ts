/** docs/components.md, made from the specs of the components: what the code says is what the page says. */
import type { ZodType } from 'zod'
import type { Spec } from '../../engine/contract.ts'
import { exampleOf, type Role, roles, type Schema, schemaOf } from '../support/components.ts'

const HEAD = `# Components

<!-- Written by \`npm run docs\` from the components themselves: change those, not this page. -->

What can stand in a pipeline file ([configuration.md](configuration.md)): one source, any number of stages, one or more
sinks. A component is named by \`type\`; the keys below stand beside it. An unknown key is an error.
A *secret* is never written into the file: it is \`{ env: NAME }\` or \`{ file: PATH }\`.
`

export function componentsPage(given: readonly Role[] = roles): string {
  const contents = given.flatMap(({ title, specs }) => {
    const links = specs.map(({ type }) => `[${type}](#${anchorOf(title, type)})`)
    return [`- ${title}: ${links.join(', ')}`]
  })
  return `${[HEAD, contents.join('\n'), '', ...given.map(section)].join('\n').trimEnd()}\n`
}

function section({ title, specs }: Role): string {
  return [`## ${title}`, '', ...specs.map(spec => component(title, spec))].join('\n')
}

/** A source and a sink may share a type, and so a heading says which it is. */
function headingOf(title: string, type: string): string {
  return `${type} (${title.toLowerCase().replace(/s$/, '')})`
}

function anchorOf(title: string, type: string): string {
  return headingOf(title, type)
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-')
}

function component(title: string, spec: Spec<ZodType, unknown>): string {
  const schema = schemaOf(spec)
  const rows = rowsOf(schema, schema, '')
  const table = ['| key | type | default | bound | |', '| --- | --- | --- | --- | --- |', ...rows]
  return [
    `### ${headingOf(title, spec.type)}`,
    '',
    `${escaped(spec.summary.replace(/\.$/, ''))}.`,
    '',
    ...(rows.length > 0 ? [...table, ''] : ['No keys.', '']),
    '```yaml',
    ...exampleLines(spec),
    '```',
    '',
  ].join('\n')
}

function exampleLines(spec: Spec<ZodType, unknown>): string[] {
  const keys = Object.keys(exampleOf(spec)).length > 0 ? spec.example.trim().split('\n') : []
  return [`type: ${spec.type}`, ...keys]
}

/** One row a key; the keys of an object inside follow it, with their path. */
function rowsOf(schema: Schema, root: Schema, base: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    const name = base + key
    const cells = [
      `\`${name}\``,
      typeOf(inner, root),
      defaultOf(inner, schema.required?.includes(key) === true),
      boundOf(inner),
      inner.description ?? '',
    ]
    const row = `| ${cells.map(text => escaped(text).replaceAll('|', '\\|')).join(' | ')} |`
    return [row, ...(inner.properties ? rowsOf(inner, root, `${name}.`) : [])]
  })
}

/** `<kind>` in a sentence is text, not an element; inside a code span it is text anyway. */
function escaped(text: string): string {
  return text.replace(/`[^`]*`|</g, found => (found === '<' ? '&lt;' : found))
}

function typeOf(schema: Schema, root: Schema): string {
  if (isSecret(schema)) return 'secret'
  if (schema.$ref) return typeOf(root.$defs?.[schema.$ref.split('/').at(-1)!] ?? {}, root)
  if (schema.enum) return schema.enum.map(value => `\`${String(value)}\``).join(' or ')
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.anyOf) return schema.anyOf.map(each => typeOf(each, root)).join(' or ')
  if (schema.items) return `list of ${typeOf(schema.items, root)}`
  return [schema.type ?? 'any'].flat().join(' or ')
}

function isSecret({ anyOf = [] }: Schema): boolean {
  return anyOf.flatMap(each => Object.keys(each.properties ?? {})).join() === 'env,file'
}

function defaultOf(schema: Schema, required: boolean): string {
  if (schema.default !== undefined) return `\`${JSON.stringify(schema.default)}\``
  return required ? 'required' : '–'
}

function boundOf(schema: Schema): string {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, minLength, maxLength, minItems, maxItems } = schema
  const numbers = [
    ...(exclusiveMinimum === undefined ? [] : [`> ${exclusiveMinimum}`]),
    ...(exclusiveMaximum === undefined ? [] : [`< ${exclusiveMaximum}`]),
    ...range(minimum, maximum, ''),
    ...range(minLength, maxLength, ' characters'),
    ...range(minItems, maxItems, ' items'),
    ...(schema.pattern && schema.format === undefined ? [`\`${schema.pattern}\``] : []),
  ]
  return numbers.join(', ')
}

/** Bounds that zod adds by itself to every integer or text say nothing. */
function range(min: number | undefined, max: number | undefined, unit: string): string[] {
  const least =
    min === undefined || Math.abs(min) >= Number.MAX_SAFE_INTEGER || (unit !== '' && min <= 1) ? undefined : min
  const most = max === undefined || max >= Number.MAX_SAFE_INTEGER ? undefined : max
  if (least !== undefined && most !== undefined) return [`${least} – ${most}${unit}`]
  if (least !== undefined) return [`≥ ${least}${unit}`]
  return most === undefined ? [] : [`≤ ${most}${unit}`]
}
