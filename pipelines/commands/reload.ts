import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../command.ts'
import { askReload } from '../control.ts'
import { readSettings } from '../settings.ts'
import { formatOf, render } from '../terminal.ts'

/** Asks the processes of this state folder to read their pipeline files again. */
export const reload: Command = {
  name: 'reload',
  usage: '[-o table|json|ndjson]',
  summary: 'make what runs here read its pipeline files again, and say whether they are valid and which revision runs',
  async run(args) {
    const { values } = parseArgs({ args: [...args], options: { output: { type: 'string', short: 'o' } } })
    const format = formatOf(values.output)
    const { stateFolder } = readSettings()
    const answers = await askReload(stateFolder)
    if (answers.length === 0) {
      throw new HaetaeError(
        'USAGE',
        `no process runs with the state folder ${stateFolder}: name another with HAETAE_STATE`,
      )
    }
    const rows = answers.map(({ pipelines, message, ...rest }) => {
      // Several lines, one for each problem of a file, stay one row of a table.
      return {
        ...rest,
        pipelines: pipelines.join(', '),
        message: format === 'table' ? message.replaceAll('\n', '; ') : message,
      }
    })
    console.log(render(rows, ['pid', 'pipelines', 'valid', 'applied', 'revision', 'message'], format))
    if (answers.some(({ valid }) => !valid)) return 2
    return answers.every(({ applied }) => applied) ? 0 : 1
  },
}
