import { z } from 'zod'
import { defineSink, type Verdict } from '../engine/contract.ts'
import { ndjson } from '../engine/ndjson.ts'
import { AppendFile } from './file/append.ts'

const config = z.strictObject({
  path: z.string().min(1),
  /** Before a write that would make the file larger it is renamed to `<path>.<n>`, n counting up. Nothing is ever deleted. */
  bytesMax: z.int().min(1).optional(),
})

const DONE: Verdict = { retry: [], reject: [] }

export const file = defineSink({
  type: 'file',
  summary: 'Appends events to a file as NDJSON; an event counts as written when it is on the disk.',
  config,
  example: `type: file
path: /var/lib/haetae/events.ndjson
bytesMax: 1073741824`,
  async open({ path, bytesMax }, { log }) {
    const target = await AppendFile.open(path, bytesMax ?? Number.POSITIVE_INFINITY, log)
    return {
      async write(records) {
        await target.append(ndjson(records))
        return DONE
      },
      close: () => target.close(),
    }
  },
})
