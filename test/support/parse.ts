/** Runs a parse stage on one record at a time. */
import { expect } from 'vitest'
import type { Kind, Stage } from '../../engine/contract.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'
import { eventOf } from './deps.ts'
import { ocsfErrors } from './ocsf-validator.ts'

export interface Parser {
  /** The mapped body, or the reason of the refusal. */
  readonly outcome: (record: unknown) => OcsfEvent | string
  /** The mapped body, which must be valid OCSF. */
  readonly mapped: (record: unknown) => OcsfEvent
}

export function parser(stage: Stage, kind: Kind): Parser {
  const outcome = (record: unknown): OcsfEvent | string => {
    const event = eventOf(record, kind)
    const reasons: string[] = []
    const kept = stage.apply([event], (_event, reason) => void reasons.push(reason))
    if (reasons[0] !== undefined) return reasons[0]
    expect(kept).toEqual([event])
    expect(event.timeMs).toBe(event.body.time)
    return event.body
  }
  const mapped = (record: unknown): OcsfEvent => {
    const result = outcome(record)
    if (typeof result === 'string') throw new Error(result)
    expect(ocsfErrors(JSON.parse(JSON.stringify(result)))).toEqual([])
    return result
  }
  return { outcome, mapped }
}
