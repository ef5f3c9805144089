import type { IndexTemplate } from '../../platform/ocsf/index-template.ts'
import type { TemplateState } from './template.ts'

/** What `haetae opensearch apply` does with a template. keep: it is of a newer program. */
type TemplateAction = 'create' | 'update' | 'keep' | 'none'

/** One setting or field that is not as wanted. Values as text; '' where there is none. */
interface TemplateDifference {
  readonly path: string
  readonly present: string
  readonly wanted: string
}

export interface TemplateChange {
  readonly template: string
  readonly action: TemplateAction
  /** With `none`, what somebody tuned: it stays. Empty with `create`. */
  readonly differences: readonly TemplateDifference[]
}

const actions: Readonly<Record<TemplateState['standing'], TemplateAction>> = {
  missing: 'create',
  other: 'update',
  same: 'none',
  newer: 'keep',
}

export function changeOf({ name, wanted, present, standing }: TemplateState): TemplateChange {
  return { template: name, action: actions[standing], differences: present ? differences(present, wanted) : [] }
}

/** By path, ordered. Compared as text: OpenSearch gives `1` back as `"1"`, `false` as `"false"`. */
function differences(present: Partial<IndexTemplate>, wanted: IndexTemplate): readonly TemplateDifference[] {
  const [before, after] = [leaves(comparable(present)), leaves(comparable(wanted))]
  return [...new Set([...before.keys(), ...after.keys()])]
    .sort()
    .map(path => ({ path, present: before.get(path) ?? '', wanted: after.get(path) ?? '' }))
    .filter(each => each.present !== each.wanted)
}

function comparable({ index_patterns, priority, version, template }: Partial<IndexTemplate>): object {
  return { index_patterns, priority, version, settings: template?.settings, mappings: template?.mappings }
}

/** Values by the dotted path to them, which is also how OpenSearch may give a setting: `index.codec`. */
function leaves(value: unknown, path = '', found = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [name, inner] of Object.entries(value)) leaves(inner, path === '' ? name : `${path}.${name}`, found)
  } else if (value !== undefined) found.set(path, Array.isArray(value) ? value.map(textOf).join(', ') : textOf(value))
  return found
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
