/** What GuardDuty saw: every place of a finding that can name a remote address, a domain or a process, as OCSF evidences. */
import { objectAt, objectsAt, present, takeInteger, takeText, takeTexts } from '../../platform/json/residue.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { remoteEndpoint, sequenceEndpoint, takeAddress, takePort } from './endpoints.ts'

/** Port probes and attack sequences list many; what is past this stays in `unmapped`. */
const EVIDENCES_MAX = 100

/** `instanceId`: the EC2 instance the finding is about, if any. */
export function guardDutyEvidences(
  service: JsonObject,
  resource: JsonObject,
  instanceId: string | undefined,
): JsonObject[] {
  const action = objectAt(service, 'action')
  const found = [
    connection(objectAt(action, 'networkConnectionAction'), instanceId),
    ...objectsAt(objectAt(action, 'portProbeAction'), 'portProbeDetails')
      .slice(0, EVIDENCES_MAX)
      .map(details => probe(details, instanceId)),
    dnsRequest(objectAt(action, 'dnsRequestAction')),
    awsApiCall(objectAt(action, 'awsApiCallAction')),
    kubernetesApiCall(objectAt(action, 'kubernetesApiCallAction'), resource),
    ...rdsLogin(objectAt(action, 'rdsLoginAttemptAction'), resource),
    ...sequence(objectAt(objectAt(service, 'detection'), 'sequence')),
    runtimeProcess(objectAt(service, 'runtimeDetails'), resource),
  ]
  return found.filter(each => each !== undefined)
}

const directions: Readonly<Record<string, readonly [id: number, name: string]>> = {
  INBOUND: [1, 'Inbound'],
  OUTBOUND: [2, 'Outbound'],
  UNKNOWN: [0, 'Unknown'],
}

function connectionInfo(action: JsonObject, direction: string | undefined): JsonObject | undefined {
  const known = direction === undefined ? undefined : directions[direction]
  const protocol = takeText(action, 'protocol')?.toLowerCase()
  if (!known && protocol === undefined) return undefined
  const [id, name] = known ?? directions['UNKNOWN']!
  return present({ direction_id: id, direction: name, protocol_name: protocol })
}

function takeDirection(from: JsonObject, key: string): string | undefined {
  const value = from[key]
  return typeof value === 'string' && Object.hasOwn(directions, value) ? takeText(from, key) : undefined
}

/** The remote end is the source, unless the connection went out: then it is what our resource talked to. */
function connection(action: JsonObject, instanceId: string | undefined): JsonObject | undefined {
  const direction = takeDirection(action, 'connectionDirection')
  const remote = remoteEndpoint(objectAt(action, 'remoteIpDetails'))
  const info = connectionInfo(action, direction)
  if (!remote && !info) return undefined
  const far = remote && present({ ...remote, port: takePort(objectAt(action, 'remotePortDetails')) })
  const near = local(action, instanceId)
  const ends =
    direction === 'OUTBOUND' ? { src_endpoint: near, dst_endpoint: far } : { src_endpoint: far, dst_endpoint: near }
  return present({ ...ends, connection_info: info })
}

/** Our end. A port alone is no endpoint in OCSF, so without an address, instance or service name the port stays. */
function local(action: JsonObject, instanceId: string | undefined): JsonObject | undefined {
  const ip =
    takeAddress(objectAt(action, 'localIpDetails'), 'ipAddressV4') ??
    takeAddress(objectAt(action, 'localIpDetails'), 'ipAddressV6')
  const ports = objectAt(action, 'localPortDetails')
  const service = ports['portName'] === 'Unknown' ? undefined : takeText(ports, 'portName')
  if (ip === undefined && instanceId === undefined && service === undefined) return undefined
  return present({ ip, port: takePort(ports), instance_uid: instanceId, svc_name: service })
}

function probe(details: JsonObject, instanceId: string | undefined): JsonObject | undefined {
  const remote = remoteEndpoint(objectAt(details, 'remoteIpDetails'))
  if (!remote) return undefined
  const info = { direction_id: 1, direction: 'Inbound' }
  return present({ src_endpoint: remote, dst_endpoint: local(details, instanceId), connection_info: info })
}

function dnsRequest(action: JsonObject): JsonObject | undefined {
  const hostname = takeText(action, 'domain')
  if (hostname === undefined) return undefined
  const protocol = takeText(action, 'protocol')?.toLowerCase()
  const info = protocol === undefined ? undefined : { direction_id: 2, direction: 'Outbound', protocol_name: protocol }
  return present({ query: { hostname }, connection_info: info })
}

function awsApiCall(action: JsonObject): JsonObject | undefined {
  const operation = takeText(action, 'api')
  const remote = remoteEndpoint(objectAt(action, 'remoteIpDetails'))
  const source = present({ ...remote, domain: takeText(objectAt(action, 'domainDetails'), 'domain') })
  if (operation === undefined && !source) return undefined
  const api = operation === undefined ? undefined : calledApi(operation, action)
  return present({
    src_endpoint: source,
    api,
    http_request: present({ user_agent: takeText(action, 'userAgent') }),
  })
}

