/**
 * A process that runs a pipeline over a topic, for poison.test.ts: `node poison-child.ts <folder> <records> <busyUs>`. The
 * first one fills the topic: `record <n>`, and `killer <n>` for each number of the variable KILLERS. A stage that meets a
 * killer kills the process. What comes through goes to `<folder>/out`, what is rejected to the dead letter in
 * `<folder>/deadletter`. Prints `open`, and `done` when everything is committed.
 */
import { appendFileSync, mkdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Deps, Sink, Stage } from '../../engine/contract.ts'
import { DeadLetterFile } from '../../engine/dead-letter-store.ts'
import { run } from '../../engine/pipeline.ts'
import { systemClock } from '../../platform/clock.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { openEmbedded } from '../../platform/topics/embedded.ts'
import { topic } from '../../sources/topic.ts'
import { noPositions } from '../support/deps.ts'
import { recordOf } from '../topics/support.ts'

const [folder = '', count = '0', busyUs = '0'] = process.argv.slice(2)
const killers = new Set((process.env['KILLERS'] ?? '').split(',').filter(Boolean).map(Number))
const TOPIC = 'poison'
const say = (line: string): void => void writeSync(1, `${line}\n`)

const killing: Stage = {
  apply(batch) {
    for (const { raw } of batch) if (raw.includes('killer')) process.kill(process.pid, 'SIGKILL')
    const untilMs = performance.now() + (Number(busyUs) * batch.length) / 1_000
    while (performance.now() < untilMs);
    return batch
  },
}

/** Settles late, as a sink that makes large objects: what was read last is unsettled whenever the process dies. */
const late: Sink = {
  wants: 'raw',
  write(records) {
    appendFileSync(join(folder, 'out'), records.map(({ event }) => `${event.raw.toString()}\n`).join(''))
    return Promise.resolve({ retry: [], reject: [], later: systemClock.wait(200) })
  },
  close: () => Promise.resolve(),
}

const metrics = createMetrics()
const topics = await openEmbedded({
  folder: join(folder, 'topics'),
  bytesMax: 64 * 1024 ** 2,
  clock: systemClock,
  log: silentLog,
  metrics,
})
await topics.ensure({ name: TOPIC, partitions: 2, compacted: false, retention: { ageMsMax: 1e9, bytesMax: 1e9 } })
if (topics.describe().every(({ end }) => end === 0n)) {
  const records = Array.from({ length: Number(count) }, (_, n) =>
    recordOf(`key-${n % 7}`, `${killers.has(n) ? 'killer' : 'record'} ${n}`),
  )
  await topics.append(TOPIC, records)
}
const deadLetter = new DeadLetterFile({
  folder: join(folder, 'deadletter', 'poison'),
  bytesMax: 1024 ** 3,
  now: () => Date.now(),
})
const stateFolder = join(folder, 'state')
mkdirSync(stateFolder, { recursive: true, mode: 0o700 })
const deps: Deps = {
  pipeline: 'poison',
  log: silentLog,
  metrics,
  clock: systemClock,
  stateFolder,
  topics: () => Promise.resolve(topics),
  positions: noPositions,
  deadLetter: letters => deadLetter.write(letters),
}
const config = topic.config.parse({ topic: TOPIC, kind: 'waf', commitMs: 20, recordsMax: 100 })
const source = await topic.open(config, deps)
const stop = new AbortController()
say('open')
const running = run(
  {
    name: 'poison',
    source,
    stages: [{ name: 'killing', stage: killing }],
    detectors: [],
    sinks: [{ name: 'late', sink: late }],
    alertSinks: [],
    deadLetter,
    deliveriesMax: 4,
    residentBytesMax: 16 * 1024 ** 2,
    drainMs: 5_000,
  },
  deps,
  stop.signal,
)
while (!(await topics.lag()).every(({ committed, end }) => committed === end)) await systemClock.wait(20)
stop.abort()
await running
await deadLetter.close()
await topics.close()
say('done')
