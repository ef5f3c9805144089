/** `npm run bench:kafka`, `npm run bench:recovery`: a real Kafka node and an S3 server for the program of bench/ named first, and its arguments. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { startKafka } from './kafka.ts'
import { startS3 } from './s3.ts'

const [kafka, s3] = await Promise.all([startKafka(), startS3()])
try {
  const [name = 'kafka-pipeline', ...rest] = process.argv.slice(2)
  const program = fileURLToPath(new URL(`../../../bench/${name}.ts`, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, program, ...rest], {
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
