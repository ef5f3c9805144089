import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { exampleIncidents } from '../../../pipelines/slack-examples.ts'
import { incidentSchema } from '../../../platform/incident.ts'
import { markup, plain } from '../../../platform/notify/text.ts'
import { languages, wordsOf } from '../../../platform/notify/words.ts'
import { card } from '../../../sinks/slack/card.ts'
import { localTime } from '../../../sinks/slack/local-time.ts'
import { roundCard } from '../../../sinks/slack/round-card.ts'
import { voiceOf } from '../../../sinks/slack.ts'
import { NOON } from '../../support/alerts.ts'
import { blockKitProblems } from '../../support/block-kit.ts'
import { incidentOf } from '../../support/incidents.ts'

const voices = languages.map(language => {
  return voiceOf({ language, timeZone: 'Asia/Seoul', quietHours: '', consoleUrl: 'https://console.example.com/' })
})
const [ko, en] = voices as [(typeof voices)[number], (typeof voices)[number]]
const hostile = '<!channel> <@U1> <http://x|bank> *a* ```` ``` ```` &lt;!here&gt; \u202e\u0000\u001b[2J'

describe('the message of an incident', () => {
  test.each(exampleIncidents(NOON))(
    '$name is an incident, and a message within the limits of Block Kit',
    ({ incident }) => {
      expect(incidentSchema.safeParse(incident).error).toBeUndefined()
      for (const voice of voices) expect(blockKitProblems(card(incident, voice, NOON))).toEqual([])
    },
  )

  test('stays within them whatever an attacker writes', () => {
    const text = (maxLength: number) =>
      fc.oneof(
        fc.string({ unit: 'binary', maxLength }),
        fc.constant(hostile.slice(0, maxLength)),
        fc.constant('😀'.repeat(maxLength / 2)),
      )
    const given = fc.record({
      title: text(128),
      targets: fc.array(text(128), { maxLength: 10 }),
      addresses: fc.array(text(64), { maxLength: 50 }),
      networks: fc.array(fc.record({ name: text(80), count: fc.nat() }), { maxLength: 10 }),
      example: fc.record({ method: text(32), path: text(512), user_agent: text(256), rule: text(256) }),
      acknowledged: fc.record({ by: text(200), time: fc.constant(NOON) }),
    })
    fc.assert(
      fc.property(given, fc.constantFrom(...voices), (changed, voice) => {
        const message = card(incidentOf(changed), voice, NOON)
        expect(blockKitProblems(message)).toEqual([])
        const { buttons, rest } = apart(message)
        expect(rest).not.toMatch(/[<>]|:\/\//)
        expect(buttons).toBeGreaterThan(0)
      }),
    )
  })

  test('says severity first, what, where and what was done, in both languages', () => {
    expect(card(incidentOf(), ko, NOON).text).toBe(
      '[높음] 캠페인 · Credential stuffing · api.example.kr · IP 2개 차단 중 (13:00 KST까지) (진행 중)',
    )
    expect(card(incidentOf(), en, NOON).text).toBe(
      '[High] campaign · Credential stuffing · api.example.kr · 2 addresses blocked (until 13:00 KST) (ongoing)',
    )
  })

  test('has the buttons that its state allows', () => {
    const ids = (changed: Parameters<typeof incidentOf>[0]) => actionIds(card(incidentOf(changed), en, NOON))
    expect(ids({})).toEqual(['acknowledge', 'evidence', 'unblock', 'extend', 'snooze', 'false_positive'])
    expect(ids({ severity_id: 5 })).not.toContain('snooze')
    expect(ids({ snoozed: { by: 'kim', time: NOON, until: NOON + 1 } })).not.toContain('snooze')
    expect(ids({ acknowledged: { by: 'kim', time: NOON } })).not.toContain('acknowledge')
    expect(ids({ holds: { active: 0, total: 1 } })).not.toContain('unblock')
    expect(ids({ state: 'closed' })).toEqual([
      'evidence',
      'unblock',
      'extend',
      'false_positive',
      'helpful',
      'not_helpful',
    ])
    const helpful = { by: 'kim', time: NOON, yes: true }
    expect(ids({ state: 'closed', helpful })).not.toContain('helpful')
    expect(ids({ state: 'closed', merged_into: 'x' })).toEqual([])
  })

  test('lets go what is blocked, as the ledger names it, and nothing else', () => {
    const holds = { active: 3, total: 9, targets: ['203.0.113.0/24', '2001:db8::/64'] }
    const { attachments } = card(incidentOf({ holds }), en, NOON)
    const value = JSON.stringify(JSON.stringify({ i: incidentOf().uid, n: 2041, a: holds.targets, t: 3 }))
    expect(JSON.stringify(attachments).split(value)).toHaveLength(3)
  })

  test('says who did what by name alone, and what is still to be done', () => {
    const shown = (changed: Parameters<typeof incidentOf>[0]) => JSON.stringify(card(incidentOf(changed), en, NOON))
    const mark = { by: 'kim (U0123456789)', time: NOON }
    expect(shown({ acknowledged: mark })).toContain('acknowledged: kim')
    expect(shown({ acknowledged: mark, false_positive: mark })).not.toContain('U0123456789')
    expect(shown({ snoozed: { ...mark, until: NOON + 3_600_000 } })).toContain('snoozed until 13:00 KST: kim')
    expect(shown({ quiet_time: NOON })).toContain('quiet now, not acknowledged')
    expect(shown({ holds: { active: 3, waiting: 2, total: 3, slowest_ms: 4_210 } })).toContain(
      '3 addresses blocked* — 100 alerts — 2 addresses — 2 not in the WAF yet — each within 4.3 s',
    )
    expect(shown({ runbook: 'Look <!channel>' })).toContain('What to do: Look ‹!channel›')
    expect(shown({ state: 'closed' })).toContain('no false positive reported')
    expect(shown({ state: 'closed', helpful: { ...mark, yes: false } })).toContain('not helpful: kim')
  })

  test('has the same keys in both languages, and no text in the other one', () => {
    expect(Object.keys(wordsOf.ko).sort()).toEqual(Object.keys(wordsOf.en).sort())
    expect(JSON.stringify(wordsOf.en)).not.toMatch(/\p{Script=Hangul}/u)
    expect(Object.keys(wordsOf.ko.change)).toEqual(Object.keys(wordsOf.en.change))
  })

  test('of a storm is within the limits too', () => {
    const rows = Array.from({ length: 900 }, (_, each) =>
      incidentOf({ uid: String(each), title: hostile.slice(0, 128), targets: [hostile.slice(0, 128)] }),
    )
    for (const kind of ['storm', 'critical', 'quiet'] as const) {
      const round = { kind, fromMs: NOON, state: 'posted' as const, sinceMs: NOON }
      const message = roundCard(round, rows, ko, NOON)
      expect(blockKitProblems(message)).toEqual([])
      expect(JSON.stringify(message)).not.toMatch(/[<>]/)
    }
  })
})

describe('text from outside', () => {
  test('mentions nobody, links nowhere and formats nothing', () => {
    expect(markup('<!channel> <http://x|bank> *a* `b` ~c~ _d_ & @here', 200)).toBe(
      '‹!channel› ‹http[:]//x|bank› ∗a∗ ˋbˋ ∼c∼ ˍdˍ &amp; [[@]]here'.replace('[[@]]', '[@]'),
    )
    expect(plain('a\nb\u202e', 200)).toBe('a\\nb\\u202e')
  })

  test('is cut between characters', () => {
    expect(plain('😀😀😀', 4)).toBe('😀…')
    expect(plain('abc', 3)).toBe('abc')
  })
})

describe('local time', () => {
  const time = localTime('Asia/Seoul', '22:00-08:00')

  test('is that of the zone, with the date when it is another day', () => {
    expect(time.minute(NOON, NOON)).toBe('12:00 KST')
    expect(time.minute(NOON - 86_400_000, NOON)).toBe('11-23 12:00 KST')
    expect(time.second(NOON + 5_000)).toBe('12:00:05')
    expect(localTime('UTC', '').minute(NOON, NOON)).toBe('03:00 UTC')
  })

  test('knows the quiet hours over midnight, to the minute', () => {
    const at = (hour: number, minute: number) => Date.UTC(2026, 10, 24, hour - 9, minute)
    expect(time.quiet(at(21, 59))).toBeUndefined()
    expect(time.quiet(at(22, 0))).toEqual({ sinceMs: at(22, 0), endMs: at(32, 0) })
    expect(time.quiet(at(31, 59) + 59_999)).toEqual({ sinceMs: at(22, 0), endMs: at(32, 0) })
    expect(time.quiet(at(32, 0))).toBeUndefined()
    expect(localTime('Asia/Seoul', '').quiet(at(23, 0))).toBeUndefined()
    expect(localTime('Asia/Seoul', '00:00-00:00').quiet(at(0, 0))).toBeUndefined()
  })
})

type Message = ReturnType<typeof card>
const blocksOf = ({ attachments }: Message) =>
  attachments.flatMap(({ blocks = [] }) => blocks as { type: string; elements?: { action_id: string }[] }[])

function actionIds(message: Message): string[] {
  return blocksOf(message)
    .filter(({ type }) => type === 'actions')
    .flatMap(({ elements = [] }) => elements.map(({ action_id }) => action_id))
}

/** What is shown, without the buttons, whose values only come back to us. */
function apart(message: Message): { buttons: number; rest: string } {
  const rest = blocksOf(message).filter(({ type }) => type !== 'actions')
  return { buttons: actionIds(message).length, rest: JSON.stringify([message.text, rest]) }
}
