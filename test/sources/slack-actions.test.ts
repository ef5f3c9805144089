import { createHmac } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Delivery } from '../../engine/contract.ts'
import { createLog } from '../../platform/log.ts'
import { slackClient } from '../../platform/slack.ts'
import { People } from '../../sources/slack-actions/people.ts'
import { openSlackActions, type SlackActionsSource, slackActions } from '../../sources/slack-actions.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { FakeSlack } from '../support/slack-server.ts'

const SECRET = '8f742231b10e8888abcd99yyyzzz85a5'
const never = new AbortController().signal

let fake: FakeSlack
let source: SlackActionsSource
let stored: Delivery[]
let hold = false

beforeEach(async () => {
  process.env['TEST_SLACK_TOKEN'] = 'xoxb-test'
  process.env['TEST_SIGNING_SECRET'] = SECRET
  fake = new FakeSlack()
  stored = []
  hold = false
  const given = slackActions.config.parse({
    port: 0,
    signingSecret: { env: 'TEST_SIGNING_SECRET' },
    token: { env: 'TEST_SLACK_TOKEN' },
    users: ['U0000000001'],
    language: 'en',
    apiUrl: await fake.listen(),
  })
  source = await openSlackActions(given, testDeps())
  void drain()
})

afterEach(async () => {
  await source.close()
  await fake.close()
})

async function drain(): Promise<void> {
  for (;;) {
    const delivery = await source.read(never)
    if (!delivery) return
    stored.push(delivery)
    if (!hold) delivery.ack()
  }
}

const jsonOf = (deliveries: readonly Delivery[]) =>
  deliveries.flatMap(({ batch }) =>
    batch.map(({ kind, key, raw }) => ({ kind, key, ...(JSON.parse(String(raw)) as object) })),
  )

function bodyFor(payload: object): string {
  return new URLSearchParams({ payload: JSON.stringify(payload) }).toString()
}

/** As Slack sends it, unless the test says otherwise. */
async function send(
  body: string,
  changed: { secret?: string; atMs?: number; path?: string; method?: string; headers?: Record<string, string> } = {},
) {
  const timestamp = String(Math.floor((changed.atMs ?? Date.now()) / 1000))
  const signature = `v0=${createHmac('sha256', changed.secret ?? SECRET)
    .update(`v0:${timestamp}:${body}`)
    .digest('hex')}`
  const method = changed.method ?? 'POST'
  const response = await fetch(`http://127.0.0.1:${source.listensOn}${changed.path ?? '/slack/actions'}`, {
    method,
    ...(method === 'POST' ? { body } : {}),
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'x-slack-request-timestamp': timestamp,
      'x-slack-signature': signature,
      ...changed.headers,
    },
  })
  const text = await response.text()
  return { status: response.status, json: text === '' ? undefined : (JSON.parse(text) as unknown) }
}

function press(action_id: string, addresses: readonly string[] = ['203.0.113.7'], user = 'U0000000001') {
  return bodyFor({
    type: 'block_actions',
    user: { id: user, username: 'kim' },
    trigger_id: '1.2.abc',
    channel: { id: 'C0000000001' },
    actions: [{ action_id, action_ts: '1700000000.1', value: JSON.stringify({ i: 'inc-1', n: 2041, a: addresses }) }],
  })
}

function form(given: { addresses?: readonly string[]; typed?: string; allow?: boolean; user?: string } = {}) {
  const { addresses = ['203.0.113.7'], allow = false, user = 'U0000000001' } = given
  return bodyFor({
    type: 'view_submission',
    user: { id: user, name: 'kim' },
    view: {
      id: 'V1',
      callback_id: 'unblock',
      private_metadata: JSON.stringify({ i: 'inc-1', n: 2041 }),
      state: {
        values: {
          addresses: { addresses: { selected_options: addresses.map(value => ({ value })) } },
          reason: { reason: { selected_option: { value: 'customer' } } },
          allow: { allow: { selected_options: allow ? [{ value: 'allow' }] : [] } },
          ...(given.typed === undefined ? {} : { typed: { typed: { value: given.typed } } }),
        },
      },
    },
  })
}

