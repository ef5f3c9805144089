import { z } from 'zod'
import { type Batch, defineStage, type Event, type Kind, type Stage } from '../engine/contract.ts'
import { clientOf } from '../platform/client-address.ts'

const KEY_LENGTH_MAX = 256

/**
 * Partition key for the topic sink, from the raw bytes: records of one key share a partition, so that repeats meet the dedupe
 * stage and detections see all of one client. WAF: the client (IPv4 address or IPv6 /64). GuardDuty: the resource. Falco: the
 * pod, container or host. A record that names none, or is not JSON, gets its own id: spread, and the same on every delivery.
 * Never rejects.
 */
export const key = defineStage({
  type: 'key',
  summary: 'Sets the partition key: client address (WAF), resource (GuardDuty), pod, container or host (Falco)',
  config: z.strictObject({}),
  example: '{}',
  open: (): Promise<Stage> => Promise.resolve({ apply: setKeys }),
})

function setKeys(batch: Batch): Batch {
  for (const event of batch) event.key = keyOf[event.kind]?.(event) ?? event.id
  return batch
}

const keyOf: Readonly<Partial<Record<Kind, (event: Event) => string | undefined>>> = {
  waf: event => clientOf(event.raw),
  guardduty: event => resourceOf(parsed(event.raw)),
  falco: event => placeOf(parsed(event.raw)),
}

/** Where each resource of a finding has its name, most specific first (GuardDuty API, Resource); a list gives its first item. */
const resourcePaths: readonly (readonly string[])[] = [
  ['instanceDetails', 'instanceId'],
  ['accessKeyDetails', 'accessKeyId'],
  ['accessKeyDetails', 'principalId'],
  ['eksClusterDetails', 'arn'],
  ['ecsClusterDetails', 'arn'],
  ['lambdaDetails', 'functionArn'],
  ['rdsDbInstanceDetails', 'dbInstanceArn'],
  ['rdsDbInstanceDetails', 'dbInstanceIdentifier'],
  ['rdsLimitlessDbDetails', 'dbShardGroupArn'],
  ['s3BucketDetails', 'arn'],
  ['s3BucketDetails', 'name'],
  ['containerDetails', 'id'],
  ['ebsVolumeDetails', 'scannedVolumeDetails', 'volumeArn'],
]

/** An EventBridge envelope or the finding itself, with keys in camelCase or, as the API gives them, PascalCase. */
function resourceOf(record: unknown): string | undefined {
  const finding = field(record, 'detail') ?? record
  const resource = field(finding, 'resource')
  for (const path of resourcePaths) {
    const found = keyText(path.reduce<unknown>(field, resource))
    if (found) return found
  }
  // Of AWS Health: the leaked key.
  const entity = keyText(field(field(finding, 'affectedEntities'), 'entityValue'))
  if (entity) return entity
  // Attack sequences name no single resource: all updates of one finding stay together.
  return keyText(field(finding, 'id'))
}

/** Falco JSON alert: container fields come as `container.id` or, from the container plugin, as `container_id`; `host` is no container. */
function placeOf(alert: unknown): string | undefined {
  const fields = field(alert, 'output_fields')
  const value = (...names: string[]) => {
    return names.map(name => keyText(own(fields, name))).find(text => text && text !== '<NA>' && text !== 'host')
  }
  const pod = value('k8s.pod.name', 'k8s_pod_name')
  const namespace = value('k8s.ns.name', 'k8s_ns_name')
  if (pod && namespace) return keyText(`${namespace}/${pod}`)
  return value('container.id', 'container_id') ?? keyText(own(alert, 'hostname'))
}

function parsed(raw: Buffer): unknown {
  try {
    return JSON.parse(raw.toString('utf8'))
  } catch {
    return undefined
  }
}

function field(value: unknown, name: string): unknown {
  const holder: unknown = Array.isArray(value) ? value[0] : value
  return own(holder, name) ?? own(holder, name[0]!.toUpperCase() + name.slice(1))
}

function own(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Record<string, unknown>)[name]
}

function keyText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= KEY_LENGTH_MAX ? value : undefined
}
