/**
 * Makes the fixtures of the upgrade test anew, by the program of any checkout that has `haetae up`:
 *
 *     git worktree add /tmp/earlier <commit> && (cd /tmp/earlier && npm ci)
 *     node test/upgrade/make.ts /tmp/earlier test/fixtures/upgrade/<version>-<commit>
 *
 * To be done with the commit of a release, before the next changes what is stored; earlier fixtures stay.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { generateWaf } from '../../bench/generate/waf.ts'
import { makeResponse } from './make-response.ts'
import { EarlierProgram, end, until } from './program.ts'

const [program = '', out = ''] = process.argv.slice(2).map(each => resolve(each))
const earlier = await EarlierProgram.of(program, join(out, 'state'), join(out, 'state', 'lake'))

interface Upkeep {
  compactOnce(settings: unknown, limits: object, nowMs: number, signal: AbortSignal): Promise<{ merged?: number }>
}

/** As a run two hours from now does, when the hour in which all was written is closed; what is replaced stays for an hour more. */
async function compactLater(): Promise<void> {
  const load = (path: string): Promise<unknown> => import(pathToFileURL(join(program, path)).href)
  const { compactOnce } = (await load('pipelines/lake-upkeep.ts')) as Upkeep
  const { readSettings } = (await load('pipelines/settings.ts')) as { readSettings(env: NodeJS.ProcessEnv): unknown }
  const { compactionDefaults } = (await load('platform/lake/compact.ts')) as { compactionDefaults: object }
  const limits = { ...compactionDefaults, latenessMs: 0 }
  const report = await compactOnce(
    readSettings(earlier.env),
    limits,
    Date.now() + 2 * 3_600_000,
    new AbortController().signal,
  )
  console.error('compacted', report)
}

const DAY_MS = 86_400_000
const startMs = Date.UTC(2026, 10, 20)
const records = [...generateWaf({ seed: 4, count: 60, startMs, durationMs: DAY_MS })]
const bad = ['{"timestamp":', '{"hello":"world"}', 'not JSON at all']

rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
// In the lake, part of it merged, and some in the dead letter.
const first = await earlier.up(200)
for (const from of [0, 20]) await earlier.send(records.slice(from, from + 20))
await earlier.send(bad)
await until(async () => (await earlier.metric('haetae_events_acked_total{pipeline="waf-lake"}')) >= 40 + bad.length)
await until(async () => (await earlier.metric('haetae_topic_lag_records{group="waf-lake"')) === 0)
await end(first, 'SIGTERM')
await compactLater()
// Taken, spooled, and not in the lake when the process dies.
const second = await earlier.up(600_000)
await earlier.send(records.slice(40))
await until(async () => (await earlier.metric('haetae_lake_spool_bytes')) > 0)
await until(async () => (await earlier.metric('haetae_events_read_total{pipeline="waf-lake"}')) >= 20)
await end(second, 'SIGKILL')
// Nobody has read it yet.
const letters = JSON.parse(earlier.haetae('deadletter', 'list', '-o', 'json')) as readonly { readonly id: string }[]
earlier.haetae('deadletter', 'replay', letters[0]!.id)

/** The record batch in which Kafka holds records of every sort. */
const { encodeBatch } = (await import(pathToFileURL(join(program, 'platform/topics/kafka/batch.ts')).href)) as {
  encodeBatch(records: readonly object[]): Buffer
}
const kafka = [
  { key: '192.0.2.7', value: Buffer.from(records[0]!), timeMs: startMs },
  { key: undefined, value: Buffer.from(records[1]!), timeMs: startMs + 1, replayed: true },
  { key: 'gone', value: null, timeMs: startMs + 2 },
]
writeFileSync(join(out, 'kafka-batch.bin'), encodeBatch(kafka))
writeFileSync(join(out, 'records.ndjson'), [...records, ...bad].map(line => `${line}\n`).join(''))
await makeResponse(program, out)
// What belongs to the process, not to the state.
for (const state of ['state', 'response']) {
  for (const name of ['log.mdb-lock', 'owner.lock', 'owner.pid', 'reserve', 'topics.sock']) {
    rmSync(join(out, state, 'topics', name), { force: true })
  }
}
const { version } = JSON.parse(readFileSync(join(program, 'package.json'), 'utf8')) as { version: string }
console.error(`made ${out} by version ${version}`)
