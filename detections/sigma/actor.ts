import type { Event } from '../../engine/contract.ts'
import type { JsonObject } from '../../platform/ocsf/event.ts'
import { type ActorType, remoteAddresses } from './correlate/group.ts'

/** Whom an alert is about. */
export interface Actor {
  readonly type: ActorType
  readonly value: string
}

/**
 * Of a request its client. Of a GuardDuty finding the far end, else the resource. Of a Falco alert the pod, container or host: what
 * is at the far end may be a victim, too.
 */
export function actorOfEvent(event: Event): Actor | undefined {
  const { kind, body } = event
  if (kind === 'waf') {
    const ip = body.src_endpoint?.ip
    return ip === undefined ? undefined : { type: 'address', value: ip }
  }
  const remote = kind === 'guardduty' ? remoteAddresses(body)[0] : undefined
  if (remote !== undefined) return { type: 'address', value: remote }
  return ownerOf(event)
}

/** The access keys that a finding is about, whoever used them; the first is the actor of an alert about them. */
export function accessKeysOf({ body }: Event): readonly string[] {
  const names = (body.resources ?? []).map(nameOf).filter(name => name !== undefined)
  return [...new Set(names.filter(name => ACCESS_KEY.test(name)))].slice(0, ACCESS_KEYS_MAX)
}

/** Far more than AWS tells of at once. */
const ACCESS_KEYS_MAX = 20

const ACCESS_KEY = /^A[KS]IA[A-Z0-9]{12,124}$/

function ownerOf({ body, key }: Event): Actor | undefined {
  const resource = (body.resources ?? []).map(nameOf).find(name => name !== undefined)
  const value = resource ?? containerOf(body.evidences) ?? textAt(body.device, 'hostname') ?? key
  if (value === undefined) return undefined
  return { type: ACCESS_KEY.test(value) ? 'access_key' : 'resource', value }
}

function nameOf(resource: JsonObject): string | undefined {
  return textAt(resource, 'uid') ?? textAt(resource, 'name')
}

function containerOf(evidences: readonly JsonObject[] = []): string | undefined {
  return evidences.map(({ container }) => textAt(container, 'uid')).find(uid => uid !== undefined)
}

function textAt(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  const text = (value as JsonObject)[name]
  return typeof text === 'string' && text !== '' ? text : undefined
}
