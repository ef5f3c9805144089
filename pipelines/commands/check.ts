import { parseArgs } from 'node:util'
import { asError, HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../command.ts'
import { shippedPipelines } from '../files.ts'
import { ConfigError } from '../load.ts'
import { loadWithStandIns } from '../offline.ts'
import { warningsOf } from '../pipeline-warnings.ts'
import { readSettings, type Settings } from '../settings.ts'
import { formatOf, type Row, render } from '../terminal.ts'

/** Checks pipeline files against the schemas of their components. No network, nothing opened but the never-block list, nothing written. */
export const check: Command = {
  name: 'check',
  usage: '[FILE …] [-o table|json|ndjson]',
  summary: 'check pipeline files (those that come with Haetae when none is named)',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { output: { type: 'string', short: 'o' } },
    })
    const format = values.output === undefined ? undefined : formatOf(values.output)
    const settings = readSettings()
    const files = positionals.length > 0 ? positionals : shippedPipelines()
    const findings = (await Promise.all(files.map(file => findingsOf(file, settings)))).flat()
    if (format !== undefined) {
      const rows = findings.map((finding): Row => ({ ...finding }))
      console.log(render(rows, ['state', 'file', 'where', 'message'], format))
    } else {
      for (const { state, file, where, message } of findings) {
        if (state === 'warn') console.error(`${file}: warning: ${message}`)
        else if (state === 'ok') console.log(`${file}: ok${message && ` (${message})`}`)
        else console.error(where === '' ? message : `${where}: ${message}`)
      }
    }
    return findings.some(({ state }) => state === 'wrong') ? 2 : 0
  },
}

interface Finding {
  readonly state: 'ok' | 'warn' | 'wrong'
  readonly file: string
  /** `file:line:column`, where it is known. */
  readonly where: string
  readonly message: string
}

/** One that says ok, with what to think about beside it, or one for each thing that is wrong. */
async function findingsOf(file: string, settings: Settings): Promise<Finding[]> {
  try {
    const { pipeline, unset } = loadWithStandIns(file, settings)
    const message = unset.length > 0 ? `checked with a stand-in for ${unset.join(', ')}, which is not set` : ''
    const warnings = await warningsOf(pipeline)
    return [
      { state: 'ok', file, where: '', message },
      ...warnings.map((warning): Finding => ({ state: 'warn', file, where: '', message: warning })),
    ]
  } catch (thrown) {
    if (thrown instanceof ConfigError) return thrown.problems.map(problem => ({ state: 'wrong', file, ...problem }))
    const { message } = asError(thrown)
    const known = thrown instanceof HaetaeError
    return [{ state: 'wrong', file, where: '', message: known ? message : `${file}: ${message}` }]
  }
}
