import { z } from 'zod'
import { defineStage, type Event } from '../engine/contract.ts'
import { isObject, left, objectAt, present, takeText, takeTexts } from '../platform/json/residue.ts'
import { tacticNamed, tacticWithId } from '../platform/ocsf/attack.ts'
import type { JsonObject, OcsfEvent } from '../platform/ocsf/event.ts'
import { classification, type SeverityId } from '../platform/ocsf/finding.ts'
import { parseTimeMs } from '../platform/time-text.ts'
import { falcoEvidence } from './finding/falco-evidence.ts'
import { observablesOf } from './finding/observables.ts'
import { findingStage, type Mapped } from './finding/stage.ts'

/**
 * Falco alerts (JSON output; by http_output or Falcosidekick) → OCSF 1.8.0 Detection Finding (2004). `metadata.uid` is the event's
 * id, as an alert has no identity of its own: Falcosidekick's uuid is new at each receipt. Falco's own notices (source `internal`:
 * metrics, dropped events) are mapped with `is_alert` false. What OCSF has no place for is in `unmapped` under Falco's names.
 *
 * Rejects `oversize`, `not_json`, `invalid_utf8`, `too_deep`, `too_many_keys`, `not_falco` and `time_out_of_range`.
 */
export const parseFalco = defineStage({
  type: 'parse-falco',
  summary: 'Maps Falco alerts to OCSF Detection Finding',
  config: z.strictObject({}),
  example: '{}',
  open: (_config, { clock }) => Promise.resolve(findingStage(kind => kind === 'falco', 'not_falco', mapAlert, clock)),
})

/** Falco's priorities. Emergency and Alert are both Fatal, Informational and Debug both Informational: the word stays in `unmapped`. */
const severityIds = new Map<string, SeverityId>([
  ['emergency', 6],
  ['alert', 6],
  ['critical', 5],
  ['error', 4],
  ['warning', 3],
  ['notice', 2],
  ['informational', 1],
  ['info', 1],
  ['debug', 1],
])

function mapAlert(alert: JsonObject, event: Event, dangerous: JsonObject | undefined): Mapped {
  const { rule, priority, time, output, output_fields } = alert
  if (typeof rule !== 'string' || rule === '') return { reason: 'not_falco: no rule' }
  if (typeof priority !== 'string') return { reason: 'not_falco: no priority' }
  if (typeof output !== 'string' && !isObject(output_fields)) return { reason: 'not_falco: no output' }
  const timeMs = typeof time === 'string' ? parseTimeMs(time) : undefined
  if (timeMs === undefined) return { reason: 'time_out_of_range: no time' }
  const severityId = severityIds.get(priority.toLowerCase()) ?? 0
  return { body: mapFinding(alert, event.id, severityId, timeMs, dangerous), timeMs }
}

function mapFinding(
  alert: JsonObject,
  id: string,
  severityId: SeverityId,
  timeMs: number,
  dangerous: JsonObject | undefined,
): OcsfEvent {
  const rule = takeText(alert, 'rule')!
  const source = takeText(alert, 'source')
  const hostname = takeText(alert, 'hostname')
  const originalTime = takeText(alert, 'time')!
  const tags = takeTexts(alert, 'tags')
  const text = takeText(alert, 'output') ?? takeText(alert, 'message')
  const fields = objectAt(alert, 'output_fields')
  const { evidences, resources } = falcoEvidence(fields, hostname ?? 'unknown')
  const observables = observablesOf(evidences, resources)
  const internal = source === 'internal' || rule.startsWith('Falco internal: ')
  const body: OcsfEvent = {
    ...classification(1, severityId, timeMs),
    ...(text === undefined ? {} : { message: text }),
    is_alert: !internal,
    status_id: 1,
    status: 'New',
    metadata: {
      version: '1.8.0',
      uid: id,
      log_name: 'falco',
      original_time: originalTime,
      ...(tags.length > 0 ? { labels: tags } : {}),
      product: { name: 'Falco', vendor_name: 'Falcosecurity', ...(source ? { feature: { name: source } } : {}) },
    },
    finding_info: present({
      uid: takeText(alert, 'uuid') ?? id,
      title: rule,
      desc: text,
      types: source === undefined ? [] : [source],
      created_time: timeMs,
      analytic: { name: rule, uid: rule, type_id: 1, type: 'Rule' },
      attacks: attacksOf(tags),
    })!,
    ...(hostname === undefined ? {} : { device: { hostname, type_id: 0, type: 'Unknown' } }),
    ...(evidences.length > 0 ? { evidences } : {}),
    ...(resources.length > 0 ? { resources } : {}),
    ...(observables.length > 0 ? { observables } : {}),
  }
  const kept = left(alert)
  const unmapped = present({ ...(isObject(kept) ? kept : {}), prototype_keys: dangerous })
  return unmapped ? { ...body, unmapped } : body
}

/**
 * MITRE ATT&CK of a rule's tags: T1059.004, TA0003, mitre_execution. The tags do not say which technique serves which tactic, so
 * they are joined only when there is one tactic.
 */
function attacksOf(tags: readonly string[]): JsonObject[] {
  const techniques = tags.filter(tag => /^T\d{4}(\.\d{3})?$/.test(tag))
  const byTag = tags.map(tag => (tag.startsWith('mitre_') ? tacticNamed(tag.slice(6)) : tacticWithId(tag)))
  const tactics = [
    ...new Map(byTag.filter(tactic => tactic !== undefined).map(tactic => [tactic.uid, tactic])).values(),
  ]
  const only = tactics.length === 1 ? tactics[0] : undefined
  const attacks = techniques.map(technique => {
    const [uid, sub] = technique.split('.')
    const subTechnique = sub === undefined ? undefined : { uid: technique }
    return present({ technique: { uid: uid! }, sub_technique: subTechnique, tactic: only })!
  })
  const unjoined = only && attacks.length > 0 ? [] : tactics.map(tactic => ({ tactic }))
  return [...attacks, ...unjoined]
}
