import { z } from 'zod'
import { defineSink, type Verdict } from '../engine/contract.ts'
import { ndjson } from '../engine/ndjson.ts'
import { OutputFile } from './file/output.ts'

const config = z.strictObject({
  path: z.string().min(1).describe('Made with mode 0600 when it is not there'),
  bytesMax: z
    .int()
    .min(1)
    .optional()
    .describe(
      'Before a write that would make the file larger it is renamed to `<path>.<n>`, n counting up; nothing is ever deleted',
    ),
})

const DONE: Verdict = { retry: [], reject: [] }

export const file = defineSink({
  type: 'file',
  summary: 'Appends events to a file as NDJSON; an event counts as written when it is on the disk.',
  config,
  example: `path: /var/lib/haetae/events.ndjson
bytesMax: 1073741824`,
  async open({ path, bytesMax }, { log }) {
    const target = await OutputFile.open(path, bytesMax ?? Number.POSITIVE_INFINITY, log)
    return {
      async write(records) {
        await target.append(ndjson(records))
        return DONE
      },
      close: () => target.close(),
    }
  },
})
