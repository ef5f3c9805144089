/** Validates events against the compiled OCSF 1.8.0 schema (test/fixtures/ocsf). */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

interface Attribute {
  readonly type: string
  readonly object_type?: string
  readonly is_array?: boolean
  readonly requirement?: 'required' | 'recommended' | 'optional'
  readonly profiles?: readonly string[] | null
  readonly enum?: Readonly<Record<string, unknown>>
}
interface Shape {
  readonly attributes: Readonly<Record<string, Attribute>>
  readonly constraints?: { readonly at_least_one?: readonly string[]; readonly just_one?: readonly string[] } | null
}
interface DataType {
  readonly type?: string
  readonly regex?: string
  readonly max_len?: number
  readonly range?: readonly [number, number]
}
interface Schema {
  readonly classes: Readonly<Record<string, Shape & { readonly uid: number }>>
  readonly objects: Readonly<Record<string, Shape>>
  readonly dictionary: { readonly types: { readonly attributes: Readonly<Record<string, DataType>> } }
}

const file = new URL('../fixtures/ocsf/ocsf-schema-1.8.0.json.gz', import.meta.url)
const schema = JSON.parse(gunzipSync(readFileSync(file)).toString()) as Schema
const types = schema.dictionary.types.attributes
const classes = new Map(Object.values(schema.classes).map(each => [each.uid, each]))

/** Haetae's one addition: `geo` in every location, for OpenSearch's geo_point. */
const OURS: Readonly<Record<string, readonly string[]>> = { location: ['geo'] }

type Fields = Readonly<Record<string, unknown>>
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What is wrong with `event`, each as `path: what`; empty when it is valid. */
export function ocsfErrors(event: unknown): string[] {
  if (!isFields(event)) return ['$: no object']
  const shape = classes.get(Number(event['class_uid']))
  if (!shape) return [`class_uid: no class ${String(event['class_uid'])}`]
  const metadata = event['metadata']
  const profiles = isFields(metadata) && Array.isArray(metadata['profiles']) ? metadata['profiles'] : []
  const errors: string[] = []
  checkFields(event, shape, '', new Set(profiles as string[]), errors)
  const expected = Number(event['class_uid']) * 100 + Number(event['activity_id'])
  if (event['type_uid'] !== expected) errors.push(`type_uid: not ${expected}`)
  return errors
}

function checkFields(
  fields: Fields,
  shape: Shape,
  path: string,
  profiles: ReadonlySet<string>,
  errors: string[],
  own: readonly string[] = [],
): void {
  const applies = (attribute: Attribute): boolean =>
    !attribute.profiles?.length || attribute.profiles.some(each => profiles.has(each))
  for (const [name, value] of Object.entries(fields)) {
    if (own.includes(name)) continue
    const attribute = Object.hasOwn(shape.attributes, name) ? shape.attributes[name] : undefined
    const at = path ? `${path}.${name}` : name
    if (!attribute) errors.push(`${at}: unknown attribute`)
    else if (!applies(attribute))
      errors.push(`${at}: of a profile (${attribute.profiles!.join(', ')}) the event does not have`)
    else checkValue(value, attribute, at, profiles, errors)
  }
  for (const [name, attribute] of Object.entries(shape.attributes)) {
    if (attribute.requirement === 'required' && applies(attribute) && fields[name] === undefined) {
      errors.push(`${path ? `${path}.` : ''}${name}: required`)
    }
  }
  const { at_least_one: some, just_one: one } = shape.constraints ?? {}
  if (some && !some.some(name => fields[name] !== undefined)) errors.push(`${path}: needs one of ${some.join(', ')}`)
  if (one && one.filter(name => fields[name] !== undefined).length !== 1)
    errors.push(`${path}: needs just one of ${one.join(', ')}`)
}

function checkValue(
  value: unknown,
  attribute: Attribute,
  path: string,
  profiles: ReadonlySet<string>,
  errors: string[],
): void {
  if (attribute.is_array) {
    if (!Array.isArray(value)) return void errors.push(`${path}: no array`)
    for (const [index, item] of value.entries()) checkOne(item, attribute, `${path}[${index}]`, profiles, errors)
  } else checkOne(value, attribute, path, profiles, errors)
}

function checkOne(
  value: unknown,
  attribute: Attribute,
  path: string,
  profiles: ReadonlySet<string>,
  errors: string[],
): void {
  const objectType = attribute.object_type
  if (objectType) {
    if (!isFields(value)) return void errors.push(`${path}: no object`)
    if (objectType !== 'object')
      checkFields(value, schema.objects[objectType]!, path, profiles, errors, OURS[objectType])
    return
  }
  const wrong = scalarError(value, attribute.type)
  if (wrong) errors.push(`${path}: ${wrong}`)
  else if (attribute.enum && !Object.hasOwn(attribute.enum, String(value)))
    errors.push(`${path}: ${String(value)} is not in the enumeration`)
}

function scalarError(value: unknown, typeName: string): string | undefined {
  const type = types[typeName] ?? {}
  switch (type.type ?? typeName) {
    case 'string_t':
      if (typeof value !== 'string') return 'no string'
      if (type.max_len !== undefined && value.length > type.max_len) return `longer than ${type.max_len}`
      return type.regex === undefined || new RegExp(type.regex).test(value) ? undefined : `no ${typeName}`
    case 'integer_t':
    case 'long_t':
      if (!Number.isSafeInteger(value)) return 'no integer'
      if (type.range && (Number(value) < type.range[0] || Number(value) > type.range[1])) return 'out of range'
      return undefined
    case 'float_t':
      return typeof value === 'number' && Number.isFinite(value) ? undefined : 'no number'
    case 'boolean_t':
      return typeof value === 'boolean' ? undefined : 'no boolean'
    case 'json_t':
      return undefined
    default:
      return `unknown type ${typeName}`
  }
}
