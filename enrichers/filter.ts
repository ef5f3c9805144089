import { z } from 'zod'
import { defineStage, type Stage } from '../engine/contract.ts'
import { compileCondition, conditionSchema } from '../platform/condition.ts'

const config = z
  .strictObject({
    drop: conditionSchema.optional().describe('Events that answer yes go no further'),
    keep: conditionSchema.optional().describe('Events that answer no go no further'),
  })
  .refine(({ drop, keep }) => (drop === undefined) !== (keep === undefined), {
    message: 'a filter has either drop or keep',
  })

/**
 * Drops events on purpose, by conditions over the OCSF event (platform/condition.ts). After a parse stage: before it no field has a
 * value. The engine counts what it drops as intentional.
 */
export const filter = defineStage({
  type: 'filter',
  summary: 'Keeps or drops events by conditions over their fields',
  config,
  example: `
drop:
  all:
    - { field: action, equals: Allowed }
    - any:
        - { field: http_request.url.path, in: [/healthz, /readyz] }
        - { field: http_request.url.path, prefix: /static/, suffix: [.css, .js] }
        - { field: http_request.user_agent, contains: elb-healthchecker, ignoreCase: true }
        - { field: src_endpoint.ip, cidr: [10.0.0.0/8, 'fd00::/8'] }
    - not: { field: http_response.code, gte: 400, lte: 599 }
    - { field: unmapped.oversizeFields, exists: false }
`,
  open(settings): Promise<Stage> {
    const { drop, keep } = settings
    const test = compileCondition(drop ?? keep ?? {})
    const wanted = keep !== undefined
    return Promise.resolve({ apply: batch => batch.filter(event => test(event.body) === wanted) })
  },
})