describe('a request is believed', () => {
  test('only when it is signed with the secret, over the bytes as they came, within five minutes', async () => {
    expect((await send(press('acknowledge'))).status).toBe(200)
    expect((await send(press('acknowledge'), { secret: 'another' })).status).toBe(401)
    expect((await send(press('acknowledge'), { atMs: Date.now() - 6 * 60_000 })).status).toBe(401)
    expect((await send(press('acknowledge'), { atMs: Date.now() + 6 * 60_000 })).status).toBe(401)
    for (const headers of [
      { 'x-slack-signature': '' },
      { 'x-slack-signature': 'v0=00' },
      { 'x-slack-request-timestamp': 'NaN' },
      { 'x-slack-request-timestamp': '-1' },
    ]) {
      expect((await send(press('acknowledge'), { headers })).status).toBe(401)
    }
    expect(stored).toHaveLength(1)
  })

  test('and only at its path, by POST, up to its size', async () => {
    expect((await send(press('acknowledge'), { path: '/' })).status).toBe(404)
    expect((await send(press('acknowledge'), { method: 'GET' })).status).toBe(405)
    const large = await send(`payload=${'x'.repeat(300_000)}`).catch(() => ({ status: 413 }))
    expect(large.status).toBe(413)
    expect(stored).toHaveLength(0)
  })

  test('whatever the payload is, no request breaks it', async () => {
    const payloads = [
      '',
      '{',
      'null',
      '[]',
      '{"type":"block_actions"}',
      '{"type":"view_submission","view":{}}',
      '{"__proto__":{"type":"block_actions"}}',
    ]
    for (const payload of payloads) expect((await send(new URLSearchParams({ payload }).toString())).status).toBe(200)
    expect((await send(press('evidence'))).status).toBe(200)
    expect((await send('nothing')).status).toBe(200)
    expect(stored).toHaveLength(0)
  })
})

