import type { LogKind } from '../../../engine/contract.ts'
import { clientPrefix, formatAddress, networkOf, parseAddress } from '../../../platform/address.ts'
import type { JsonObject, OcsfEvent } from '../../../platform/ocsf/event.ts'
import { stableId } from '../../../platform/stable-id.ts'
import { readFieldOf, resolveField } from '../fields.ts'
import { Refused } from '../refusal.ts'
import { nodesOf, podsOfFalco, podsOfGuardDuty } from './machine.ts'
import { type Sender, senderOf } from './program.ts'

export type ActorType = 'address' | 'network' | 'asn' | 'ja3' | 'ja4' | 'resource' | 'access_key' | 'user'

/** Something of an event by which correlations group, or whose values they count. */
export interface GroupField {
  /** What an alert about such a group is about. */
  readonly actor: ActorType
  /** Events of one value share a partition of the topic: all of them meet in one consumer. */
  readonly withKey: boolean
  /** None when the event has it not: then it belongs to no group. */
  read(body: OcsfEvent): readonly string[]
}

/** Of one event and field. */
const VALUES_MAX = 8
/** Of one event: all combinations of its values. */
const GROUPS_MAX = 16
const VALUE_CHARS_MAX = 256
/** That are kept. */
const FIELDS_MAX = 20_000

/** Fields of our own: derived from the client's address, or shorter names. */
const own: Readonly<Record<string, string>> = {
  'haetae.remote': 'src_endpoint.ip',
  'haetae.client': 'src_endpoint.ip',
  'haetae.network24': 'src_endpoint.ip',
  'haetae.asn': 'src_endpoint.autonomous_system.number',
  'haetae.ja3': 'tls.ja3_hash.value',
  'haetae.ja4': 'ja4_fingerprint_list.value',
}

/** The client's address, of some requests alone: by what is proven of their sender (program.ts). */
const senders: Readonly<Record<string, readonly Sender[]>> = {
  'haetae.program': ['tool', 'pretender'],
  'haetae.pretender': ['pretender'],
  'haetae.visitor': ['browser', undefined],
  'haetae.browser': ['browser'],
}
/** Their names, for the documentation. */
export const groupFieldNames: readonly string[] = [
  ...Object.keys(own),
  ...Object.keys(senders),
  'haetae.would_block',
  'haetae.pod',
  'haetae.node',
]

/** By log and name. The fields that a log has bound it. */
const made = new Map<string, GroupField>()

/** One object for one name, so that correlations can read it once an event. Throws Refused for a name that no event of this log has. */
export function groupField(name: string, log: LogKind): GroupField {
  const key = `${log} ${name}`
  const known = made.get(key) ?? newGroupField(name, log)
  if (made.size < FIELDS_MAX) made.set(key, known)
  return known
}

function newGroupField(name: string, log: LogKind): GroupField {
  if (log !== 'waf' && name === 'haetae.remote') return remoteOfFinding
  if (log === 'waf' && name === 'haetae.would_block') return wouldBlock
  if (log === 'waf' && Object.hasOwn(senders, name)) return clientOf(senders[name]!)
  if (log !== 'waf' && name === 'haetae.pod') return log === 'falco' ? podOfFalco : podOfGuardDuty
  if (log !== 'waf' && name === 'haetae.node') return nodeOfFinding
  const source = Object.hasOwn(own, name) ? own[name]! : name
  const field = resolveField(source, log)
  if ('unknown' in field) throw new Refused('field', field.unknown)
  if ('absent' in field) throw new Refused('absent', `WAF never logs ${field.absent}`)
  const normal = normaliserOf(name, source)
  const isClient = log === 'waf' && field.name === clientField && name !== 'haetae.network24'
  return {
    actor: actorOf(name, source),
    withKey: isClient,
    read(body) {
      const texts = readFieldOf(field, body)
      // The first of a request's texts is as it stands there; the others are the same, decoded.
      if (field.inRequest || texts.length <= 1) {
        const value = texts.length === 0 ? undefined : normal(texts[0]!)
        return value === undefined || value === '' ? NONE : [value]
      }
      const values = new Set<string>()
      for (const text of texts) {
        const value = normal(text)
        if (value !== undefined && value !== '') values.add(value)
        if (values.size >= VALUES_MAX) break
      }
      return [...values]
    },
  }
}
const clientField = 'c-ip'
const NONE: readonly never[] = []

