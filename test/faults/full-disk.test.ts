import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { FirehoseClient, post } from '../support/firehose-client.ts'
import { rowsByRequestUid } from '../support/lake.ts'
import { Program, pause } from '../support/program.ts'
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts'

const MIB = 1024 * 1024

let disk: SmallDisk | undefined
let running: Program | undefined
afterEach(async () => {
  await running?.kill()
  disk?.unmount()
})

test('a full disk: 503, nothing lost, and work goes on when space returns, without a restart', async () => {
  disk = mountSmallDisk(64 * MIB)
  const { folder } = disk
  // Removed later: this is how space returns.
  writeFileSync(join(folder, 'ballast'), Buffer.alloc(32 * MIB))
  const options = { stateFolder: join(folder, 'state'), lakeFolder: join(folder, 'lake') }
  const client = new FirehoseClient({ name: 'full', recordsPerRequest: 200, repeats: true, paddingBytes: 6_000 })
  running = await Program.start(options)

  const stop = new AbortController()
  const sending = client.send(running, stop.signal)
  for (let waited = 0; client.refused < 3 && running.running && waited < 120_000; waited += 100) await pause(100)
  expect(client.refused, running.output).toBeGreaterThanOrEqual(3)
  const whileFull = client.acknowledged.size
  expect(whileFull).toBeGreaterThan(0)
  expect(await statusOfOne(running)).toBe(503)

  rmSync(join(folder, 'ballast'))
  for (let waited = 0; client.acknowledged.size === whileFull && running.running && waited < 60_000; waited += 100)
    await pause(100)
  stop.abort()
  await sending
  await client.finish(running)
  expect(client.acknowledged.size, running.output).toBeGreaterThan(whileFull)
  await running.caughtUp()
  expect(await running.stop(), running.output).toBe(0)

  const rows = await rowsByRequestUid(options.lakeFolder)
  const wrong = [...client.acknowledged].filter(id => rows.get(id) !== 1).map(id => `${id}: ${rows.get(id) ?? 0}`)
  expect(wrong.slice(0, 20)).toEqual([])
})

function statusOfOne(program: Program): Promise<number | undefined> {
  return post(
    program,
    new FirehoseClient({ name: 'one', recordsPerRequest: 100, repeats: false, paddingBytes: 6_000 }).next(),
  )
}
