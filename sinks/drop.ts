import { z } from 'zod'
import { defineSink, type Verdict } from '../engine/contract.ts'

const config = z.strictObject({
  encode: z
    .boolean()
    .default(true)
    .describe('false: events are not even serialised, so that a bench sees the cost of that'),
})

const DONE: Verdict = { retry: [], reject: [] }

export const drop = defineSink({
  type: 'drop',
  summary: 'Accepts and forgets every event: for dry runs and benchmarks.',
  config,
  example: 'encode: true',
  open({ encode }, { metrics, pipeline }) {
    const events = metrics.counter('haetae_drop_events_total', 'Events accepted and forgotten', ['pipeline'])
    const bytes = metrics.counter('haetae_drop_bytes_total', 'Serialised bytes accepted and forgotten', ['pipeline'])
    return Promise.resolve({
      wants: encode ? 'json' : 'raw',
      write(records) {
        let total = 0
        for (const { json } of records) total += json.length
        events.add({ pipeline }, records.length)
        bytes.add({ pipeline }, total)
        return Promise.resolve(DONE)
      },
      close: () => Promise.resolve(),
    })
  },
})
