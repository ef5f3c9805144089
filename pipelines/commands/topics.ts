import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../command.ts'
import { readSettings } from '../settings.ts'
import { formatOf, render } from '../terminal.ts'
import { configuredTopics } from '../topics/configured.ts'
import { forgetGroup, type Move, moveGroup, topicLags } from '../topics/groups.ts'
import { changeTopics } from '../topics/standing.ts'

/** What waits in the topics and for whom; Kafka's topics made as pipelines want them; ways out for a group that cannot go on. */
export const topics: Command = {
  name: 'topics',
  usage:
    'list | lag | plan [FILE …] | apply [FILE …] | forget GROUP | move GROUP TOPIC --to earliest|latest|OFFSET ' +
    '[--partition N]   [-o table|json|ndjson]',
  summary:
    'list the consumer groups and what waits for them, show or make what the pipelines need in Kafka, forget a group ' +
    'that is not needed, or make one whose pipeline is stopped go on elsewhere',
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
    if (action === 'lag' && names.length === 0 && !moves) return lag(values.output)
    if ((action === 'plan' || action === 'apply') && !moves) return change(names, action === 'apply', values.output)
    const [group, topic] = names
    if (action === 'forget' && group !== undefined && names.length === 1 && !moves) return forget(group)
    if (action === 'move' && group !== undefined && topic !== undefined && names.length === 2) {
      return move({ group, topic, partition: partitionOf(values.partition), to: targetOf(values.to) }, values.output)
    }
    throw new HaetaeError('USAGE', 'topics list, lag, plan, apply, forget GROUP, or move GROUP TOPIC --to …')
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

/** In short: one row for each group and topic. */
async function lag(output: string | undefined): Promise<number> {
  const sums = new Map<string, { readonly group: string; readonly topic: string; waiting: bigint }>()
  for (const { group, topic, committed, end } of await topicLags(readSettings())) {
    const row = sums.get(`${group} ${topic}`) ?? { group, topic, waiting: 0n }
    row.waiting += end - committed
    sums.set(`${group} ${topic}`, row)
  }
  const rows = [...sums.values()].map(row => ({ ...row, waiting: String(row.waiting) }))
  console.log(render(rows, ['group', 'topic', 'waiting'], formatOf(output)))
  return 0
}

async function change(files: readonly string[], apply: boolean, output: string | undefined): Promise<number> {
  const format = formatOf(output)
  const settings = readSettings()
  const configs = files.length > 0 ? configuredTopics(settings, files) : configuredTopics(settings)
  const changes = (await changeTopics(settings, configs, apply)).map(each => ({ ...each }))
  console.log(render(changes, ['topic', 'action', 'detail'], format))
  return changes.some(({ action }) => action === 'refuse') ? 1 : 0
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
