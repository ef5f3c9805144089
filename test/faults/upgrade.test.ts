import { rmSync } from 'node:fs'
import { afterEach, expect, test } from 'vitest'
import { rowsOf } from '../support/lake.ts'
import { Program } from '../support/program.ts'
import { copyOf, type Earlier, earlierVersions } from '../support/upgrade.ts'

let earlier: Earlier | undefined
let running: Program | undefined
afterEach(async () => {
  await running?.kill()
  if (earlier) rmSync(earlier.folder, { recursive: true, force: true })
})

test.each(earlierVersions)(
  'this version started on the state that %s left when it was killed stores what it had taken, each record once',
  async name => {
    earlier = copyOf(name)
    const { stateFolder, lakeFolder } = earlier
    running = await Program.start({ stateFolder, lakeFolder, env: { HAETAE_LAKE_FLUSH_MS: '300' } })
    await running.caughtUp()
    expect(await running.stop(), running.output).toBe(0)
    const rows = await rowsOf(lakeFolder, 'SELECT metadata.uid FROM http_activity')
    expect(rows.map(([uid]) => uid).sort()).toEqual([...earlier.ids].sort())
    // Without any help of the ids: nothing was written again.
    const [[raw]] = (await rowsOf(lakeFolder, 'SELECT count(*) FROM http_activity_raw')) as [[unknown]]
    expect(Number(raw)).toBe(earlier.records.length)
  },
)
