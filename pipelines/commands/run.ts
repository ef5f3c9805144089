import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../cli.ts'
import { loadPipeline } from '../load.ts'
import { demand, startProcess } from '../process.ts'
import { ingestKey, makeStateFolder, pipelineVariables, readSettings } from '../settings.ts'
import { stopOnSignals } from '../signals.ts'

/** One pipeline as one process, as each Deployment on Kubernetes runs it. */
export const run: Command = {
  name: 'run',
  usage: 'FILE',
  summary: 'run one pipeline file until it is stopped or its input ends',
  async run(args) {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true })
    const [file, extra] = positionals
    if (file === undefined || extra !== undefined) throw new HaetaeError('USAGE', 'name one pipeline file')
    const settings = readSettings()
    makeStateFolder(settings)
    ingestKey(settings)
    const pipeline = loadPipeline(file, pipelineVariables(settings))
    demand(pipeline, process.env)
    const running = await startProcess([pipeline], settings)
    stopOnSignals(running.stop, running.runtime.log)
    await running.done
    return 0
  },
}
