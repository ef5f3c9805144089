/**
 * A process that owns a topic log, for topics.test.ts: `node topics-child.ts <folder> <role> [first] [last]`.
 * append: appends sets of records as fast as it can, up to the last, each value `<set>.<position>`, and prints `<set>` after each answer.
 * hold: prints `open` and waits. Prints `refused <code> <message>` when it cannot open the log.
 */
import { writeSync } from 'node:fs'
import { systemClock } from '../../platform/clock.ts'
import { hasCode } from '../../platform/errors.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { TopicRecord } from '../../platform/topics/contract.ts'
import { type EmbeddedTopics, openEmbedded } from '../../platform/topics/embedded.ts'

export const TOPIC = 'faults'
export const SET_RECORDS = 7
export const CONCURRENT = 4

const [folder = '', role = '', first = '0', last = String(Number.MAX_SAFE_INTEGER)] = process.argv.slice(2)

/** Straight to the descriptor: what is said is said before the next instruction. */
function say(line: string): void {
  writeSync(1, `${line}\n`)
}

export function setOf(set: number): TopicRecord[] {
  return Array.from({ length: SET_RECORDS }, (_, position) => {
    const value = Buffer.from(`${set}.${position} `.padEnd(200 + ((set * 7919 + position) % 9000), 'x'))
    return { key: `key-${(set + position) % 13}`, value, timeMs: Date.now() }
  })
}

async function appendSets(topics: EmbeddedTopics): Promise<void> {
  const retention = { ageMsMax: 86_400_000, bytesMax: 1024 ** 3 }
  await topics.ensure({ name: TOPIC, partitions: 3, compacted: false, retention })
  say('open')
  let next = Number(first)
  const appendInRow = async (): Promise<void> => {
    while (next <= Number(last)) {
      const set = next++
      for (;;) {
        try {
          await topics.append(TOPIC, setOf(set), `set-${set}`)
          break
        } catch (error) {
          if (!hasCode(error, 'TOPIC_FULL')) throw error
          say(`full ${set}`)
          await systemClock.wait(50)
        }
      }
      say(`${set}`)
    }
  }
  await Promise.all(Array.from({ length: CONCURRENT }, appendInRow))
}

async function main(): Promise<void> {
  try {
    const topics = await openEmbedded({
      folder,
      bytesMax: 256 * 1024 ** 2,
      clock: systemClock,
      log: silentLog,
      metrics: createMetrics(),
      upkeepMs: 100,
    })
    if (role !== 'append') return say('open')
    await appendSets(topics)
    await topics.close()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    say(`refused ${code} ${String(error)}`)
    process.exitCode = 1
  }
}

if (process.argv[1] === import.meta.filename) await main()
