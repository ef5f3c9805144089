import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../cli.ts'
import { readSettings } from '../settings.ts'
import { formatOf, render } from '../terminal.ts'
import { forgetGroup, topicLags } from '../topics.ts'

/** What waits in the topic log and for whom, and the way out when a group that is gone holds it full. */
export const topics: Command = {
  name: 'topics',
  usage: 'list [-o table|json|ndjson] | forget GROUP',
  summary: 'list the consumer groups of the topic log and what waits for them, or forget a group that is not needed',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { output: { type: 'string', short: 'o' } },
    })
    const [action, group, extra] = positionals
    if (action === 'list' && group === undefined) {
      const rows = (await topicLags(readSettings())).map(({ group: name, topic, partition, committed, end }) => {
        return {
          group: name,
          topic,
          partition,
          committed: String(committed),
          end: String(end),
          waiting: String(end - committed),
        }
      })
      console.log(render(rows, ['group', 'topic', 'partition', 'committed', 'end', 'waiting'], formatOf(values.output)))
      return 0
    }
    if (action !== 'forget' || group === undefined || extra !== undefined) {
      throw new HaetaeError('USAGE', 'topics list, or topics forget GROUP')
    }
    await forgetGroup(readSettings(), group)
    console.error(`the group ${group} is forgotten: it no longer keeps records in the log`)
    return 0
  },
}
