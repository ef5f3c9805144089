/** What Falco saw: the flat output_fields of an alert as OCSF evidences and resources. Everything taken leaves the fields. */
import { formatAddress, parseAddress } from '../../platform/address.ts'
import { present, takeInteger, takeText } from '../../platform/json/residue.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { takeAddress } from './endpoints.ts'

export interface FalcoEvidence {
  readonly evidences: JsonObject[]
  readonly resources: JsonObject[]
}

/**
 * `scope` names the machine or container, to tell processes without a pid apart. Plugins and appended outputs name the same field
 * `k8s.pod.name` or `k8s_pod_name`.
 */
export function falcoEvidence(fields: JsonObject, scope: string): FalcoEvidence {
  const around = container(fields)
  const inside = around?.['uid']
  const process = processOf(fields, typeof inside === 'string' ? inside : scope)
  const network = connection(fields)
  const file = network ? undefined : fileOf(fields)
  const calls = [auditCall(fields), cloudCall(fields)].filter(each => each !== undefined)
  const seen = present({ process, ...network, file })
  // A container alone is no evidence in OCSF: without process, file or connection it is named as a resource.
  const evidences = seen ? [present({ ...seen, container: around })!, ...calls] : calls
  const resources = [pod(fields), auditTarget(fields), seen ? undefined : asResource(around)]
  return { evidences, resources: resources.filter(each => each !== undefined) }
}

function either(fields: JsonObject, dotted: string): string | undefined {
  return takeText(fields, dotted) ?? takeText(fields, dotted.replaceAll('.', '_'))
}

function processOf(fields: JsonObject, scope: string): JsonObject | undefined {
  const name = takeText(fields, 'proc.name')
  const cmdLine = takeText(fields, 'proc.cmdline')
  const path = takeText(fields, 'proc.exepath')
  const pid = takeInteger(fields, 'proc.pid', 0)
  const label = name ?? path ?? cmdLine
  if (label === undefined && pid === undefined) return undefined
  const uid = takeInteger(fields, 'user.uid', 0)
  const user = present({ name: takeText(fields, 'user.name'), uid: uid === undefined ? undefined : String(uid) })
  return present({
    name,
    cmd_line: cmdLine,
    path,
    pid,
    uid: pid === undefined ? `${scope}:${label}` : undefined,
    working_directory: takeText(fields, 'proc.cwd'),
    user,
    parent_process: parentOf(fields, scope),
  })
}

function parentOf(fields: JsonObject, scope: string): JsonObject | undefined {
  const name = takeText(fields, 'proc.pname')
  const cmdLine = takeText(fields, 'proc.pcmdline')
  const path = takeText(fields, 'proc.pexepath')
  const pid = takeInteger(fields, 'proc.ppid', 0)
  const label = name ?? path ?? cmdLine
  if (label === undefined && pid === undefined) return undefined
  return present({ name, cmd_line: cmdLine, path, pid, uid: pid === undefined ? `${scope}:${label}` : undefined })
}

/** `host` is Falco's word for “in no container”. */
function container(fields: JsonObject): JsonObject | undefined {
  const key = Object.hasOwn(fields, 'container.id') ? 'container.id' : 'container_id'
  if (fields[key] === 'host') return undefined
  const uid = takeText(fields, key)
  const name = either(fields, 'container.name')
  if (uid === undefined && name === undefined) return undefined
  const repository = either(fields, 'container.image.repository')
  const tag = repository === undefined ? undefined : either(fields, 'container.image.tag')
  const image = tag === undefined ? repository : `${repository}:${tag}`
  return present({ uid, name, image: image === undefined ? undefined : { uid: image, name: repository! } })
}

function asResource(from: JsonObject | undefined): JsonObject | undefined {
  return (
    from &&
    present({ type: 'Container', uid: from['uid'], name: from['name'], data: present({ image: from['image'] }) })
  )
}

