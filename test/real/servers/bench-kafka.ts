/** `npm run bench:kafka`: a real Kafka node and an S3 server for bench/kafka-pipeline.ts, whose arguments it takes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { startKafka } from './kafka.ts'
import { startS3 } from './s3.ts'

const [kafka, s3] = await Promise.all([startKafka(), startS3()])
try {
  const program = fileURLToPath(new URL('../../../bench/kafka-pipeline.ts', import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, program, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: {
      ...process.env,
      ...s3.env,
      HAETAE_KAFKA_BROKERS: kafka.brokers,
      HAETAE_KAFKA_REPLICATION: '1',
      HAETAE_LAKE: `s3://${s3.bucket}`,
    },
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  process.exitCode = code ?? 1
} finally {
  await Promise.all([kafka.stop(), s3.stop()])
}
