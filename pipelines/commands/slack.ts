import { parseArgs } from 'node:util'
import { systemClock } from '../../platform/clock.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { languages } from '../../platform/notify/words.ts'
import { voiceOf } from '../../sinks/slack.ts'
import type { Command } from '../command.ts'
import { exampleMessages } from '../slack-examples.ts'

/** What would be posted, without a workspace: Block Kit JSON that api.slack.com/tools/block-kit-builder takes. */
export const slack: Command = {
  name: 'slack',
  usage: 'preview [NAME] [--lang ko|en] [--tz ZONE] [--console URL]',
  summary: 'print example Slack messages as Block Kit JSON, one a line or the named one whole; sends nothing',
  run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { lang: { type: 'string' }, tz: { type: 'string' }, console: { type: 'string' } },
    })
    const [action, name, ...rest] = positionals
    if (action !== 'preview' || rest.length > 0) throw new HaetaeError('USAGE', 'slack preview [NAME]')
    const nowMs = systemClock.now()
    const voice = voiceFrom(values)
    const examples = exampleMessages(voice, nowMs)
    const wanted = name === undefined ? examples : examples.filter(each => each.name === name)
    if (wanted.length === 0) {
      throw new HaetaeError(
        'USAGE',
        `no example is called "${name}"; there are: ${examples.map(each => each.name).join(', ')}`,
      )
    }
    for (const { name: example, message } of wanted) {
      console.error(`${example}: ${message.text}`)
      console.log(
        name === undefined ? JSON.stringify({ name: example, ...message }) : JSON.stringify(message, undefined, 2),
      )
    }
    return Promise.resolve(0)
  },
}

function voiceFrom({
  lang = 'ko',
  tz = 'Asia/Seoul',
  console: consoleUrl = '',
}: Readonly<Record<string, string | undefined>>) {
  const language = languages.find(each => each === lang)
  if (!language) throw new HaetaeError('USAGE', `--lang is ${languages.join(' or ')}`)
  try {
    return voiceOf({ language, timeZone: tz, quietHours: '', consoleUrl })
  } catch {
    throw new HaetaeError('USAGE', `--tz is a time zone such as Asia/Seoul, not "${tz}"`)
  }
}