function pod(fields: JsonObject): JsonObject | undefined {
  const name = either(fields, 'k8s.pod.name')
  const uid = either(fields, 'k8s.pod.uid') ?? (name === undefined ? undefined : either(fields, 'k8s.pod.id'))
  if (name === undefined && uid === undefined) return undefined
  return present({ type: 'Kubernetes Pod', name, uid, namespace: either(fields, 'k8s.ns.name') })
}

/** `10.0.0.9:43812->10.96.0.1:443`, client first; IPv6 is written the same way, with its last colon before the port. */
const TUPLE = /^([0-9A-Fa-f:.]{2,45}):(\d{1,5})->([0-9A-Fa-f:.]{2,45}):(\d{1,5})$/

function connection(fields: JsonObject): JsonObject | undefined {
  const name = fields['fd.name']
  const found = typeof name === 'string' && name.length <= 120 ? TUPLE.exec(name) : null
  if (!found) return undefined
  const client = endpoint(found[1]!, Number(found[2]))
  const server = endpoint(found[3]!, Number(found[4]))
  if (!client || !server) return undefined
  delete fields['fd.name']
  const protocol = takeText(fields, 'fd.l4proto')
  const [id, direction] = directionOf(fields['evt.type'])
  const info = present({ direction_id: id, direction, protocol_name: protocol })
  return { src_endpoint: client, dst_endpoint: server, connection_info: info! }
}

function endpoint(ip: string, port: number): JsonObject | undefined {
  const address = parseAddress(ip)
  return address && port <= 65_535 ? { ip: formatAddress(address), port } : undefined
}

function directionOf(call: unknown): readonly [number, string] {
  if (call === 'connect') return [2, 'Outbound']
  return call === 'accept' || call === 'accept4' ? [1, 'Inbound'] : [0, 'Unknown']
}

function fileOf(fields: JsonObject): JsonObject | undefined {
  const path = fields['fd.name']
  if (typeof path !== 'string' || !path.startsWith('/')) return undefined
  delete fields['fd.name']
  const type = fields['fd.type'] === 'directory' ? { type_id: 2, type: 'Folder' } : { type_id: 0, type: 'Unknown' }
  const regular = fields['fd.type'] === 'file' ? { type_id: 1, type: 'Regular File' } : type
  return { name: path.slice(path.lastIndexOf('/') + 1) || path, path, ...regular }
}

/** Kubernetes audit plugins (fields ka.*). */
function auditCall(fields: JsonObject): JsonObject | undefined {
  const operation = takeText(fields, 'ka.verb')
  const user = takeText(fields, 'ka.user.name')
  if (operation === undefined && user === undefined) return undefined
  const code = operation === undefined ? undefined : takeInteger(fields, 'ka.response.code', 0, 999)
  const path = takeText(fields, 'ka.uri')
  return present({
    api: operation === undefined ? undefined : present({ operation, response: present({ code }) }),
    actor: user === undefined ? undefined : { user: { name: user } },
    http_request: present({
      url: path === undefined ? undefined : { path },
      user_agent: takeText(fields, 'ka.useragent'),
    }),
  })
}

function auditTarget(fields: JsonObject): JsonObject | undefined {
  const name = takeText(fields, 'ka.target.name')
  if (name === undefined) return undefined
  const kind = takeText(fields, 'ka.target.resource')
  return present({ type: `Kubernetes ${kind ?? 'object'}`, name, namespace: takeText(fields, 'ka.target.namespace') })
}

/** The CloudTrail plugin (fields ct.*). */
function cloudCall(fields: JsonObject): JsonObject | undefined {
  const operation = takeText(fields, 'ct.name')
  if (operation === undefined) return undefined
  const ip = takeAddress(fields, 'ct.srcip')
  const user = takeText(fields, 'ct.user')
  return present({
    api: present({
      operation,
      service: present({ name: takeText(fields, 'ct.src') }),
      response: present({ error: takeText(fields, 'ct.error') }),
    }),
    src_endpoint: ip === undefined ? undefined : { ip },
    actor: user === undefined ? undefined : { user: { name: user } },
    http_request: present({ user_agent: takeText(fields, 'ct.useragent') }),
  })
}
