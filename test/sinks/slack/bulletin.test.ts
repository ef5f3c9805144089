import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BULLETINS_MAX, type Bulletin, bulletinKinds } from '../../../platform/notify/notice.ts'
import { languages, wordsOf } from '../../../platform/notify/words.ts'
import { auditRecord } from '../../../platform/response/audit.ts'
import { type AuditNews, newsOf, readAudit, takeNews } from '../../../sinks/slack/bulletin.ts'
import { bulletinCard } from '../../../sinks/slack/bulletin-card.ts'
import { Lane } from '../../../sinks/slack/lane.ts'
import { voiceOf } from '../../../sinks/slack.ts'
import { NOON, recordOf } from '../../support/alerts.ts'
import { blockKitProblems } from '../../support/block-kit.ts'
import { incidentOf } from '../../support/incidents.ts'
import { ALERTS, CRITICAL, MINUTE, signal, startSlack } from '../../support/slack-sink.ts'

const OPS = 'C0000000003'
let count = 0

type Fields = Partial<Parameters<typeof auditRecord>[1]>
const auditOf = (what: Parameters<typeof auditRecord>[1]['what'], fields: Fields = {}) =>
  auditRecord([count++], { time: NOON, what, who: 'haetae', dry_run: false, ...fields })

async function started(config: object = {}) {
  const slack = await startSlack({ channels: { alerts: ALERTS, critical: CRITICAL, ops: OPS }, ...config })
  const hear = (...audits: object[]) =>
    slack.sink().write(
      audits.map(each => recordOf(each, 'audit')),
      signal,
    )
  return { ...slack, hear }
}

