import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { deadLetterOf } from '../../engine/dead-letter.ts'
import { DeadLetterFile } from '../../engine/dead-letter-store.ts'
import { readSettings } from '../../pipelines/settings.ts'
import { openTopics } from '../../pipelines/topics/open.ts'
import { silentLog } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import { runCommand as run } from '../support/command.ts'
import { eventOf } from '../support/deps.ts'
import { temporary } from '../support/pipelines.ts'

const retention = { ageMsMax: 86_400_000, bytesMax: 1024 ** 3 }

beforeEach(() => {
  vi.unstubAllEnvs()
  vi.stubEnv('HAETAE_STATE', join(temporary(), 'state'))
})

describe('deadletter', () => {
  beforeEach(async () => {
    const nowMs = Date.UTC(2026, 10, 24)
    const folder = join(readSettings().deadLetterFolder, 'waf')
    const file = new DeadLetterFile({ folder, bytesMax: 1024 ** 3, now: () => nowMs })
    const event = eventOf('{"cookie":"\u001b[2Jx"')
    await file.write([deadLetterOf(event, 'waf', 'parse-waf', 'not_json: \u001b[31m', nowMs)])
    await file.close()
  })

  test('list shows one line a record, without what could act on a terminal', async () => {
    const { code, out } = await run('deadletter', 'list')
    expect(code).toBe(0)
    expect(out).toMatch(/2026-11-24T00:00:00\.000Z +waf +parse-waf +\d+ +false +not_json/)
    expect(out).not.toContain('\u001b')
  })

  test('list -o ndjson is one JSON object a record, and narrows', async () => {
    const { out } = await run('deadletter', 'list', '-o', 'ndjson')
    expect(JSON.parse(out)).toMatchObject({ pipeline: 'waf', stage: 'parse-waf', replayed: false })
    expect((await run('deadletter', 'list', '-o', 'ndjson', '--reason', 'not_waf')).out).toBe('')
  })

  test('show says when and by whom it was rejected, not when it was received', async () => {
    const { id } = JSON.parse((await run('deadletter', 'list', '-o', 'ndjson')).out) as { id: string }
    const { err } = await run('deadletter', 'show', id.slice(0, 8))
    expect(err).toMatch(/record {4}waf\nrejected {2}2026-11-24T00:00:00\.000Z by parse-waf in waf/)
  })

  test('show of an id that is not there: exit code 1', async () => {
    const { code, err } = await run('deadletter', 'show', 'ffffffff')
    expect(code).toBe(1)
    expect(err).toContain('no dead letter has this id')
  })

  test('replay where the topic was never made: exit code 1, and the record stays', async () => {
    const { code, err } = await run('deadletter', 'replay', '--all')
    expect(code).toBe(1)
    expect(err).toMatch(/TOPIC_UNKNOWN/)
    expect((await run('deadletter', 'list', '-o', 'ndjson')).out).toContain('"replayed":false')
  })

  test('replay sends into the topic log of the state folder, once', async () => {
    const topics = await openTopics(readSettings(), silentLog, createMetrics())
    await topics.ensure({ name: 'events.waf', partitions: 1, compacted: false, retention })
    await topics.close()
    expect(await run('deadletter', 'replay', '--all')).toMatchObject({ code: 0, err: '1 record sent again' })
    expect(await run('deadletter', 'replay', '--all')).toMatchObject({ code: 0, err: '0 records sent again' })
    expect((await run('deadletter', 'list')).err).toBe('The dead letter is empty.')
  })

  test('replay of an id that is not there, or was sent already: exit code 1', async () => {
    const topics = await openTopics(readSettings(), silentLog, createMetrics())
    await topics.ensure({ name: 'events.waf', partitions: 1, compacted: false, retention })
    await topics.close()
    const { id } = JSON.parse((await run('deadletter', 'list', '-o', 'ndjson')).out) as { id: string }
    expect(await run('deadletter', 'replay', 'ffffffff')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no dead letter that waits'),
    })
    expect(await run('deadletter', 'replay', id)).toMatchObject({ code: 0, err: '1 record sent again' })
    expect(await run('deadletter', 'replay', id)).toMatchObject({
      code: 1,
      err: expect.stringContaining('no dead letter that waits'),
    })
  })
})
