import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import type { GroupLag } from '../../platform/topics/contract.ts'
import type { Command } from '../cli.ts'
import { readSettings } from '../settings.ts'
import { formatOf, render } from '../terminal.ts'
import { changeTopics, configuredTopics, forgetGroup, topicLags } from '../topics.ts'

const USAGE = 'topics list, topics lag, topics plan [FILE …], topics apply [FILE …] or topics forget GROUP'

/** What waits in the topics and for whom; Kafka's topics made as the pipelines want them; groups that are gone forgotten. */
export const topics: Command = {
  name: 'topics',
  usage: 'list | lag | plan [FILE …] | apply [FILE …] | forget GROUP   [-o table|json|ndjson]',
  summary:
    'list the consumer groups and what waits for them, show or make what the pipelines need in Kafka, or forget a group',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { output: { type: 'string', short: 'o' } },
    })
    const [action, ...rest] = positionals
    const format = formatOf(values.output)
    if (action === 'plan' || action === 'apply') return change(rest, action === 'apply', format)
    if (action === 'forget') return forget(rest)
    if ((action !== 'list' && action !== 'lag') || rest.length > 0) throw new HaetaeError('USAGE', USAGE)
    printLags(await topicLags(readSettings()), action === 'lag', format)
    return 0
  },
}

async function change(files: readonly string[], apply: boolean, format: ReturnType<typeof formatOf>): Promise<number> {
  const settings = readSettings()
  const configs = files.length > 0 ? configuredTopics(settings, files) : configuredTopics(settings)
  const changes = await changeTopics(settings, configs, apply)
  console.log(
    render(
      changes.map(each => ({ ...each })),
      ['topic', 'action', 'detail'],
      format,
    ),
  )
  return changes.some(({ action }) => action === 'refuse') ? 1 : 0
}

async function forget([group, extra]: readonly string[]): Promise<number> {
  if (group === undefined || extra !== undefined) throw new HaetaeError('USAGE', USAGE)
  await forgetGroup(readSettings(), group)
  console.error(`the group ${group} is forgotten: it no longer keeps records, and begins anew if it comes back`)
  return 0
}

function printLags(lags: readonly GroupLag[], sum: boolean, format: ReturnType<typeof formatOf>): void {
  if (!sum) {
    const rows = lags.map(({ group, topic, partition, committed, end }) => {
      const waiting = String(end - committed)
      return { group, topic, partition, committed: String(committed), end: String(end), waiting }
    })
    console.log(render(rows, ['group', 'topic', 'partition', 'committed', 'end', 'waiting'], format))
    return
  }
  const sums = new Map<string, { readonly group: string; readonly topic: string; waiting: bigint }>()
  for (const { group, topic, committed, end } of lags) {
    const row = sums.get(`${group} ${topic}`) ?? { group, topic, waiting: 0n }
    row.waiting += end - committed
    sums.set(`${group} ${topic}`, row)
  }
  const rows = [...sums.values()].map(row => ({ ...row, waiting: String(row.waiting) }))
  console.log(render(rows, ['group', 'topic', 'waiting'], format))
}
