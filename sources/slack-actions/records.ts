import type { Kind } from '../../engine/contract.ts'
import { auditRecord } from '../../platform/response/audit.ts'
import { stableId } from '../../platform/stable-id.ts'
import type { Interaction } from './interaction.ts'

const DAY_MS = 24 * 3_600_000

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
  if (interaction.what === 'unblock') return []
  if (interaction.what === 'acknowledge' || interaction.what === 'false_positive') {
    const said = interaction.what === 'acknowledge' ? 'incident_acknowledged' : 'incident_false_positive'
    const json = auditRecord([interaction.id, incident.uid], {
      time: nowMs,
      what: said,
      incident_uid: incident.uid,
      who: user.name,
      source: 'slack',
      reason: `slack user ${user.id}`,
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
        who: user.name,
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
