import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import { someValue } from '../../platform/ocsf/path.ts'
import type { Field } from './field.ts'

/** What a Detection Finding (OCSF 2004) has at its top: GuardDuty's and Falco's, as their parse stages map them. */
const roots: readonly string[] = [
  'activity_id',
  'activity_name',
  'class_uid',
  'cloud',
  'count',
  'device',
  'evidences',
  'finding_info',
  'is_alert',
  'message',
  'metadata',
  'observables',
  'resources',
  'severity',
  'severity_id',
  'status',
  'status_id',
  'time',
  'type_uid',
  'unmapped',
]
const SEGMENTS_MAX = 12
const FIELDS_MAX = 20_000
const VALUES_MAX = 1_000
const made = new Map<string, Field>()

/** A field of a finding by its OCSF path; a list on the way stands for each of its items. */
export function resolveFindingField(name: string): Field | { readonly unknown: string } {
  const known = made.get(name)
  if (known) return known
  const segments = name.split('.')
  if (!roots.includes(segments[0]!))
    return { unknown: `a finding has no field ${segments[0]}: it has ${roots.join(', ')}` }
  if (segments.length > SEGMENTS_MAX || segments.some(segment => segment === ''))
    return { unknown: `${name} is no path of 1 to ${SEGMENTS_MAX} names` }
  const field: Field = { name, clue: 'good', read: body => scalarsAt(body, segments) }
  if (made.size < FIELDS_MAX) made.set(name, field)
  return field
}

/** Texts, numbers and truths at a path, as texts. */
export function scalarsAt(body: OcsfEvent, segments: readonly string[]): string[] {
  const values: string[] = []
  someValue(body, segments, value => {
    if (typeof value !== 'object') values.push(String(value))
    return values.length >= VALUES_MAX
  })
  return values
}
