import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import type { Command } from '../cli.ts'
import { loadPipeline, type PipelineConfig } from '../load.ts'
import { demand, startProcess } from '../process.ts'
import { ingestKey, makeStateFolder, pipelineVariables, readSettings, type Settings } from '../settings.ts'
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
    const pipeline = loadPipeline(file, pipelineVariables(settings))
    demand(pipeline, process.env)
    makeStateFolder(settings)
    if (asksForIngestKey(pipeline)) provideKey(settings)
    const running = await startProcess([pipeline], settings)
    stopOnSignals(running.stop, running.runtime.log)
    await running.done
    return 0
  },
}

function asksForIngestKey({ source: { spec, config } }: PipelineConfig): boolean {
  if (spec.type !== 'http') return false
  const { accessKey } = config as { readonly accessKey: { readonly env?: string } }
  return accessKey.env === 'HAETAE_FIREHOSE_KEY'
}

/** The given key, or one of our own, said where it is. On Kafka there are several of this process, and all need the same. */
function provideKey(settings: Settings): void {
  if (settings.kafka && !process.env['HAETAE_FIREHOSE_KEY']) {
    throw new HaetaeError(
      'SECRET_MISSING',
      'HAETAE_FIREHOSE_KEY is empty or not set: set it to the access key that clients send, the same for every process',
    )
  }
  const { made, path } = ingestKey(settings)
  if (made) console.error(`haetae run: clients send the access key in ${path} (HAETAE_FIREHOSE_KEY is not set)`)
}
