import { z } from 'zod'
import { kinds } from '../engine/contract.ts'

/** A test inside a pipeline file: records in, events out. Needs no TypeScript to write. */
export const pipelineTest = z.strictObject({
  name: z.string().min(1),
  kind: z.enum(kinds).optional(),
  /** Objects are serialised; strings are taken as the raw bytes of a record. */
  given: z.array(z.union([z.string(), z.record(z.string(), z.unknown())])).min(1),
  expect: z
    .strictObject({
      /** One entry for each event that comes out, in order; an object matches when all its keys do. */
      events: z.array(z.record(z.string(), z.unknown())).optional(),
      /** Reason codes of the rejected records, in order. */
      rejected: z.array(z.string()).optional(),
      /** How many were dropped on purpose. */
      dropped: z.int().min(0).optional(),
      /** One entry for each alert of the detectors, in order. */
      alerts: z.array(z.record(z.string(), z.unknown())).optional(),
    })
    .refine(
      expected => Object.values(expected).some(each => each !== undefined),
      'expects nothing: say events, rejected, dropped or alerts',
    ),
})
export type PipelineTest = z.output<typeof pipelineTest>