describe('what people must know and is no incident', () => {
  test('a tripped budget goes to the critical channel, and is green once somebody resumed', async () => {
    const { hear, clock, fake } = await started()
    await hear(auditOf('budget_tripped', { reason: 'the limit "minute" of 60 is reached' }))
    await clock.advance(3_000)
    expect(fake.parents()).toMatchObject([{ channel: CRITICAL, text: expect.stringContaining('Block budget tripped') }])
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('haetae decisions resume')
    await hear(auditOf('budget_resumed', { time: NOON + 1, who: 'kim (U0000000001)', reason: 'looks right' }))
    await clock.advance(MINUTE)
    expect(fake.parents()).toHaveLength(1)
    expect(fake.parents()[0]!.text).toBe('Automatic blocking goes on')
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('#027a48')
    expect(fake.problems).toEqual([])
  })

  test('a WAF that refuses is one message for each place, however often it does, and says when it is mended', async () => {
    const { hear, clock, fake, again } = await started()
    for (let each = 0; each < 100; each++) {
      const place = each % 2 === 0 ? 'REGIONAL ap-northeast-2' : 'CLOUDFRONT'
      await hear(
        auditOf('waf_failed', { time: NOON + each, place, reason: 'AccessDeniedException', skip_reason: 'person' }),
      )
      await clock.advance(1_000)
      if (each === 50) await again()
    }
    await clock.advance(2 * MINUTE)
    expect(fake.parents(CRITICAL)).toHaveLength(2)
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('50 events')
    expect(fake.calls.length).toBeLessThan(12)
    await hear(auditOf('waf_recovered', { place: 'CLOUDFRONT', reason: 'written again' }))
    await clock.advance(2 * MINUTE)
    expect(fake.parents().map(({ text }) => text)).toEqual(
      expect.arrayContaining([expect.stringContaining('The WAF is written again · CLOUDFRONT')]),
    )
  })

  test('a failure long after one whose end was never told is a message of its own, and a late end still ends it', () => {
    const HOUR = 60 * MINUTE
    const voice = voiceOf({ language: 'en', timeZone: 'Asia/Seoul', quietHours: '', consoleUrl: '' })
    const lane = new Lane(CRITICAL, voice, [])
    const hear = (what: 'waf_failed' | 'waf_recovered', time: number, nowMs = time): boolean => {
      const audit = readAudit(
        Buffer.from(JSON.stringify(auditOf(what, { time, place: 'CLOUDFRONT', reason: 'denied' }))),
      )!
      return lane.hear(newsOf(audit, wordsOf.en, undefined)!, audit, nowMs)
    }
    hear('waf_failed', NOON)
    hear('waf_failed', NOON + 5 * HOUR)
    expect(lane.bulletins).toHaveLength(1)
    hear('waf_failed', NOON + 12 * HOUR)
    expect(lane.bulletins.map(({ endMs }) => endMs)).toEqual([NOON + 12 * HOUR, undefined])
    expect(hear('waf_failed', NOON + 13 * HOUR, NOON + 15 * HOUR)).toBe(false)
    expect(hear('waf_recovered', NOON + 13 * HOUR, NOON + 15 * HOUR)).toBe(true)
    expect(lane.bulletins.map(({ endMs }) => endMs)).toEqual([NOON + 12 * HOUR, NOON + 13 * HOUR])
  })

  test('leaked keys gather in one message, whether they could be disabled or not', async () => {
    const { hear, clock, fake } = await started()
    await hear(
      auditOf('key_disabled', { target: 'AKIAIOSFODNN7EXAMPLE', reason: 'GuardDuty' }),
      auditOf('key_failed', { target: 'AKIAIOSFODNN7EXAMPL2', reason: 'IAM: AccessDenied', skip_reason: 'waiting' }),
      auditOf('key_refused', { target: 'AKIAIOSFODNN7EXAMPL3', skip_reason: 'sample' }),
      auditOf('key_refused', { target: 'AKIAIOSFODNN7EXAMPL5', skip_reason: 'replayed', reason: 'dead letter' }),
    )
    await clock.advance(5_000)
    expect(fake.parents()).toMatchObject([{ channel: CRITICAL, text: expect.stringContaining('Leaked access key') }])
    const said = JSON.stringify(fake.parents()[0]!.attachments)
    expect(said).toContain('AKIAIOSFODNN7EXAMPLE: disabled')
    expect(said).toContain('AKIAIOSFODNN7EXAMPL2: could not be disabled')
    expect(said).not.toContain('AKIAIOSFODNN7EXAMPL3')
    expect(said).toContain('AKIAIOSFODNN7EXAMPL5')
    await clock.advance(11 * MINUTE)
    await hear(auditOf('key_disabled', { target: 'AKIAIOSFODNN7EXAMPL4', time: clock.now() }))
    await clock.advance(MINUTE)
    expect(fake.parents()).toHaveLength(2)
  })

  test('that a customer was blocked is critical, what the pipeline itself wants goes to its own channel', async () => {
    const { hear, tell, clock, fake } = await started()
    await tell(incidentOf(), incidentOf({ uid: 'unblocked', number: 9, holds: { active: 0, total: 0 } }))
    await clock.advance(2_000)
    await hear(
      auditOf('hold_released', { target: '203.0.113.7', who: 'kim (U0000000001)', reason: 'customer' }),
      auditOf('hold_released', { target: '203.0.113.8', who: 'kim (U0000000001)', reason: 'test' }),
      auditOf('incident_false_positive', { incident_uid: incidentOf().uid, who: 'kim (U0000000001)' }),
      auditOf('incident_false_positive', { incident_uid: 'unblocked', who: 'kim (U0000000001)' }),
      auditOf('pipeline_paused', { target: 'waf', reason: 'opensearch: SINK_UNAUTHORISED' }),
    )
    await clock.advance(10_000)
    const [customer] = fake.parents(CRITICAL)
    const said = JSON.stringify(customer!.attachments)
    expect(said).toContain('203.0.113.7 · a customer · kim')
    expect(said).toContain('INC-2041')
    expect(said).not.toMatch(/203\.0\.113\.8|INC-9/)
    expect(fake.parents(OPS)).toMatchObject([{ text: expect.stringContaining('waits for a person · waf') }])
  })

  test('an answer that was lost is looked for, a repeat is no news, and what is long over is not posted', async () => {
    const { hear, clock, fake, again } = await started()
    let first = true
    fake.fate = method => {
      if (method !== 'chat.postMessage' || !first) return 'done'
      first = false
      return 'unanswered'
    }
    const tripped = auditOf('budget_tripped', { reason: 'limit' })
    await hear(tripped, auditOf('budget_tripped', { time: NOON - 61 * MINUTE }))
    await clock.advance(2_000)
    await again()
    await hear(tripped)
    await clock.advance(MINUTE)
    expect(fake.parents()).toHaveLength(1)
    expect(fake.calls.map(({ method }) => method)).toContain('conversations.history')
    expect(JSON.stringify(fake.parents()[0]!.attachments)).toContain('1 event ')
  })

  test('is read again while its topic is away: nothing is forgotten', async () => {
    const { hear, clock, fake, topics } = await started()
    topics.fate = () => 'lost'
    const tripped = auditOf('budget_tripped', { reason: 'limit' })
    expect(await hear(tripped)).toMatchObject({ retry: [0] })
    topics.fate = () => 'taken'
    expect(await hear(tripped)).toMatchObject({ retry: [] })
    await clock.advance(3_000)
    expect(fake.parents()).toHaveLength(1)
  })

  test('a thousand things to know of are few messages, of bounded memory', () => {
    const bulletins: Bulletin[] = []
    fc.assert(
      fc.property(fc.constantFrom(...bulletinKinds), fc.nat(1_000), fc.nat(99), (kind, subject, uid) => {
        const audit = { metadata: { uid: String(uid) }, time: NOON, dry_run: false } as AuditNews
        takeNews(bulletins, { kind, subject: String(subject), does: 'begin', line: 'x'.repeat(2_000) }, audit)
        expect(bulletins.length).toBeLessThanOrEqual(BULLETINS_MAX)
      }),
      { numRuns: 1_000 },
    )
    expect(JSON.stringify(bulletins).length).toBeLessThan(BULLETINS_MAX * 8_000)
  })

  test('shows what an attacker wrote, and acts on none of it', () => {
    const hostile = '<!channel> <@U1> <http://x|bank> *a* ``` \u202e\u0000 😀'
    for (const language of languages) {
      const voice = voiceOf({ language, timeZone: 'Asia/Seoul', quietHours: '', consoleUrl: '' })
      for (const kind of bulletinKinds) {
        for (const over of [{}, { endMs: NOON }]) {
          const lines = Array.from({ length: 8 }, () => ({ time: NOON, text: hostile.repeat(12).slice(0, 600) }))
          const common = {
            state: 'posted',
            sinceMs: 1,
            fromMs: NOON,
            lastMs: NOON,
            count: 9,
            seen: [] as string[],
            dryRun: true,
          } as const
          const message = bulletinCard({ ...common, kind, subject: hostile, lines, ...over }, true, voice, NOON)
          expect(blockKitProblems(message)).toEqual([])
          expect(JSON.stringify(message)).not.toMatch(/[<>]|:\/\//)
        }
      }
    }
  })

  test('only what is known is news', () => {
    expect(readAudit(Buffer.from('{'))).toBeUndefined()
    expect(readAudit(Buffer.from('{"what":1}'))).toBeUndefined()
    for (const what of ['hold_created', 'waf_written', 'allowed', 'hold_refused'] as const) {
      const audit = readAudit(Buffer.from(JSON.stringify(auditOf(what))))!
      expect(newsOf(audit, wordsOf.en, undefined)).toBeUndefined()
    }
  })
})

describe('a press that did nothing', () => {
  const kim = 'kim (U0000000001)'
  const whispers = (calls: readonly { method: string; params: Record<string, unknown> }[]) =>
    calls.filter(({ method }) => method === 'chat.postEphemeral').map(({ params }) => [params['user'], params['text']])

  test('is answered to whoever pressed alone: what he meant is over, or somebody was faster', async () => {
    const { hear, tell, clock, fake } = await started()
    await tell(incidentOf({ acknowledged: { by: 'lee (U0000000002)', time: NOON - 1 } }))
    await clock.advance(2_000)
    await hear(
      auditOf('hold_refused', {
        who: kim,
        target: '203.0.113.7',
        skip_reason: 'nothing_held',
        reason: 'no live hold',
        incident_uid: incidentOf().uid,
      }),
      auditOf('hold_refused', { who: kim, target: '203.0.113.7', skip_reason: 'never_block', reason: 'office' }),
      auditOf('incident_acknowledged', { who: kim, incident_uid: incidentOf().uid }),
      auditOf('incident_acknowledged', { who: kim, incident_uid: 'forgotten' }),
    )
    await clock.advance(20_000)
    const lines = [
      'already expired: 203.0.113.7',
      'not done: 203.0.113.7 (neverˍblock: office)',
      'already done by lee',
      'already expired',
    ]
    expect(whispers(fake.calls)).toEqual([['U0000000001', lines.join('\n')]])
  })

  test('is not answered when it did something, when nobody of Slack pressed, or long ago', async () => {
    const { hear, tell, clock, fake } = await started()
    await tell(incidentOf({ acknowledged: { by: kim, time: NOON } }))
    await clock.advance(2_000)
    await hear(
      auditOf('incident_acknowledged', { who: kim, incident_uid: incidentOf().uid }),
      auditOf('hold_refused', { who: 'root', target: '203.0.113.7', skip_reason: 'nothing_held' }),
      auditOf('hold_refused', {
        who: kim,
        target: '203.0.113.7',
        skip_reason: 'nothing_held',
        time: NOON - 6 * MINUTE,
      }),
    )
    await clock.advance(10_000)
    expect(whispers(fake.calls)).toEqual([])
  })

  test('by somebody who left the channel pauses nothing', async () => {
    const { hear, clock, fake, paused } = await started()
    fake.fate = method => (method === 'chat.postEphemeral' ? { error: 'user_not_in_channel' } : 'done')
    await hear(auditOf('hold_refused', { who: kim, target: '203.0.113.7', skip_reason: 'nothing_held' }))
    await clock.advance(5_000)
    expect(paused.filter(each => each !== undefined)).toEqual([])
  })
})
