import type { Bulletin } from '../../platform/notify/notice.ts'
import { escapeMarkup, plain } from '../../platform/notify/text.ts'
import { type Message, preformatted, type Voice } from './card.ts'

const COLOUR = '#7a0019'
const COLOUR_OPS = '#b54708'
const COLOUR_OVER = '#027a48'
const LINE_CHARS = 400

/** What people must know and is no incident: what happened, the newest of it, and what they can do. */
export function bulletinCard(
  bulletin: Bulletin,
  isCritical: boolean,
  { words, time, number }: Voice,
  nowMs: number,
): Message {
  const { kind, subject, endMs, lines, count, dryRun, fromMs, lastMs } = bulletin
  const { title, over, advice } = words.bulletins[kind]
  const isOver = over !== undefined && endMs !== undefined
  const about = [isOver ? over : title, ...(subject === '' ? [] : [subject]), ...(dryRun ? [words.dryRun] : [])].join(
    ' · ',
  )
  const [newest] = lines.slice(-1)
  const rows = lines.map(line => `${time.minute(line.time, nowMs)}  ${line.text}`)
  const footer = [
    words.told(number(count)),
    `${time.minute(fromMs, nowMs)} – ${time.minute(lastMs, nowMs)}`,
    words.edited(time.second(nowMs)),
  ]
  return {
    text: escapeMarkup(plain(`${about}${newest && !isOver ? ` — ${newest.text}` : ''}`, 400)),
    attachments: [
      {
        color: isOver ? COLOUR_OVER : isCritical ? COLOUR : COLOUR_OPS,
        blocks: [
          { type: 'header', text: { type: 'plain_text', text: plain(about, 150), emoji: false } },
          ...(rows.length > 0 ? [preformatted(rows, LINE_CHARS)] : []),
          ...(isOver
            ? []
            : [
                {
                  type: 'section' as const,
                  text: { type: 'mrkdwn' as const, verbatim: true, text: escapeMarkup(advice) },
                },
              ]),
          { type: 'context', elements: [{ type: 'plain_text', text: footer.join(' · '), emoji: false }] },
        ],
      },
    ],
  }
}
