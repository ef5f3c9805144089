import { z } from 'zod'
import { type Batch, defineStage, type Event, type Stage } from '../engine/contract.ts'
import type { OcsfEvent } from '../platform/ocsf/event.ts'
import { LazyBody } from '../platform/ocsf/lazy-body.ts'
import { redactDocument } from '../platform/redaction/document.ts'
import { NAME_CHARS_MAX } from '../platform/redaction/name-table.ts'
import { SecretNames } from '../platform/redaction/names.ts'
import { redactValue } from '../platform/redaction/plain.ts'

/**
 * Replaces secrets by `[redacted]` wherever they stand in an event: values of headers, cookies, parameters and members with a
 * secret's name, what AWS WAF matched in a cookie, JSON Web Tokens, bearer and Basic credentials, AWS access key ids. The bytes as received (`event.raw`) keep them: only
 * topics and the dead letter store those.
 */
export const redact = defineStage({
  type: 'redact',
  summary: 'Replaces credentials, cookies and tokens by [redacted]; the last stage before any sink',
  config: z.strictObject({
    names: z
      .array(z.string().min(2).max(NAME_CHARS_MAX))
      .max(200)
      .default([])
      .describe('Further headers, parameters or members whose values are secrets; case, `-` and `_` do not matter'),
  }),
  example: `
names: [x-shop-session, voucher_code]
`,
  async open(config, { metrics, pipeline }): Promise<Stage> {
    const names = new SecretNames(config.names)
    const redacted = metrics.counter('haetae_redact_events_total', 'Events in which a secret was replaced', [
      'pipeline',
    ])
    return {
      apply(batch) {
        const count = redactBatch(batch, names)
        if (count > 0) redacted.add({ pipeline }, count)
        return batch
      },
    }
  },
})

function redactBatch(batch: Batch, names: SecretNames): number {
  let count = 0
  for (const event of batch) if (redactEvent(event, names)) count++
  return count
}

/** Whether there was anything to replace. */
function redactEvent({ body }: Event, names: SecretNames): boolean {
  const lazy = LazyBody.behind(body)
  if (!lazy) return redactFields(body, body, names)
  // First the record: from then on what was only read reads without its secrets. What is left came from elsewhere.
  const inDocument = redactDocument(lazy.source.document, names)
  const fields = lazy.forget()
  return (fields !== undefined && redactFields(fields, body, names)) || inDocument
}

function redactFields(fields: OcsfEvent, body: OcsfEvent, names: SecretNames): boolean {
  const redacted = redactValue(fields, names)
  if (redacted === fields) return false
  Object.assign(body, redacted)
  return true
}
