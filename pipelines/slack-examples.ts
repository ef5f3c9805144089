import type { Incident } from '../platform/incident.ts'
import type { Bulletin } from '../platform/notify/notice.ts'
import { type AuditNews, isCritical, newsOf, takeNews } from '../sinks/slack/bulletin.ts'
import { bulletinCard } from '../sinks/slack/bulletin-card.ts'
import { card, type Message, type Voice } from '../sinks/slack/card.ts'
import { roundCard } from '../sinks/slack/round-card.ts'

/** Incidents as `haetae slack preview` shows them: each state that a message can be in, and text that tries to be acted on. */
export function exampleIncidents(nowMs: number): readonly { readonly name: string; readonly incident: Incident }[] {
  const ago = (minutes: number): number => nowMs - minutes * 60_000
  const actor: Incident = {
    uid: '5d41402abc4b2a76b9719d911017c592',
    number: 2040,
    version: 3,
    time: ago(0),
    state: 'open',
    kind: 'actor',
    key: 'address:203.0.113.7',
    title: 'SQL injection',
    actor: { type: 'address', value: '203.0.113.7' },
    severity_id: 4,
    opened_time: ago(2),
    updated_time: ago(0),
    first_seen_time: ago(2),
    last_seen_time: ago(0),
    count: 17,
    classes: ['T1190'],
    rules: [{ uid: 'sql-injection', title: 'SQL injection', count: 17 }],
    addresses: ['203.0.113.7'],
    address_count: 1,
    targets: ['shop.example.kr'],
    countries: [{ name: 'NL', count: 17 }],
    networks: [{ name: 'AS64500 Example Hosting', count: 17 }],
    timeline: [{ time: ago(2), what: 'opened', detail: 'SQL injection' }],
    holds: { active: 1, total: 1, until: nowMs + 3_600_000 },
    example: { method: 'GET', path: "/search?q=1' OR 1=1--", user_agent: 'sqlmap/1.8', rule: 'SQLi' },
    runbook: 'Check whether any request got through.',
    merged: [],
    sample: false,
  }
  const campaign: Incident = {
    ...actor,
    uid: '7d793037a0760186574b0282f2f435e7',
    number: 2041,
    kind: 'campaign',
    key: 'class:T1110',
    title: 'Credential stuffing',
    opened_time: ago(18),
    first_seen_time: ago(18),
    count: 1_204,
    rules: [
      { uid: 'stuffing', title: 'Credential stuffing', count: 1_180 },
      { uid: 'scanner', title: 'Scanner user agent', count: 24 },
    ],
    addresses: Array.from(
      { length: 50 },
      (_, each) => `2001:db8:ffff:ffff:ffff:ffff:ffff:${(0xff00 + each).toString(16)}`,
    ),
    address_count: 381,
    targets: ['api.example.kr', 'shop.example.kr', 'admin.example.kr', 'm.example.kr'],
    countries: [
      { name: 'CN', count: 840 },
      { name: 'US', count: 364 },
    ],
    networks: [{ name: 'AS4134 Chinanet', count: 840 }],
    holds: { active: 38, waiting: 2, total: 38, until: nowMs + 3_600_000, slowest_ms: 4_180 },
    example: { method: 'POST', path: '/login', user_agent: 'python-requests/2.31', rule: 'RateLimit-Login' },
  }
  const { actor: _, ...many } = campaign
  const hostile = '<!channel> <@U123456> <http://x|bank> *a* ``` \u202e \u0000'
  return [
    { name: 'one-actor', incident: actor },
    { name: 'campaign', incident: many },
    { name: 'acknowledged', incident: { ...many, acknowledged: { by: 'kim (U0123456789)', time: ago(1) } } },
    { name: 'false-positive', incident: { ...actor, false_positive: { by: 'lee (U0987654321)', time: ago(1) } } },
    {
      name: 'resolved',
      incident: { ...many, state: 'closed', closed_time: ago(0), holds: { active: 0, total: 38, slowest_ms: 4_180 } },
    },
    {
      name: 'snoozed',
      incident: { ...actor, snoozed: { by: 'kim (U0123456789)', time: ago(1), until: ago(-59) } },
    },
    {
      name: 'not-acknowledged',
      incident: { ...many, severity_id: 5, critical_time: ago(18), quiet_time: ago(1) },
    },
    {
      name: 'hostile',
      incident: {
        ...actor,
        severity_id: 5,
        title: hostile,
        targets: [hostile.repeat(2)],
        example: {
          method: hostile.slice(0, 32),
          path: hostile.repeat(9),
          user_agent: hostile.repeat(4),
          rule: hostile,
        },
        rules: Array.from({ length: 20 }, (_rule, each) => ({ uid: String(each), title: hostile.repeat(2), count: 1 })),
        networks: [{ name: hostile, count: 1 }],
      },
    },
    { name: 'sample', incident: { ...actor, severity_id: 3, sample: true } },
  ]
}

