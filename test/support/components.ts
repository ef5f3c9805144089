/** Every registered component, as the contract suite and docs/components.md see it. */
import { parse } from 'yaml'
import { type ZodType, z } from 'zod'
import { detectors } from '../../detections/index.ts'
import type { Spec } from '../../engine/contract.ts'
import { stages } from '../../enrichers/index.ts'
import { responseSinks } from '../../response/index.ts'
import { sinks } from '../../sinks/index.ts'
import { sources } from '../../sources/index.ts'

export interface Role {
  readonly title: string
  readonly folder: string
  readonly specs: readonly Spec<ZodType, unknown>[]
}

export const roles: readonly Role[] = [
  { title: 'Sources', folder: 'sources', specs: sources },
  { title: 'Stages', folder: 'enrichers', specs: stages },
  { title: 'Detectors', folder: 'detections', specs: detectors },
  { title: 'Sinks', folder: 'sinks', specs: sinks },
  { title: 'Sinks that respond', folder: 'response', specs: responseSinks },
]

/** The part of JSON Schema that zod writes. */
export interface Schema {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly $ref?: string
  readonly $defs?: Readonly<Record<string, Schema>>
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly default?: unknown
  readonly description?: string
  readonly pattern?: string
  readonly format?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
}

/** What may be written in a pipeline file. */
export function schemaOf(spec: Pick<Spec<ZodType, unknown>, 'config'>): Schema {
  return z.toJSONSchema(spec.config, { unrepresentable: 'any', io: 'input' }) as Schema
}

/** What the component's schema gets when the example stands in a pipeline file. */
export function exampleOf(spec: Pick<Spec<ZodType, unknown>, 'example'>): Record<string, unknown> {
  return parse(spec.example) as Record<string, unknown>
}

/** A schema and every schema inside it, each with the path to it. */
export function* schemasIn(schema: Schema, path = ''): Generator<readonly [string, Schema]> {
  yield [path, schema]
  for (const [key, inner] of Object.entries(schema.properties ?? {})) yield* schemasIn(inner, `${path}.${key}`)
  for (const [key, inner] of Object.entries(schema.$defs ?? {})) yield* schemasIn(inner, `${path}#${key}`)
  for (const inner of schema.anyOf ?? []) yield* schemasIn(inner, `${path}|`)
  if (schema.items) yield* schemasIn(schema.items, `${path}[]`)
  if (typeof schema.additionalProperties === 'object') yield* schemasIn(schema.additionalProperties, `${path}{}`)
}
