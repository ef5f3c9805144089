import { appendFileSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import type { DeadLetter } from '../../engine/contract.ts'
import { deadLetterOf } from '../../engine/dead-letter.ts'
import { keepRetention } from '../../engine/dead-letter-files.ts'
import { DeadLetterFile } from '../../engine/dead-letter-store.ts'
import { findDeadLetters, replayDeadLetters, type Selection } from '../../pipelines/dead-letters.ts'
import { silentLog } from '../../platform/log.ts'
import type { TopicRecord } from '../../platform/topics/contract.ts'
import { FakeClock } from '../support/clock.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { temporary } from '../support/pipelines.ts'

const DAY_MS = 86_400_000
const all: Selection = { replayed: false }
let folder: string
let clock: FakeClock

beforeEach(() => {
  folder = temporary()
  clock = new FakeClock()
})

function storeOf(pipeline: string): DeadLetterFile {
  return new DeadLetterFile({ folder: join(folder, pipeline), bytesMax: 1024 ** 3, now: () => clock.now() })
}

async function reject(
  record: unknown,
  reason: string,
  pipeline = 'waf',
  kind: DeadLetter['kind'] = 'waf',
): Promise<string> {
  const file = storeOf(pipeline)
  const letter = deadLetterOf(eventOf(record, kind), pipeline, 'parse-waf', reason, clock.now())
  await file.write([letter])
  await file.close()
  return letter.id
}

/** Of the day on which every test begins. */
function marksOf(pipeline: string): string {
  return join(folder, pipeline, '2026-11-24.replayed')
}

async function found(selection: Selection = all): Promise<string[]> {
  const texts: string[] = []
  for await (const { letter, replayed } of findDeadLetters(folder, selection)) {
    texts.push(`${letter.raw.toString()}${replayed ? ' (replayed)' : ''}`)
  }
  return texts
}

/** A topic log in memory; `failAt` is the append, counted from 1, that fails. */
class Log {
  readonly appends: [topic: string, records: readonly TopicRecord[]][] = []
  failAt = Number.POSITIVE_INFINITY

  readonly append = (topic: string, records: readonly TopicRecord[]): Promise<void> => {
    if (this.appends.length + 1 === this.failAt) return Promise.reject(new Error('the log is full'))
    this.appends.push([topic, records])
    return Promise.resolve()
  }

  get texts(): string[] {
    return this.appends.flatMap(([topic, records]) => records.map(({ value }) => `${topic} ${value?.toString()}`))
  }
}

const replay = (selection: Selection, log: Log) => replayDeadLetters(folder, selection, log.append, testDeps({ clock }))

describe('finding', () => {
  test('a folder that was never made is an empty dead letter', async () => {
    folder = join(folder, 'none')
    expect(await found()).toEqual([])
    expect(await replay(all, new Log())).toEqual({ sent: 0, skipped: 0, left: 0 })
  })

  test('gives every letter, day by day in the order in which they were written', async () => {
    await reject('first', 'not_json')
    await reject('second', 'not_waf')
    await clock.advance(DAY_MS)
    await reject('third', 'not_json')
    expect(await found()).toEqual(['first', 'second', 'third'])
  })

  test('selects by pipeline, by the code of the reason, and by the beginning of an id', async () => {
    const id = await reject('a', 'not_json: at byte 3')
    await reject('b', 'not_waf')
    await reject('c', 'not_json', 'waf-lake')
    expect(await found({ ...all, reason: 'not_json' })).toEqual(['a', 'c'])
    expect(await found({ ...all, pipeline: 'waf-lake' })).toEqual(['c'])
    expect(await found({ ...all, reason: 'not_json', pipeline: 'waf' })).toEqual(['a'])
    expect(await found({ ...all, ids: [id.slice(0, 8)] })).toEqual(['a'])
    expect(await found({ ...all, ids: ['ffffffffffff'] })).toEqual([])
  })

  test('passes over a torn line', async () => {
    await reject('a', 'not_json')
    appendFileSync(join(folder, 'waf', '2026-11-24.ndjson'), '{"id":"torn')
    expect(await found()).toEqual(['a'])
  })
})

describe('replaying', () => {
  test('sends the bytes as they were to the topic of their kind, keyed and marked as replayed', async () => {
    await reject('{"httpRequest":{"clientIp":"192.0.2.7"}}', 'stage_failed: x')
    await reject('{"hostname":"node-1"}', 'not_falco', 'findings', 'falco')
    const log = new Log()
    expect(await replay(all, log)).toEqual({ sent: 2, skipped: 0, left: 0 })
    expect(log.texts.sort()).toEqual([
      'events.falco {"hostname":"node-1"}',
      'events.waf {"httpRequest":{"clientIp":"192.0.2.7"}}',
    ])
    const records = new Map(log.appends.map(([topic, [record]]) => [topic, record]))
    expect(records.get('events.waf')).toMatchObject({ key: '192.0.2.7', replayed: true, timeMs: clock.now() })
    expect(records.get('events.falco')).toMatchObject({ key: 'node-1', replayed: true })
  })

  test('marks what was sent: it is not listed or sent again unless asked for', async () => {
    await reject('a', 'not_json')
    await replay(all, new Log())
    expect(await found()).toEqual([])
    expect(await found({ replayed: true })).toEqual(['a (replayed)'])
    const log = new Log()
    expect(await replay(all, log)).toEqual({ sent: 0, skipped: 0, left: 0 })
    expect(log.appends).toEqual([])
    expect(await replay({ replayed: true }, log)).toEqual({ sent: 1, skipped: 0, left: 0 })
    expect(statSync(marksOf('waf')).mode & 0o777).toBe(0o600)
  })

  test('sends a record once, however many pipelines rejected it, and marks all its letters', async () => {
    await reject('a', 'not_json', 'waf')
    await reject('b', 'not_json', 'waf')
    await reject('b', 'not_waf', 'waf')
    await reject('a', 'not_json', 'waf-lake')
    const log = new Log()
    expect(await replay(all, log)).toEqual({ sent: 2, skipped: 0, left: 0 })
    expect(log.texts).toEqual(['events.waf a', 'events.waf b'])
    expect(await found()).toEqual([])
    expect(await found({ replayed: true })).toEqual(['a', 'b', 'b', 'a'].map(text => `${text} (replayed)`))
  })

  test('marks letters that were not selected, too: their pipelines read the record again as well', async () => {
    await reject('a', 'not_json', 'findings')
    await reject('a', 'not_json', 'waf')
    await reject('b', 'not_json', 'findings')
    expect(await replay({ ...all, pipeline: 'waf' }, new Log())).toEqual({ sent: 1, skipped: 0, left: 0 })
    expect(await found()).toEqual(['b'])
  })

  test('with those that were replayed before still sends each record once', async () => {
    for (const pipeline of ['waf', 'waf-lake']) await reject('a', 'not_json', pipeline)
    await replay(all, new Log())
    const log = new Log()
    expect(await replay({ replayed: true }, log)).toEqual({ sent: 1, skipped: 0, left: 0 })
    expect(log.texts).toEqual(['events.waf a'])
  })

  test('remembers a bounded number of records: what is past it is left, said, and sent by the next one', async () => {
    for (const text of ['a', 'b', 'c', 'a']) await reject(text, 'not_json')
    const log = new Log()
    const deps = testDeps({ clock })
    expect(await replayDeadLetters(folder, all, log.append, deps, 2)).toEqual({ sent: 2, skipped: 0, left: 1 })
    expect(await replayDeadLetters(folder, all, log.append, deps, 2)).toEqual({ sent: 1, skipped: 0, left: 0 })
    expect(log.texts).toEqual(['events.waf a', 'events.waf b', 'events.waf c'])
  })

  test('a record that is rejected once more after its replay is there again', async () => {
    await reject('a', 'not_json')
    await replay(all, new Log())
    await clock.advance(1_000)
    await reject('a', 'not_json')
    expect(await found()).toEqual(['a'])
    const log = new Log()
    await clock.advance(1_000)
    expect(await replay(all, log)).toEqual({ sent: 1, skipped: 0, left: 0 })
    expect(await found()).toEqual([])
  })

  test('ends although each record it sends is rejected again at once', async () => {
    for (let index = 0; index < 250; index++) await reject(`record ${index}`, 'not_json')
    let sent = 0
    const rejecting = async (_: string, records: readonly TopicRecord[]): Promise<void> => {
      sent += records.length
      await clock.advance(1)
      for (const { value } of records) await reject(value, 'not_json')
    }
    await replayDeadLetters(folder, all, rejecting, testDeps({ clock }))
    expect(sent).toBe(250)
    expect(await found()).toHaveLength(250)
  })

  test('skips what is no whole record (oversize, or an announcement of S3), and does not mark it', async () => {
    await reject('x'.repeat(100_000), 'oversize: 100000 bytes')
    await reject('{"Records":[]}', 'announcement: object_missing: s3://logs/a')
    await reject('b', 'not_json')
    const log = new Log()
    expect(await replay(all, log)).toEqual({ sent: 1, skipped: 2, left: 0 })
    expect(log.texts).toEqual(['events.waf b'])
    expect(await found()).toEqual(['x'.repeat(64 * 1024), '{"Records":[]}'])
  })

  test('only the selected records are sent', async () => {
    const id = await reject('a', 'not_json')
    await reject('b', 'not_json')
    const log = new Log()
    expect(await replay({ ...all, ids: [id] }, log)).toEqual({ sent: 1, skipped: 0, left: 0 })
    expect(log.texts).toEqual(['events.waf a'])
    expect(await found()).toEqual(['b'])
  })
})

describe('a replay that breaks off', () => {
  test('keeps the marks of the batches that are stored, and the rest is sent by the next one: none lost', async () => {
    for (let index = 0; index < 250; index++) await reject(`record ${index}`, 'not_json')
    const log = new Log()
    log.failAt = 2
    await expect(replay(all, log)).rejects.toThrow('the log is full')
    expect(log.texts).toHaveLength(100)
    expect(await found()).toHaveLength(150)
    log.failAt = Number.POSITIVE_INFINITY
    expect(await replay(all, log)).toEqual({ sent: 150, skipped: 0, left: 0 })
    expect(new Set(log.texts).size).toBe(250)
    expect(log.texts).toHaveLength(250)
  })

  test('between append and mark: the batch is sent twice rather than never', async () => {
    await reject('a', 'not_json')
    symlinkSync(join(folder, 'nowhere', 'marks'), marksOf('waf')) // No mark can be written.
    const log = new Log()
    await expect(replay(all, log)).rejects.toThrow(/ENOENT/)
    expect(await found()).toEqual(['a'])
    await expect(replay(all, log)).rejects.toThrow(/ENOENT/)
    expect(log.texts).toEqual(['events.waf a', 'events.waf a'])
  })

  test('in the middle of a mark: the record that was sent is seen, and sent once more', async () => {
    await reject('a', 'not_json')
    await reject('b', 'not_json')
    await replay(all, new Log())
    truncateSync(marksOf('waf'), 20)
    expect(await found()).toEqual(['b'])
    await replay(all, new Log())
    expect(await found()).toEqual([])
  })
})

describe('the marks', () => {
  test('are for the line and the record: a file that somebody edited hides nothing', async () => {
    for (const text of ['a', 'b', 'c']) await reject(text, 'not_json')
    await replay(all, new Log())
    const path = join(folder, 'waf', '2026-11-24.ndjson')
    writeFileSync(path, readFileSync(path, 'utf8').split('\n').slice(1).join('\n'))
    expect(await found()).toEqual(['b', 'c'])
  })

  test('are found again wherever their line is, over many pieces and between letters that were not sent', async () => {
    const count = 9_000
    const letters = Array.from({ length: count }, (_, n) =>
      deadLetterOf(eventOf(`record ${n}`), 'waf', 'parse-waf', n % 3 === 0 ? 'not_waf' : 'not_json', clock.now()),
    )
    const file = storeOf('waf')
    await file.write(letters)
    await file.close()
    expect(await replay({ ...all, reason: 'not_waf' }, new Log())).toEqual({ sent: count / 3, skipped: 0, left: 0 })
    const left = await found()
    expect(left).toHaveLength((count / 3) * 2)
    expect(left.filter(text => Number(text.slice('record '.length)) % 3 === 0)).toEqual([])
    expect(statSync(marksOf('waf')).size).toBeLessThanOrEqual(count * 17)
  })

  test('lie with the letters of their day, and go with them', async () => {
    await reject('a', 'not_json')
    await replay(all, new Log())
    await clock.advance(DAY_MS)
    await reject('b', 'not_json')
    await replay(all, new Log())
    const names = (): string[] => readdirSync(join(folder, 'waf')).toSorted()
    expect(names()).toEqual(['2026-11-24.ndjson', '2026-11-24.replayed', '2026-11-25.ndjson', '2026-11-25.replayed'])
    const stop = new AbortController()
    const keeping = keepRetention({
      folder: join(folder, 'waf'),
      retentionDays: 1,
      clock,
      log: silentLog,
      signal: stop.signal,
    })
    for (let day = 0; day < 2; day++) {
      await expect.poll(() => clock.sleeping).toBe(1)
      await clock.advance(DAY_MS)
    }
    await expect.poll(names).toEqual(['2026-11-25.ndjson', '2026-11-25.replayed'])
    stop.abort()
    await keeping
  })
})

describe('what Haetae wrote itself', () => {
  async function rejectOwn(kind: DeadLetter['kind'], stream: string | undefined): Promise<void> {
    const file = storeOf('own')
    const event = eventOf(`{"of":"${kind}"}`, kind, stream === undefined ? undefined : { stream, position: 4n })
    await file.write([deadLetterOf(event, 'own', 'blocks', 'not_decision', clock.now())])
    await file.close()
  }

  test('goes back to the topic it was read from, marked as sent again', async () => {
    await rejectOwn('decision', 'decisions/0')
    await rejectOwn('alert', 'alerts.of.mine/3')
    const log = new Log()
    expect(await replay(all, log)).toEqual({ sent: 2, skipped: 0, left: 0 })
    expect(log.texts).toEqual(['decisions {"of":"decision"}', 'alerts.of.mine {"of":"alert"}'])
    expect(log.appends.flatMap(([, records]) => records.map(({ replayed }) => replayed))).toEqual([true, true])
  })

  test('is skipped when nobody knows from where it was, and an incident always: a newer version may be there', async () => {
    await rejectOwn('decision', undefined)
    await rejectOwn('incident', 'incidents/0')
    const log = new Log()
    expect(await replay(all, log)).toEqual({ sent: 0, skipped: 2, left: 0 })
    expect(log.texts).toEqual([])
  })
})
