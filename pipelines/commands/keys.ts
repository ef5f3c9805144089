import { userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { systemClock } from '../../platform/clock.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { stableId } from '../../platform/stable-id.ts'
import type { Command } from '../command.ts'
import { sendDecision } from '../holds.ts'
import { readSettings } from '../settings.ts'

/** For people, and for a CI's scan for secrets. */
export const keys: Command = {
  name: 'keys',
  usage: 'revoke KEY_ID --reason TEXT [--by NAME]',
  summary: 'have a leaked AWS access key disabled in IAM (pipeline keys; a dry run unless HAETAE_BLOCKING is on)',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { reason: { type: 'string' }, by: { type: 'string' } },
    })
    const [action, keyId, extra] = positionals
    if (action !== 'revoke' || keyId === undefined || extra !== undefined)
      throw new HaetaeError('USAGE', 'revoke KEY_ID')
    if (!/^AKIA[A-Z0-9]{12,60}$/.test(keyId)) {
      throw new HaetaeError(
        'USAGE',
        'the id of a long-lived access key begins with AKIA; temporary ones (ASIA) end by themselves',
      )
    }
    if (!values.reason) throw new HaetaeError('USAGE', '--reason says why: whoever looks at it later is not you')
    const time = systemClock.now()
    await sendDecision(readSettings(), {
      uid: stableId('revoke', keyId, time),
      time,
      type: 'disable_key',
      target: { type: 'access_key', value: keyId },
      reason: values.reason,
      receivedMs: time,
      who: values.by ?? userInfo().username,
      source: 'cli',
    })
    console.error(`${keyId}: asked for; the topic audit says what came of it (key_disabled, key_refused or key_failed)`)
    return 0
  },
}
