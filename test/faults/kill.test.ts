import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { FirehoseClient } from '../support/firehose-client.ts'
import { rowsByRequestUid } from '../support/lake.ts'
import { Program, pause } from '../support/program.ts'
import { Random } from '../support/random.ts'

const ROUNDS = Number(process.env['HAETAE_KILL_ROUNDS'] ?? 20)

let folder = ''
let running: Program | undefined
afterEach(async () => {
  await running?.kill()
  rmSync(folder, { recursive: true, force: true })
})

test(`every record that got a 200 is in the lake exactly once, through ${ROUNDS} rounds of kill -9 under load`, async () => {
  folder = mkdtempSync(join(tmpdir(), 'haetae-kill-'))
  const env = { HAETAE_LAKE_FLUSH_MS: '300' }
  const options = { stateFolder: join(folder, 'state'), lakeFolder: join(folder, 'lake'), env }
  const seed = Number(process.env['HAETAE_SEED'] ?? 20261124)
  const random = new Random(seed)
  const clients = [
    new FirehoseClient({ name: 'once-a', recordsPerRequest: 40, repeats: false }),
    new FirehoseClient({ name: 'once-b', recordsPerRequest: 3, repeats: false }),
    new FirehoseClient({ name: 'again-a', recordsPerRequest: 40, repeats: true }),
    new FirehoseClient({ name: 'again-b', recordsPerRequest: 700, repeats: true }),
  ]
  for (let round = 0; round < ROUNDS; round++) {
    running = await Program.start(options)
    const stop = new AbortController()
    const sending = Promise.all(clients.map(client => client.send(running!, stop.signal)))
    await pause(random.int(200, 1_700))
    await running.kill()
    stop.abort()
    await sending
  }
  running = await Program.start(options)
  for (const client of clients) await client.finish(running)
  await running.caughtUp()
  expect(await running.stop(), running.output).toBe(0)

  const rows = await rowsByRequestUid(options.lakeFolder)
  const acknowledged = clients.flatMap(client => [...client.acknowledged])
  const sent = new Set(clients.flatMap(client => [...client.sent]))
  const wrong = acknowledged.filter(id => rows.get(id) !== 1).map(id => `${id}: ${rows.get(id) ?? 0}`)
  expect(wrong.slice(0, 20), `seed ${seed}`).toEqual([])
  expect([...rows].filter(([id, count]) => count !== 1 || !sent.has(id)).slice(0, 20), `seed ${seed}`).toEqual([])
  // The test did something: many were acknowledged, and requests really were repeated.
  expect(acknowledged.length).toBeGreaterThan(ROUNDS * 100)
  expect(clients.reduce((sum, client) => sum + client.repeated, 0)).toBeGreaterThan(ROUNDS / 4)
})
