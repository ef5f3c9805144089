import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import { redactText } from '../../platform/redaction.ts'
import { untrusted } from '../../platform/untrusted.ts'
import type { Command } from '../command.ts'
import { type Found, findDeadLetters, replayDeadLetters, type Selection } from '../dead-letters.ts'
import { offlineDeps } from '../offline.ts'
import { readSettings } from '../settings.ts'
import { counted, formatOf, type Row, render } from '../terminal.ts'
import { withTopics } from '../topics/ask.ts'

const LISTED_MAX = 10_000

/** What could not be processed: why, and the bytes as they were received. */
export const deadletter: Command = {
  name: 'deadletter',
  usage:
    'list|show ID|replay [ID …|--all] [--pipeline NAME] [--reason CODE] [--replayed] [--raw] [-o table|json|ndjson]',
  summary: 'list what was rejected, show one record (redacted unless --raw), or send records through again',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' },
        pipeline: { type: 'string' },
        reason: { type: 'string' },
        all: { type: 'boolean', default: false },
        replayed: { type: 'boolean', default: false },
        raw: { type: 'boolean', default: false },
      },
    })
    const [action, ...ids] = positionals
    // An empty one, from a variable that was not set, would begin every id.
    if (ids.some(id => !/^[0-9a-f]{4,32}$/.test(id)))
      throw new HaetaeError('USAGE', 'an id is its first 4 to 32 hex digits')
    const { pipeline, reason, replayed } = values
    const selection: Selection = { pipeline, reason, replayed, ...(ids.length > 0 ? { ids } : {}) }
    switch (action ?? '') {
      case 'list':
        return list(selection, values.output)
      case 'show':
        if (ids.length === 0) throw new HaetaeError('USAGE', 'name the id, or its beginning, as `list` shows it')
        return show({ ...selection, replayed: true }, values.raw)
      case 'replay':
        if (ids.length === 0 && !values.all && reason === undefined && pipeline === undefined) {
          throw new HaetaeError('USAGE', 'name ids, --pipeline or --reason, or --all')
        }
        return replay(selection)
      default:
        throw new HaetaeError('USAGE', 'the first argument is list, show or replay')
    }
  },
}

async function list(selection: Selection, output: string | undefined): Promise<number> {
  const format = formatOf(output)
  const rows: Row[] = []
  let more = 0
  for await (const found of findDeadLetters(readSettings().deadLetterFolder, selection)) {
    if (rows.length < LISTED_MAX) rows.push(rowOf(found))
    else more++
  }
  if (rows.length === 0 && format === 'table') console.error('The dead letter is empty.')
  else console.log(render(rows, ['id', 'time', 'pipeline', 'stage', 'bytes', 'replayed', 'reason'], format))
  if (more > 0) console.error(`… and ${more} more: narrow it with --pipeline or --reason`)
  return 0
}

function rowOf({ letter, replayed }: Found): Row {
  const { id, pipeline, stage, reason, timeMs, raw } = letter
  const time = new Date(timeMs).toISOString()
  return { id, time, pipeline, stage, bytes: raw.length, replayed, reason: redactText(reason.slice(0, 200)) }
}

async function show(selection: Selection, raw: boolean): Promise<number> {
  let shown = 0
  for await (const { letter, replayed } of findDeadLetters(readSettings().deadLetterFolder, selection)) {
    shown++
    const { id, kind, pipeline, stage, reason, timeMs, origin } = letter
    const place = origin ? ` at ${origin.stream} ${origin.position}` : ''
    console.error(
      [
        `id        ${id}${replayed ? ' (replayed)' : ''}`,
        `record    ${kind}${place}`,
        `rejected  ${new Date(timeMs).toISOString()} by ${stage} in ${pipeline}`,
        `reason    ${untrusted(redactText(reason))}`,
      ].join('\n'),
    )
    if (raw) process.stdout.write(Buffer.concat([letter.raw, Buffer.from('\n')]))
    else console.log(untrusted(redactText(letter.raw.toString('utf8'))))
  }
  if (shown > 0) return 0
  console.error('no dead letter has this id')
  return 1
}

async function replay(selection: Selection): Promise<number> {
  const settings = readSettings()
  const { sent, skipped, left } = await withTopics(settings, append =>
    replayDeadLetters(settings.deadLetterFolder, selection, append, offlineDeps('replay', settings)),
  )
  if (selection.ids !== undefined && sent + skipped + left === 0) {
    console.error(
      'no dead letter that waits has such an id: `list --replayed` shows those that were sent again already',
    )
    return 1
  }
  console.error(`${counted(sent, 'record')} sent again`)
  if (skipped > 0)
    console.error(
      `${skipped} skipped: of an oversize record only the beginning is kept, an announcement of S3 is no record, and an incident is out of date`,
    )
  if (left > 0) console.error(`${left} left: run the command again, or narrow it with --pipeline or --reason`)
  return 0
}
