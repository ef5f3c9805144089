/** What a GuardDuty finding is about, as OCSF resource_details. Everything taken leaves the finding. */
import { objectAt, objectsAt, present, takeText } from '../../platform/json/residue.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { takeAddress } from './endpoints.ts'

/** What is past this stays in `unmapped`. */
const BUCKETS_MAX = 100

/** The instance's id is needed for the evidences too, so it is taken first. */
export function takeInstanceId(resource: JsonObject): string | undefined {
  return takeText(objectAt(resource, 'instanceDetails'), 'instanceId')
}

/** `region` of the finding; `service` says whether the resource was the target or the actor. */
export function guardDutyResources(
  resource: JsonObject,
  instanceId: string | undefined,
  region: string | undefined,
  service: JsonObject,
): JsonObject[] {
  const found = [
    instance(objectAt(resource, 'instanceDetails'), instanceId),
    accessKey(objectAt(resource, 'accessKeyDetails')),
    ...objectsAt(resource, 's3BucketDetails')
      .slice(0, BUCKETS_MAX)
      .map(bucket => named('AWS::S3::Bucket', bucket, 'arn', 'name')),
    named('AWS::EKS::Cluster', objectAt(resource, 'eksClusterDetails'), 'arn', 'name'),
    named('AWS::ECS::Cluster', objectAt(resource, 'ecsClusterDetails'), 'arn', 'name'),
    named('AWS::Lambda::Function', objectAt(resource, 'lambdaDetails'), 'functionArn', 'functionName'),
    named('AWS::RDS::DBInstance', objectAt(resource, 'rdsDbInstanceDetails'), 'dbInstanceArn', 'dbInstanceIdentifier'),
    workload(objectAt(objectAt(resource, 'kubernetesDetails'), 'kubernetesWorkloadDetails')),
    container(objectAt(resource, 'containerDetails')),
  ]
  const details = found.filter(each => each !== undefined)
  const role = details.length > 0 ? takeRole(service) : undefined
  return details.map(each => present({ ...each, region, ...role })!)
}

function takeRole(service: JsonObject): { role_id: number; role: string } | undefined {
  const role = service['resourceRole']
  if (role !== 'TARGET' && role !== 'ACTOR') return undefined
  delete service['resourceRole']
  return role === 'TARGET' ? { role_id: 1, role: 'Target' } : { role_id: 2, role: 'Actor' }
}

function named(type: string, from: JsonObject, uidKey: string, nameKey: string): JsonObject | undefined {
  const uid = takeText(from, uidKey)
  const name = takeText(from, nameKey)
  return uid === undefined && name === undefined ? undefined : present({ type, uid, name, tags: takeTags(from) })
}

function instance(from: JsonObject, instanceId: string | undefined): JsonObject | undefined {
  if (instanceId === undefined) return undefined
  const network = objectsAt(from, 'networkInterfaces')[0] ?? {}
  return present({
    type: 'AWS::EC2::Instance',
    uid: instanceId,
    ip: takeAddress(network, 'publicIp') ?? takeAddress(network, 'privateIpAddress'),
    hostname: takeText(network, 'privateDnsName'),
    zone: takeText(from, 'availabilityZone'),
    tags: takeTags(from),
  })
}

function accessKey(from: JsonObject): JsonObject | undefined {
  const uid = takeText(from, 'accessKeyId')
  const owner = present({ name: takeText(from, 'userName'), uid: takeText(from, 'principalId') })
  const type = owner && takeText(from, 'userType')
  if (uid === undefined && owner === undefined) return undefined
  const name = uid === undefined ? (owner!['name'] ?? owner!['uid']) : undefined
  return present({ type: 'AWS::IAM::AccessKey', uid, name, owner: owner && present({ ...owner, type }) })
}

function workload(from: JsonObject): JsonObject | undefined {
  const found = named('Kubernetes', from, 'uid', 'name')
  const kind = found && takeText(from, 'type')
  return (
    found && present({ ...found, type: `Kubernetes ${kind ?? 'Workload'}`, namespace: takeText(from, 'namespace') })
  )
}

/** Already taken where a process ran in it (the evidences come first). */
function container(from: JsonObject): JsonObject | undefined {
  return named('Container', from, 'id', 'name')
}

/** Taken only whole: a tag without a key or with a value that is no text keeps all of them in the finding. */
function takeTags(from: JsonObject): JsonObject[] {
  const tags = from['tags']
  const listed = objectsAt(from, 'tags')
  if (!Array.isArray(tags) || listed.length !== tags.length) return []
  const pairs = listed.map(tag => ({ name: tag['key'], value: tag['value'] }))
  const whole = pairs.every(
    (pair): pair is { name: string; value: string } => typeof pair.name === 'string' && typeof pair.value === 'string',
  )
  const alone = listed.every(tag => Object.keys(tag).length === 2)
  if (!whole || !alone || pairs.some(pair => pair.name === '' || pair.value === '')) return []
  delete from['tags']
  return pairs
}
