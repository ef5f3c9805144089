/**
 * The embedded log by itself: `node bench/topics.ts [records]`. Appends sets of 500 records of 2.1 KB over 4 partitions, eight
 * at a time, until durable; then reads and commits them. Prints records/s and CPU seconds per million records.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../platform/clock.ts'
import { silentLog } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import type { TopicRecord } from '../platform/topics/contract.ts'
import { openEmbedded } from '../platform/topics/embedded.ts'

const SET_RECORDS = 500
const RECORD_BYTES = 2_100
const AT_ONCE = 8
const TOPIC = 'bench'

const total = Number(process.argv[2] ?? 200_000)
const sets = Math.ceil(total / SET_RECORDS)
const folder = mkdtempSync(join(tmpdir(), 'haetae-bench-'))

/** Bytes as a body would hold them: every value a view of one buffer. */
function recordsOfSet(set: number): TopicRecord[] {
  const body = Buffer.alloc(SET_RECORDS * RECORD_BYTES, 'x')
  return Array.from({ length: SET_RECORDS }, (_, index) => ({
    key: `203.0.${(set * 31 + index) % 113}.${index % 251}`,
    value: body.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES),
    timeMs: Date.now(),
  }))
}

async function measured(name: string, work: () => Promise<void>): Promise<void> {
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  await work()
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - startedMs) / 1000
  const records = sets * SET_RECORDS
  const perMillion = (micros: number): string => (micros / records).toFixed(1)
  console.log(
    `${name.padEnd(44)} ${Math.round(records / seconds)
      .toLocaleString('en')
      .padStart(9)} records/s  ` +
      `${perMillion(user + system)} CPU s per million (user ${perMillion(user)}, system ${perMillion(system)})`,
  )
}

/** The floor: the same bytes to a file in writes of the same size, synced as often. */
async function plainFile(): Promise<void> {
  const file = openSync(join(folder, 'plain'), 'w')
  const bytes = Buffer.alloc(SET_RECORDS * RECORD_BYTES, 'x')
  for (let set = 0; set < sets; set++) {
    writeSync(file, bytes)
    if (set % AT_ONCE === AT_ONCE - 1) fdatasyncSync(file)
  }
  closeSync(file)
}

async function main(): Promise<void> {
  await measured('plain file, write and fdatasync', plainFile)
  const topics = await openEmbedded({
    folder: join(folder, 'topics'),
    clock: systemClock,
    log: silentLog,
    metrics: createMetrics(),
  })
  const retention = { ageMsMax: 86_400_000, bytesMax: 1024 ** 4 }
  await topics.ensure({ name: TOPIC, partitions: 4, compacted: false, retention })
  let next = 0
  const ready = Array.from({ length: AT_ONCE }, (_, set) => recordsOfSet(set))
  const appendInRow = async (records: readonly TopicRecord[]): Promise<void> => {
    for (let set = next++; set < sets; set = next++) await topics.append(TOPIC, records, `set-${set}`)
  }
  await measured('append 500 records over 4 partitions, durable', async () => {
    await Promise.all(ready.map(appendInRow))
  })
  const listener = { assigned: () => undefined, revoked: () => undefined }
  const bounds = { recordsMax: 500, bytesMax: 1024 ** 2 }
  const subscription = await topics.subscribe({
    group: 'bench',
    topics: [TOPIC],
    from: 'earliest',
    ...bounds,
    listener,
  })
  await measured('poll 500 records, commit every 16 polls', async () => {
    const signal = new AbortController().signal
    for (let read = 0, polls = 0; read < sets * SET_RECORDS; polls++) {
      const { topic, partition, records } = (await subscription.poll(signal))!
      read += records.length
      const offset = records.at(-1)!.offset + 1n
      if (polls % 16 === 0) await subscription.commit([{ topic, partition, offset, note: undefined }])
    }
  })
  await topics.close()
}

try {
  await main()
} finally {
  rmSync(folder, { recursive: true })
}
