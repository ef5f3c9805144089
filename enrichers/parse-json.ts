import { z } from 'zod'
import { defineStage, isLogKind } from '../engine/contract.ts'
import type { OcsfEvent } from '../platform/ocsf/event.ts'
import { findingStage } from './finding/stage.ts'

/**
 * Records that Haetae itself wrote to a topic (alerts, matches, decisions, incidents, audit): the body is the record as it is, its
 * `time` that of the event. Others may be able to write to the topic, so it is read with the same care as a log.
 *
 * Rejects `oversize`, `not_json`, `invalid_utf8`, `too_deep`, `too_many_keys`, `not_haetae` and `time_out_of_range`.
 */
export const parseJson = defineStage({
  type: 'parse-json',
  summary: 'Reads records that Haetae itself wrote: alerts, decisions, incidents, audit',
  config: z.strictObject({}),
  example: '{}',
  open: (_config, { clock }) =>
    Promise.resolve(
      findingStage(
        kind => !isLogKind(kind),
        'not_haetae',
        record => {
          const { time } = record
          return typeof time === 'number'
            ? { body: record as OcsfEvent, timeMs: time }
            : { reason: 'not_haetae: no time' }
        },
        clock,
      ),
    ),
})