const WOULD_BLOCK = 'haetae:would-block:'

/** The web ACL's rules that only counted the request and would have blocked it. */
const wouldBlock: GroupField = {
  actor: 'resource',
  withKey: false,
  read: ({ metadata }) =>
    (metadata?.labels ?? [])
      .filter(label => label.startsWith(WOULD_BLOCK))
      .slice(0, VALUES_MAX)
      .map(label => bounded(label.slice(WOULD_BLOCK.length))),
}

function clientOf(senders: readonly Sender[]): GroupField {
  const client = groupField('src_endpoint.ip', 'waf')
  return { ...client, read: body => (senders.includes(senderOf(body)) ? client.read(body) : NONE) }
}

/** The far end of what a finding saw: where a connection went to, else where it came from. */
const remoteOfFinding: GroupField = { actor: 'address', withKey: false, read: remoteAddresses }

const podOfFalco = resources(podsOfFalco)
const podOfGuardDuty = resources(podsOfGuardDuty)
const nodeOfFinding = resources(nodesOf)

function resources(read: GroupField['read']): GroupField {
  return { actor: 'resource', withKey: false, read: body => read(body).map(bounded) }
}

export function remoteAddresses({ evidences = [] }: OcsfEvent): readonly string[] {
  const found = new Set<string>()
  for (const { src_endpoint, dst_endpoint, connection_info } of evidences) {
    const far = at(connection_info, 'direction_id') === 2 ? dst_endpoint : src_endpoint
    const ip = at(far, 'ip')
    const address = typeof ip === 'string' ? withAddress(ip, formatAddress) : undefined
    if (address !== undefined) found.add(address)
    if (found.size >= VALUES_MAX) break
  }
  return [...found]
}

function at(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value ? (value as JsonObject)[name] : undefined
}

function normaliserOf(name: string, source: string): (text: string) => string | undefined {
  if (name === 'haetae.network24') return text => withAddress(text, networkOf)
  if (name === 'haetae.client') return text => withAddress(text, clientPrefix)
  if (source.endsWith('.ip') || source === 'c-ip') return text => withAddress(text, formatAddress)
  return bounded
}

function withAddress(text: string, form: (address: NonNullable<ReturnType<typeof parseAddress>>) => string) {
  const address = parseAddress(text)
  return address && form(address)
}

/** Different long texts stay different. */
function bounded(text: string): string {
  if (text.length <= VALUE_CHARS_MAX) return text.toWellFormed()
  return `${text.slice(0, VALUE_CHARS_MAX - 33).toWellFormed()}…${stableId(text)}`
}

function actorOf(name: string, source: string): ActorType {
  if (name === 'haetae.network24') return 'network'
  if (source.endsWith('.ip') || source === 'c-ip') return 'address'
  if (source.endsWith('autonomous_system.number')) return 'asn'
  if (source.includes('ja3_hash')) return 'ja3'
  if (source.startsWith('ja4_fingerprint_list')) return 'ja4'
  if (source.includes('access_key') || source.endsWith('credential_uid')) return 'access_key'
  return source.includes('user.') && !source.includes('user_agent') ? 'user' : 'resource'
}

/**
 * The groups of an event, each as one value a field: one, unless a field has several values; none when one has no value. `read` gives
 * the values of a field.
 */
export function groupsOf(
  fields: readonly GroupField[],
  read: (field: GroupField) => readonly string[],
): readonly (readonly string[])[] {
  let groups: string[][] = [[]]
  for (const field of fields) {
    const values = read(field)
    if (values.length === 0) return NONE
    if (values.length === 1) for (const group of groups) group.push(values[0]!)
    else groups = combined(groups, values)
  }
  return groups
}

function combined(groups: readonly string[][], values: readonly string[]): string[][] {
  return groups.flatMap(group => values.map(value => [...group, value])).slice(0, GROUPS_MAX)
}
