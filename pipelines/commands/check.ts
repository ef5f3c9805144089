import { parseArgs } from 'node:util'
import { asError, HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../cli.ts'
import { shippedPipelines } from '../files.ts'
import { loadWithStandIns } from '../offline.ts'
import { readSettings } from '../settings.ts'

/** Checks pipeline files against the schemas of their components. No network, nothing opened, nothing written. */
export const check: Command = {
  name: 'check',
  usage: '[FILE …]',
  summary: 'check pipeline files (those that come with Haetae when none is named)',
  async run(args) {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true })
    const files = positionals.length > 0 ? positionals : shippedPipelines()
    let wrong = 0
    for (const file of files) {
      try {
        const { unset } = loadWithStandIns(file, readSettings())
        const note = unset.length > 0 ? ` (checked with a stand-in for ${unset.join(', ')}, which is not set)` : ''
        console.log(`${file}: ok${note}`)
      } catch (thrown) {
        wrong++
        console.error(thrown instanceof HaetaeError ? thrown.message : `${file}: ${asError(thrown).message}`)
      }
    }
    return wrong > 0 ? 2 : 0
  },
}
