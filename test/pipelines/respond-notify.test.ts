import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, test, vi } from 'vitest'
import { run } from '../../engine/pipeline.ts'
import { type OpenPipeline, openPipeline } from '../../pipelines/compose.ts'
import { parsePipeline, writtenTopics } from '../../pipelines/load.ts'
import { systemClock } from '../../platform/clock.ts'
import { auditRecord } from '../../platform/response/audit.ts'
import type { Topics } from '../../platform/topics/contract.ts'
import { alertBody } from '../support/alerts.ts'
import { fakeRuntime } from '../support/pipelines.ts'
import { FakeSlack } from '../support/slack-server.ts'
import { openTemporary } from '../topics/temporary.ts'

afterEach(() => vi.unstubAllEnvs())

const folder = fileURLToPath(new URL('../../pipelines/', import.meta.url))

/** A pipeline as it is shipped, with another Slack. */
function shipped(name: string, apiUrl: string) {
  const token = '    token: { env: SLACK_BOT_TOKEN }'
  const text = readFileSync(`${folder}${name}.yaml`, 'utf8')
    .replace(token, `${token}\n    apiUrl: ${apiUrl}`)
    .replace('  token: { env: SLACK_BOT_TOKEN }\n  #', `  token: { env: SLACK_BOT_TOKEN }\n  apiUrl: ${apiUrl}\n  #`)
    .replace('users: []', 'users: [U0000000001]')
  return parsePipeline(`${name}.yaml`, text, process.env)
}

/** As the owner of the ledger says it. */
async function tripped(topics: Pick<Topics, 'append'>): Promise<void> {
  const timeMs = Date.now()
  const said = { time: timeMs, what: 'budget_tripped', who: 'haetae', skip_reason: 'minute', dry_run: false } as const
  const value = Buffer.from(JSON.stringify(auditRecord(['test'], said)))
  await topics.append('audit', [{ key: 'budget', value, timeMs }])
}

test('an alert on its topic becomes a message in Slack, and a press of its button comes back into it', async () => {
  const fake = new FakeSlack()
  const url = await fake.listen()
  for (const [name, value] of Object.entries({
    SLACK_BOT_TOKEN: 'xoxb-test',
    SLACK_SIGNING_SECRET: 'secret',
    HAETAE_SLACK_CHANNEL: 'C0000000001',
    HAETAE_SLACK_LANGUAGE: 'en',
    HAETAE_SLACK_ACTIONS_PORT: '0',
  })) {
    vi.stubEnv(name, value)
  }
  const { topics } = await openTemporary()
  const pipelines = ['respond', 'notify', 'slack-actions'].map(name => shipped(name, url))
  const retention = { ageMsMax: 86_400_000, bytesMax: 1024 ** 3 }
  await topics.ensure({ name: 'alerts', partitions: 1, compacted: false, retention })
  for (const each of writtenTopics(pipelines)) await topics.ensure(each)
  const runtime = { ...fakeRuntime(), clock: systemClock, topics: () => Promise.resolve(topics) }
  const stop = new AbortController()
  const opened: OpenPipeline[] = []
  for (const each of pipelines) opened.push((await openPipeline(each, runtime, stop.signal))!)
  const running = opened.map(({ plan }) => run(plan, runtime, stop.signal))

  const nowMs = Date.now()
  const alert = Buffer.from(JSON.stringify(alertBody({ timeMs: nowMs })))
  await topics.append('alerts', [{ key: '203.0.113.7', value: alert, timeMs: nowMs }])
  await vi.waitFor(() => expect(fake.parents()).toHaveLength(1), { timeout: 30_000 })
  const [message] = fake.parents()
  expect(message!.text).toContain('[High] Title of rule-T1110 · api.example.kr · 1 address')

  const value = /"action_id":"acknowledge".*?"value":("(?:[^"\\]|\\.)*")/.exec(
    JSON.stringify(message!.attachments),
  )![1]!
  const payload = {
    type: 'block_actions',
    user: { id: 'U0000000001', username: 'kim' },
    trigger_id: '1.2',
    channel: { id: 'C0000000001' },
    actions: [{ action_id: 'acknowledge', action_ts: '1.1', value: JSON.parse(value) as string }],
  }
  const body = new URLSearchParams({ payload: JSON.stringify(payload) }).toString()
  const timestamp = String(Math.floor(Date.now() / 1000))
  const source = opened[2]!.plan.source as unknown as { readonly listensOn: number }
  const answer = await fetch(`http://127.0.0.1:${source.listensOn}/slack/actions`, {
    method: 'POST',
    body,
    headers: {
      'x-slack-request-timestamp': timestamp,
      'x-slack-signature': `v0=${createHmac('sha256', 'secret').update(`v0:${timestamp}:${body}`).digest('hex')}`,
    },
  })
  expect(answer.status).toBe(200)
  await vi.waitFor(() => expect(JSON.stringify(message!.attachments)).toContain('acknowledged: kim'), {
    timeout: 30_000,
  })
  await vi.waitFor(() => expect(fake.replies()[0]?.text).toContain('*Acknowledged* · kim'), { timeout: 30_000 })
  await tripped(topics)
  await vi.waitFor(() => expect(fake.parents()[1]?.text).toContain('Block budget tripped'), { timeout: 30_000 })
  expect(fake.problems).toEqual([])
  expect(fake.limited()).toBe(0)

  stop.abort()
  await Promise.all(running)
  for (const { close } of opened) await close()
  await topics.close()
  await fake.close()
})