function calledApi(operation: string, action: JsonObject): JsonObject | undefined {
  return present({
    operation,
    service: present({ name: takeText(action, 'serviceName') }),
    response: present({ error: takeText(action, 'errorCode') }),
  })
}

function kubernetesApiCall(action: JsonObject, resource: JsonObject): JsonObject | undefined {
  const remote = remoteEndpoint(objectAt(action, 'remoteIpDetails'))
  const operation = takeText(action, 'verb')
  if (!remote && operation === undefined) return undefined
  const user = kubernetesUser(objectAt(objectAt(resource, 'kubernetesDetails'), 'kubernetesUserDetails'))
  const path = takeText(action, 'requestUri')
  const code = operation === undefined ? undefined : takeInteger(action, 'statusCode', 0, 999)
  return present({
    src_endpoint: remote,
    api: operation === undefined ? undefined : present({ operation, response: present({ code }) }),
    actor: user && { user },
    http_request: present({
      url: path === undefined ? undefined : { path },
      user_agent: takeText(action, 'userAgent'),
      x_forwarded_for: takeAddresses(action),
    }),
  })
}

function kubernetesUser(from: JsonObject): JsonObject | undefined {
  const user = present({ name: takeText(from, 'username'), uid: takeText(from, 'uid') })
  return user && present({ ...user, groups: takeTexts(from, 'groups').map(name => ({ name })) })
}

/** `sourceIPs` (the API's client writes `sourceIps`): the caller and the proxies between, as a forwarding header lists them. */
function takeAddresses(action: JsonObject): string[] {
  const key = Object.hasOwn(action, 'sourceIPs') ? 'sourceIPs' : 'sourceIps'
  const texts = action[key]
  if (!Array.isArray(texts) || texts.length > EVIDENCES_MAX) return []
  const holder: JsonObject = {}
  const addresses = texts.map((text, index) => {
    holder[index] = text
    return takeAddress(holder, String(index))
  })
  if (addresses.some(address => address === undefined)) return []
  delete action[key]
  return addresses.filter(address => address !== undefined)
}

/** One evidence for each account that was tried, all from the same address. The counts of tries stay in `unmapped`. */
function rdsLogin(action: JsonObject, resource: JsonObject): JsonObject[] {
  const remote = remoteEndpoint(objectAt(action, 'remoteIpDetails'))
  if (!remote) return []
  // The one key that GuardDuty itself spells with a capital.
  const { LoginAttributes: capital } = action
  if (capital !== undefined && !Object.hasOwn(action, 'loginAttributes')) {
    action['loginAttributes'] = capital
    delete action['LoginAttributes']
  }
  const attempts = objectsAt(action, 'loginAttributes')
  const users = attempts.slice(0, EVIDENCES_MAX).map(each => takeText(each, 'user'))
  if (users.length === 0) users.push(takeText(objectAt(resource, 'rdsDbUserDetails'), 'user'))
  return users.map(
    name => present({ src_endpoint: remote, actor: name === undefined ? undefined : { user: { name } } })!,
  )
}

function sequence(from: JsonObject): JsonObject[] {
  return objectsAt(from, 'endpoints')
    .slice(0, EVIDENCES_MAX)
    .flatMap(each => {
      const far = sequenceEndpoint(each)
      if (!far) return []
      const connection = objectAt(each, 'connection')
      const direction = takeDirection(connection, 'direction')
      const end = direction === 'OUTBOUND' ? 'dst_endpoint' : 'src_endpoint'
      return [present({ [end]: far, connection_info: connectionInfo(connection, direction) })!]
    })
}

/** Runtime Monitoring: the process, and the container it ran in. */
function runtimeProcess(details: JsonObject, resource: JsonObject): JsonObject | undefined {
  const from = objectAt(details, 'process')
  const pid = takeInteger(from, 'pid', 0)
  const uid = takeText(from, 'uuid')
  if (pid === undefined && uid === undefined) return undefined
  const path = takeText(from, 'executablePath')
  const sha256 = path === undefined ? undefined : takeText(from, 'executableSha256')
  const userId = takeInteger(from, 'userId', 0)
  const process = present({
    name: takeText(from, 'name'),
    pid,
    uid,
    path,
    working_directory: takeText(from, 'pwd'),
    user: present({ name: takeText(from, 'user'), uid: userId === undefined ? undefined : String(userId) }),
    ...(sha256 === undefined ? {} : { file: executable(path!, sha256) }),
  })
  return present({ process, container: container(objectAt(resource, 'containerDetails')) })
}

function executable(path: string, sha256: string): JsonObject {
  const hashes = [{ algorithm_id: 3, algorithm: 'SHA-256', value: sha256 }]
  return { name: path.slice(path.lastIndexOf('/') + 1) || path, path, type_id: 8, type: 'Executable File', hashes }
}

function container(from: JsonObject): JsonObject | undefined {
  const uid = takeText(from, 'id')
  const name = takeText(from, 'name')
  if (uid === undefined && name === undefined) return undefined
  const image = takeText(from, 'image')
  return present({
    uid,
    name,
    image: image === undefined ? undefined : { uid: takeText(from, 'imageUid') ?? image, name: image },
    runtime: takeText(from, 'containerRuntime'),
  })
}
