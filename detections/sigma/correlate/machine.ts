import { isJsonObject, type OcsfEvent } from '../../../platform/ocsf/event.ts'

/** Of one finding. */
const VALUES_MAX = 8
/** Falco cuts a container's id to this, GuardDuty gives all of it. */
const CONTAINER_ID_CHARS = 12

/**
 * The pods and containers of a Falco alert, each as `namespace/name` or the first 12 digits of the container's id: all it knows. Of a
 * GuardDuty finding the narrowest alone, so that one finding and one alert never meet twice.
 */
export function podsOfFalco(body: OcsfEvent): readonly string[] {
  return [...podNames(body), ...containers(body)].slice(0, VALUES_MAX)
}

export function podsOfGuardDuty(body: OcsfEvent): readonly string[] {
  const inside = containers(body)
  return (inside.length > 0 ? inside : podNames(body)).slice(0, VALUES_MAX)
}

/**
 * The machine: its id, where the name has it (`i-0a1b….ap-northeast-2.compute.internal`), else its name in the VPC, which is that of the
 * node in EKS and what Falco calls the host. Of a GuardDuty finding both.
 */
export function nodesOf({ device, resources = [] }: OcsfEvent): readonly string[] {
  const instances = resources.filter(({ type }) => type === 'AWS::EC2::Instance')
  const names = [device?.['hostname'], ...instances.flatMap(({ uid, hostname }) => [hostname, uid])]
  return [...new Set(names.filter(isText).map(nodeName))].slice(0, VALUES_MAX)
}

function nodeName(text: string): string {
  const name = text.toLowerCase()
  return /^i-[0-9a-f]{8,17}(?=$|\.)/.exec(name)?.[0] ?? name
}

/** `Kubernetes Pod` from Falco, `Kubernetes pods` from GuardDuty: of a Deployment the name alone says nothing of the pod. */
function podNames({ resources = [] }: OcsfEvent): string[] {
  const pods = resources.filter(({ type }) => isText(type) && /^kubernetes pods?$/i.test(type))
  return unique(
    pods.map(({ namespace, name }) => (isText(name) && isText(namespace) ? `${namespace}/${name}` : undefined)),
  )
}

function containers({ resources = [], evidences = [] }: OcsfEvent): string[] {
  const listed = resources.filter(({ type }) => type === 'Container')
  const around = evidences.map(({ container }) => container).filter(isJsonObject)
  return unique([...listed, ...around].map(({ uid }) => (isText(uid) ? uid.slice(0, CONTAINER_ID_CHARS) : undefined)))
}

const unique = (texts: readonly (string | undefined)[]): string[] => [...new Set(texts.filter(isText))]
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
