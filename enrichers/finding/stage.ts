/** What the parse stages of findings (OCSF 2004) and of Haetae's own records share. */
import type { Batch, Event, Kind, Stage } from '../../engine/contract.ts'
import { EVENT_BYTES_MAX } from '../../engine/contract.ts'
import type { Clock } from '../../platform/clock.ts'
import { eventTimeFault } from '../../platform/event-time.ts'
import { guardedJson } from '../../platform/json/guard.ts'
import { isObject } from '../../platform/json/residue.ts'
import type { JsonObject, OcsfEvent } from '../../platform/ocsf/event.ts'

const LIMITS = { bytesMax: EVENT_BYTES_MAX, depthMax: 64, keysMax: 2000 } as const

/** A finding read from a record, or why there is none: `code` or `code: detail`. */
export type Mapped = { readonly body: OcsfEvent; readonly timeMs: number } | { readonly reason: string }

/** Maps one record, which it may take apart. `dangerous`: see guardedJson; kept in `unmapped.prototype_keys`. */
export type MapFinding = (record: JsonObject, event: Event, dangerous: JsonObject | undefined) => Mapped

/**
 * Events of other kinds pass: a pipeline that reads several topics has a parse stage for each. `notIt` is the reason for records that are
 * JSON, but not what their kind says. An event time that cannot be one is refused (event-time.ts).
 */
export function findingStage(
  isOurs: (kind: Kind) => boolean,
  notIt: 'not_guardduty' | 'not_falco' | 'not_haetae',
  map: MapFinding,
  clock: Clock,
): Stage {
  const read = (event: Event, nowMs: number): Mapped => {
    const json = guardedJson(event.raw, LIMITS)
    if (!json.ok) return { reason: json.detail ? `${json.reason}: ${json.detail}` : json.reason }
    if (!isObject(json.value)) return { reason: `${notIt}: no object` }
    const mapped = map(json.value, event, json.dangerous)
    if ('reason' in mapped) return mapped
    const fault = eventTimeFault(mapped.timeMs, nowMs)
    return fault === undefined ? mapped : { reason: fault }
  }
  return {
    apply(batch, reject): Batch {
      const nowMs = clock.now()
      return batch.filter(event => {
        if (!isOurs(event.kind)) return true
        const mapped = read(event, nowMs)
        if ('reason' in mapped) {
          reject(event, mapped.reason)
          return false
        }
        event.body = mapped.body
        event.timeMs = mapped.timeMs
        return true
      })
    },
  }
}
