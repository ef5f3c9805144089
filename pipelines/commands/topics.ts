import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../cli.ts'
import { readSettings } from '../settings.ts'
import { formatOf, render } from '../terminal.ts'
import { forgetGroup, type Move, moveGroup, topicLags } from '../topics.ts'

/** What waits in the topic log and for whom, and the way out when a group holds it full or cannot go on. */
export const topics: Command = {
  name: 'topics',
  usage:
    'list [-o table|json|ndjson] | forget GROUP | move GROUP TOPIC --to earliest|latest|OFFSET [--partition N] [-o …]',
  summary:
    'list the consumer groups of the topic log and what waits for them, forget a group that is not needed, or make one ' +
    'whose pipeline is stopped go on elsewhere',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        output: { type: 'string', short: 'o' },
        to: { type: 'string' },
        partition: { type: 'string' },
      },
    })
    const [action, ...names] = positionals
    const moves = values.to !== undefined || values.partition !== undefined
    if (action === 'list' && names.length === 0 && !moves) return list(values.output)
    const [group, topic] = names
    if (action === 'forget' && group !== undefined && names.length === 1 && !moves) return forget(group)
    if (action === 'move' && group !== undefined && topic !== undefined && names.length === 2) {
      return move({ group, topic, partition: partitionOf(values.partition), to: targetOf(values.to) }, values.output)
    }
    throw new HaetaeError('USAGE', 'topics list, topics forget GROUP, or topics move GROUP TOPIC --to …')
  },
}

async function list(output: string | undefined): Promise<number> {
  const rows = (await topicLags(readSettings())).map(({ group, topic, partition, committed, end }) => {
    return {
      group,
      topic,
      partition,
      committed: String(committed),
      end: String(end),
      waiting: String(end - committed),
    }
  })
  console.log(render(rows, ['group', 'topic', 'partition', 'committed', 'end', 'waiting'], formatOf(output)))
  return 0
}

async function forget(group: string): Promise<number> {
  await forgetGroup(readSettings(), group)
  console.error(`the group ${group} is forgotten: it no longer keeps records in the log`)
  return 0
}

async function move(asked: Move, output: string | undefined): Promise<number> {
  const format = formatOf(output)
  const rows = (await moveGroup(readSettings(), asked)).map(({ partition, from, to }) => {
    return { partition, from: String(from), to: String(to) }
  })
  console.log(render(rows, ['partition', 'from', 'to'], format))
  return 0
}

function targetOf(text: string | undefined): Move['to'] {
  if (text === 'earliest' || text === 'latest') return text
  if (text !== undefined && /^\d{1,16}$/.test(text)) return BigInt(text)
  throw new HaetaeError('USAGE', '--to is earliest, latest or an offset in digits')
}

function partitionOf(text: string | undefined): number | undefined {
  if (text === undefined || /^\d{1,4}$/.test(text)) return text === undefined ? undefined : Number(text)
  throw new HaetaeError('USAGE', '--partition is a number in digits')
}