/** What happened, as the audit says it, for each kind of message that is about no incident. */
const happened: readonly Omit<AuditNews, 'metadata' | 'time' | 'dry_run'>[] = [
  { what: 'budget_tripped', who: 'haetae', skip_reason: 'minute' },
  {
    what: 'waf_failed',
    who: 'haetae',
    place: 'regional/ap-northeast-2',
    reason: 'IP sets in regional/ap-northeast-2: AccessDeniedException: not authorized to perform wafv2:UpdateIPSet',
  },
  { what: 'hold_refused', who: 'haetae', target: '203.0.113.7', skip_reason: 'ledger_full', reason: '100000 holds' },
  { what: 'key_disabled', who: 'haetae', target: 'AKIAIOSFODNN7EXAMPLE', reason: 'Leaked credentials used' },
  {
    what: 'key_failed',
    who: 'haetae',
    target: 'AKIAI44QH8DHBEXAMPLE',
    skip_reason: 'waiting',
    reason: 'IAM: AccessDenied: not authorized to perform iam:UpdateAccessKey',
  },
  { what: 'hold_released', who: 'kim (U0123456789)', target: '203.0.113.7', reason: 'customer' },
  {
    what: 'hold_suspended',
    who: 'operator',
    target: '203.0.113.7',
    reason: 'removed by an operator from haetae-block-v4 in regional/ap-northeast-2',
  },
  { what: 'pipeline_paused', who: 'haetae', target: 'waf', reason: 'opensearch: SINK_UNAUTHORISED: 401' },
]

/** Every example as it is posted: incidents, what gathers many of them, and what is none. */
export function exampleMessages(
  voice: Voice,
  nowMs: number,
): readonly { readonly name: string; readonly message: Message }[] {
  const incidents = exampleIncidents(nowMs)
  const rounds = (['storm', 'quiet'] as const).map(kind => {
    const round = { kind, fromMs: nowMs - 600_000, state: 'posted', sinceMs: 1 } as const
    const rows = incidents
      .filter(({ name }) => name !== 'hostile')
      .map(({ incident }, at) => ({ ...incident, number: 2_040 + at, severity_id: kind === 'quiet' ? 3 : 4 }))
    return { name: kind, message: roundCard(round, rows, voice, nowMs) }
  })
  const bulletins: Bulletin[] = []
  for (const [at, each] of happened.entries()) {
    const audit = { ...each, metadata: { uid: String(at) }, time: nowMs, dry_run: false }
    const news = newsOf(audit, voice.words, undefined)
    if (news) takeNews(bulletins, news, audit)
  }
  return [
    ...incidents.map(({ name, incident }) => ({ name, message: card(incident, voice, nowMs) })),
    ...rounds,
    ...bulletins.map(each => ({ name: each.kind, message: bulletinCard(each, isCritical(each.kind), voice, nowMs) })),
  ]
}
