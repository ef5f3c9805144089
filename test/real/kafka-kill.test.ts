import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { haetae } from '../conservation/system.ts'
import { FirehoseClient } from '../support/firehose-client.ts'
import { rowsByRequestUid } from '../support/lake.ts'
import { Program, pause } from '../support/program.ts'
import { type RealKafka, startKafka } from './servers/kafka.ts'
import { openTopicsOn } from './servers/kafka-topics.ts'

const ROUNDS = Number(process.env['HAETAE_KILL_ROUNDS'] ?? 3)
const TOPIC = 'events.waf'

let kafka: RealKafka
beforeAll(async () => {
  kafka = await startKafka()
  // `up` waits for every topic of its pipelines.
  const state = mkdtempSync(join(tmpdir(), 'haetae-kafka-kill-'))
  const env = { HAETAE_KAFKA_BROKERS: kafka.brokers, HAETAE_KAFKA_REPLICATION: '1', HAETAE_STATE: state }
  await haetae(['topics', 'apply'], env)
  rmSync(state, { recursive: true, force: true })
})
afterAll(() => kafka?.stop())

let folder = ''
let running: Program | undefined
afterEach(async () => {
  await running?.kill()
  rmSync(folder, { recursive: true, force: true })
})

/** Until every group has committed all there is. */
async function caughtUp(program: Program): Promise<void> {
  const topics = openTopicsOn(kafka.brokers, 'kafkajs')
  const waiting = async (): Promise<number> =>
    (await topics.lagOf([TOPIC])).reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
  await expect.poll(waiting, { timeout: 120_000, message: program.output }).toBe(0)
  await topics.close()
}

test.each(['kafkajs', 'platformatic'])(
  `by %s, every record that got a 200 is in the lake exactly once, through ${ROUNDS} rounds of kill -9 under load`,
  async client => {
    folder = mkdtempSync(join(tmpdir(), 'haetae-kafka-kill-'))
    const env = { HAETAE_LAKE_FLUSH_MS: '500', HAETAE_KAFKA_BROKERS: kafka.brokers, HAETAE_KAFKA_CLIENT: client }
    const options = { stateFolder: join(folder, 'state'), lakeFolder: join(folder, 'lake'), env }
    const clients = [
      new FirehoseClient({ name: `${client}-a`, recordsPerRequest: 40, repeats: false }),
      new FirehoseClient({ name: `${client}-b`, recordsPerRequest: 3, repeats: false }),
    ]
    for (let round = 0; round < ROUNDS; round++) {
      running = await Program.start(options)
      const stop = new AbortController()
      const sending = Promise.all(clients.map(each => each.send(running!, stop.signal)))
      await pause(1_000 + round * 400)
      await running.kill()
      stop.abort()
      await sending
    }
    running = await Program.start(options)
    for (const each of clients) await each.finish(running)
    await caughtUp(running)
    expect(await running.stop(), running.output).toBe(0)

    const rows = await rowsByRequestUid(options.lakeFolder)
    const acknowledged = clients.flatMap(each => [...each.acknowledged])
    const wrong = acknowledged.filter(id => rows.get(id) !== 1).map(id => `${id}: ${rows.get(id) ?? 0}`)
    expect(wrong.slice(0, 20)).toEqual([])
    expect(acknowledged.length).toBeGreaterThan(ROUNDS * 50)
  },
)
