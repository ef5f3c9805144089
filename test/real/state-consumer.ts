/** One process of detector-state.test.ts: `node state-consumer.ts EVENTS STATE ALERTS GROUP`, Kafka by its variables. Stops in order on SIGTERM. */

import { run } from '../../engine/pipeline.ts'
import { readSettings } from '../../pipelines/settings.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import { systemClock } from '../../platform/clock.ts'
import { createLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { topic as topicSink } from '../../sinks/topic.ts'
import { topic as topicSource } from '../../sources/topic.ts'
import { countingDetector } from '../support/counting-detector.ts'
import { testDeps } from '../support/deps.ts'

const [events, state, alerts, group] = process.argv.slice(2)
const log = createLog('warn')
const topics = await openTopics(readSettings(), log, createMetrics())
const deps = testDeps({ pipeline: 'count', topics: () => Promise.resolve(topics), log })
const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())

const source = await topicSource.open(
  topicSource.config.parse({
    topic: events,
    kind: 'waf',
    group,
    state,
    snapshotMs: 500,
    commitMs: 200,
    recordsMax: 50,
  }),
  deps,
)
const detector = countingDetector()
source.keepState!([{ name: 'counting', state: detector.state! }])
const sink = await topicSink.open(topicSink.config.parse({ topic: alerts, only: ['alert'], partitions: 1 }), deps)
process.stdout.write('ready\n')
const plan = {
  name: 'count',
  source,
  stages: [],
  detectors: [{ name: 'counting', detector }],
  sinks: [],
  alertSinks: [{ name: 'alerts', sink }],
  deadLetter: { write: () => Promise.reject(new Error('nothing is rejected here')) },
  deliveriesMax: 4,
  residentBytesMax: 64 * 1024 * 1024,
  drainMs: 5_000,
}
await run(plan, { log, metrics: createMetrics(), clock: systemClock }, stop.signal)
await topics.close()