describe('what people press', () => {
  test.each([
    ['acknowledge', 'incident_acknowledged'],
    ['false_positive', 'incident_false_positive'],
    ['snooze', 'incident_snoozed'],
    ['helpful', 'incident_helpful'],
    ['not_helpful', 'incident_not_helpful'],
  ])('%s becomes an audit record about the incident, with one id however often it comes', async (action, what) => {
    expect(await send(press(action))).toEqual({ status: 200, json: undefined })
    await send(press(action))
    const [first, again] = jsonOf(stored)
    expect(first).toMatchObject({
      kind: 'audit',
      key: 'inc-1',
      what,
      who: 'kim (U0000000001)',
      incident_uid: 'inc-1',
      source: 'slack',
    })
    expect((again as unknown as { metadata: unknown }).metadata).toEqual(
      (first as unknown as { metadata: unknown }).metadata,
    )
  })

  test('extend asks for another day for each address, and for nothing that is no address', async () => {
    await send(press('extend', ['203.0.113.7', '2001:DB8::1', 'x; drop', '']))
    expect(jsonOf(stored)).toMatchObject([
      {
        kind: 'decision',
        key: '203.0.113.7',
        type: 'extend',
        ttlMs: 86_400_000,
        who: 'kim (U0000000001)',
        source: 'slack',
        incidentUid: 'inc-1',
      },
      { kind: 'decision', key: '2001:db8::1', target: { type: 'address', value: '2001:db8::1' } },
    ])
  })

  test('a network that is held as one is extended and released as one', async () => {
    await send(press('extend', ['203.0.113.0/24']))
    expect(jsonOf(stored)).toMatchObject([{ type: 'extend', target: { type: 'network', value: '203.0.113.0/24' } }])
  })

  test('unblock opens a form with the addresses, and changes nothing', async () => {
    expect((await send(press('unblock'))).status).toBe(200)
    expect(fake.calls).toMatchObject([{ method: 'views.open', params: { trigger_id: '1.2.abc' } }])
    expect(JSON.stringify(fake.calls[0]!.params['view'])).toContain('203.0.113.7')
    expect(stored).toEqual([])
  })

  test('the form says how many addresses are blocked beside those that it lists', async () => {
    await send(
      bodyFor({
        type: 'block_actions',
        user: { id: 'U0000000001', username: 'kim' },
        trigger_id: '1.2.abc',
        channel: { id: 'C0000000001' },
        actions: [{ action_id: 'unblock', action_ts: '1', value: '{"i":"inc-1","n":1,"a":["203.0.113.7"],"t":38}' }],
      }),
    )
    expect(JSON.stringify(fake.calls[0]!.params['view'])).toContain('37 more: haetae decisions list')
  })

  test('the form releases what was chosen, with the reason, and can keep it from coming back', async () => {
    expect(await send(form({ allow: true }))).toEqual({ status: 200, json: undefined })
    expect(jsonOf(stored)).toMatchObject([
      {
        kind: 'decision',
        type: 'release',
        target: { type: 'address', value: '203.0.113.7' },
        reason: 'customer',
        incidentUid: 'inc-1',
      },
      { kind: 'decision', type: 'allow', ttlMs: 86_400_000 },
    ])
    const uids = jsonOf(stored).map(each => (each as unknown as { uid: string }).uid)
    expect(new Set(uids).size).toBe(2)
  })

  test('more than ten addresses need the number of the incident typed', async () => {
    const addresses = Array.from({ length: 11 }, (_, each) => `192.0.2.${each}`)
    await send(press('unblock', addresses))
    expect(JSON.stringify(fake.calls[0]!.params['view'])).toContain('INC-2041')
    expect((await send(form({ addresses }))).json).toMatchObject({
      response_action: 'errors',
      errors: { typed: expect.any(String) },
    })
    expect((await send(form({ addresses, typed: 'INC-1' }))).json).toMatchObject({ response_action: 'errors' })
    expect((await send(form({ addresses, typed: ' inc-2041 ' }))).json).toBeUndefined()
    expect((await send(form({ addresses: [] }))).json).toMatchObject({ errors: { addresses: expect.any(String) } })
    expect(jsonOf(stored)).toHaveLength(11)
  })

  test('by somebody who may not, is refused to him alone', async () => {
    expect((await send(press('acknowledge', [], 'U0000000009'))).status).toBe(200)
    expect(fake.calls).toMatchObject([{ method: 'chat.postEphemeral', params: { user: 'U0000000009' } }])
    expect((await send(form({ user: 'U0000000009' }))).json).toMatchObject({ response_action: 'errors' })
    expect(stored).toEqual([])
  })

  test('is answered as not done when it is not stored in the time that Slack waits', async () => {
    hold = true
    const [pressed, sent] = await Promise.all([send(press('acknowledge')), send(form())])
    expect(pressed.status).toBe(503)
    expect(sent.json).toMatchObject({ response_action: 'errors' })
  })

  test('a form that cannot be opened is answered 500, and Slack shows that it failed', async () => {
    fake.fate = () => ({ error: 'expired_trigger_id' })
    expect((await send(press('unblock'))).status).toBe(500)
  })
})

describe('members of a user group', () => {
  test('may press, also while Slack does not say who they are any more, until it does', async () => {
    const clock = new FakeClock()
    const lines: string[] = []
    const log = createLog('info', { write: line => void lines.push(line) })
    const client = slackClient({
      token: 'x',
      apiUrl: 'https://slack.example/api/',
      timeoutMs: 1_000,
      fetch: fake.fetch,
    })
    fake.groups = { S0000000001: ['U0000000007'] }
    const people = new People(['U0000000001'], ['S0000000001'], client, testDeps({ clock, log }))
    await clock.advance(1_000)
    expect(['U0000000001', 'U0000000007', 'U0000000008'].map(user => people.may(user))).toEqual([true, true, false])
    fake.groups = { S0000000001: ['U0000000008'] }
    fake.fate = () => ({ error: 'internal_error' })
    await clock.advance(10 * 60_000)
    expect(people.may('U0000000007')).toBe(true)
    expect(lines.filter(line => line.includes('user group'))).toHaveLength(1)
    fake.fate = () => 'done'
    await clock.advance(60_000)
    expect(['U0000000007', 'U0000000008'].map(user => people.may(user))).toEqual([false, true])
    await people.close()
  })

  test('an app without a group asks Slack nothing', async () => {
    const client = slackClient({
      token: 'x',
      apiUrl: 'https://slack.example/api/',
      timeoutMs: 1_000,
      fetch: fake.fetch,
    })
    const people = new People([], [], client, testDeps({ clock: new FakeClock() }))
    await people.close()
    expect(fake.calls).toEqual([])
    expect(people.may('U0000000001')).toBe(false)
  })
})
