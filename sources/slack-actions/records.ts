import type { Kind } from '../../engine/contract.ts'
import { auditRecord } from '../../platform/response/audit.ts'
import { stableId } from '../../platform/stable-id.ts'
import { type Interaction, sayings } from './interaction.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

const SAID = {
  acknowledge: 'incident_acknowledged',
  false_positive: 'incident_false_positive',
  snooze: 'incident_snoozed',
  helpful: 'incident_helpful',
  not_helpful: 'incident_not_helpful',
} as const

export interface ActionRecord {
  readonly kind: Extract<Kind, 'decision' | 'audit'>
  readonly key: string
  readonly json: object
}

/**
 * What an interaction asks for: decision requests for the owner of the blocks, or what a person said of an incident, as an audit
 * record. Ids come from the press itself, so that the same one twice is known as a repeat.
 */
export function recordsOf(interaction: Interaction, nowMs: number): ActionRecord[] {
  const { incident, user } = interaction
  // The name is for people and may change; the id tells who it was.
  const who = `${user.name} (${user.id})`
  if (interaction.what === 'unblock') return []
  const saying = sayings.find(each => each === interaction.what)
  if (saying) {
    const json = auditRecord([interaction.id, incident.uid], {
      time: nowMs,
      what: SAID[saying],
      incident_uid: incident.uid,
      who,
      source: 'slack',
      ...(saying === 'snooze' ? { until_ms: nowMs + HOUR_MS } : {}),
      dry_run: false,
    })
    return [{ kind: 'audit', key: incident.uid, json }]
  }
  const form = interaction.what === 'release' ? interaction : undefined
  const types = form ? ['release', ...(form.allow ? ['allow'] : [])] : ['extend']
  const reason = form ? form.reason : 'extended by a person'
  return interaction.addresses.flatMap(address =>
    types.map((type): ActionRecord => {
      const json = {
        uid: idOf(interaction, `${type} ${address}`),
        time: nowMs,
        type,
        target: { type: address.includes('/') ? 'network' : 'address', value: address },
        ...(type === 'release' ? {} : { ttlMs: DAY_MS }),
        reason,
        alertUids: [],
        incidentUid: incident.uid,
        who,
        source: 'slack',
        sample: false,
        replayed: false,
      }
      return { kind: 'decision', key: address, json }
    }),
  )
}

function idOf({ id, incident }: Interaction, what: string): string {
  return stableId(id, incident.uid, what)
}
