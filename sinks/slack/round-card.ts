import type { Incident } from '../../platform/incident.ts'
import type { Round } from '../../platform/notify/notice.ts'
import { cut, plain } from '../../platform/notify/text.ts'
import { type Message, preformatted, type Voice } from './card.ts'

const ROWS_MAX = 5
const COLOUR_STORM = '#b42318'
const COLOUR_OVER = '#027a48'
const COLOUR_QUIET = '#b54708'

/** One message for many incidents: totals, and the worst of them. */
export function roundCard(round: Round, incidents: readonly Incident[], voice: Voice, nowMs: number): Message {
  const { words, number, time } = voice
  const count = number(incidents.length)
  const isStorm = round.kind !== 'quiet'
  const title = isStorm ? words.storm(count) : words.quiet(count)
  const over = isStorm && round.endMs !== undefined
  const standing = !isStorm ? '' : ` (${over ? words.stormOver : words.storming})`
  const alerts = incidents.reduce((sum, each) => sum + each.count, 0)
  const worst = incidents.toSorted((a, b) => b.severity_id - a.severity_id || b.count - a.count).slice(0, ROWS_MAX)
  const rows = worst.map(each => {
    const { severity_id, title: what, targets, count: alertCount, number: inc } = each
    const target = targets[0] === undefined ? '' : ` · ${cut(targets[0], 60)}`
    return `INC-${inc} ${words.severity[severity_id] ?? ''} · ${cut(what, 80)}${target} · ${words.alerts(number(alertCount))}`
  })
  const rest = incidents.length - worst.length
  return {
    text: `${title}${standing} · ${words.alerts(number(alerts))}`,
    attachments: [
      {
        color: over ? COLOUR_OVER : isStorm ? COLOUR_STORM : COLOUR_QUIET,
        blocks: [
          { type: 'header', text: { type: 'plain_text', text: plain(`${title}${standing}`, 150), emoji: false } },
          { type: 'section', text: { type: 'mrkdwn', verbatim: true, text: `*${words.alerts(number(alerts))}*` } },
          ...(rows.length > 0 ? [preformatted(rows)] : []),
          {
            type: 'context',
            elements: [
              {
                type: 'plain_text',
                text: [...(rest > 0 ? [words.rest(number(rest))] : []), words.edited(time.second(nowMs))].join(' · '),
                emoji: false,
              },
            ],
          },
        ],
      },
    ],
  }
}
