import { isObject, objectAt } from '../../platform/json/residue.ts'
import type { JsonObject, Observable } from '../../platform/ocsf/event.ts'

const OBSERVABLES_MAX = 100

/** What to search for, by OCSF observable type. Paths are those of the finding. */
const kinds: readonly (readonly [path: string, typeId: number, type: string])[] = [
  ['src_endpoint.ip', 2, 'IP Address'],
  ['dst_endpoint.ip', 2, 'IP Address'],
  ['query.hostname', 1, 'Hostname'],
  ['src_endpoint.hostname', 1, 'Hostname'],
  ['dst_endpoint.hostname', 1, 'Hostname'],
  ['actor.user.name', 4, 'User Name'],
  ['process.user.name', 4, 'User Name'],
  ['process.name', 9, 'Process Name'],
  ['process.cmd_line', 13, 'Command Line'],
  ['file.path', 45, 'File Path'],
  ['container.uid', 27, 'Container'],
]

/** Each value once per type, in the order of the evidences, up to a bound. */
export function observablesOf(evidences: readonly JsonObject[], resources: readonly JsonObject[]): Observable[] {
  const found = new Map<string, Observable>()
  const add = (name: string, typeId: number, type: string, value: unknown): void => {
    if (typeof value !== 'string' || found.size >= OBSERVABLES_MAX) return
    const key = `${typeId} ${value}`
    if (!found.has(key)) found.set(key, { name, type_id: typeId, type, value })
  }
  for (const evidence of evidences) {
    for (const [path, typeId, type] of kinds) add(`evidences[].${path}`, typeId, type, valueAt(evidence, path))
  }
  for (const resource of resources) add('resources[].uid', 10, 'Resource UID', resource['uid'])
  return [...found.values()]
}

function valueAt(object: JsonObject, path: string): unknown {
  const names = path.split('.')
  const last = names.pop()!
  const holder = names.reduce<JsonObject>((inner, name) => objectAt(inner, name), object)
  return isObject(holder) ? holder[last] : undefined
}
