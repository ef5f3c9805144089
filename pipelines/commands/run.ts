import { parseArgs } from 'node:util'
import { HaetaeError } from '../../platform/errors.ts'
import { createLog } from '../../platform/log.ts'
import type { Command } from '../command.ts'
import { askReload, serveControl } from '../control.ts'
import { loadPipeline, type PipelineConfig } from '../load.ts'
import { demand, startProcess } from '../process.ts'
import { ingestKey, makeStateFolder, pipelineVariables, readSettings, type Settings } from '../settings.ts'
import { onSignals } from '../signals.ts'
import { leaveWorkers, tellStatus } from '../workers/in-worker.ts'
import { demandShareable, startWorkers, WORKERS_MAX } from '../workers/workers.ts'

/** One pipeline as one process, or as several of one container: as each Deployment on Kubernetes runs it. */
export const run: Command = {
  name: 'run',
  usage: 'FILE [--workers N]',
  summary: 'run one pipeline file until it is stopped or its input ends; on Kafka as N processes with one status port',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      // `worker` is said by a process that starts others: which of them this one is.
      options: { workers: { type: 'string', default: '1' }, worker: { type: 'string' } },
    })
    const [file, extra] = positionals
    if (file === undefined || extra !== undefined) throw new HaetaeError('USAGE', 'name one pipeline file')
    const settings = readSettings()
    const count = numberOf(values.workers)
    const load = (): PipelineConfig => loaded(file, settings)
    const pipeline = load()
    if (count > 1) demandShareable(pipeline, settings)
    makeStateFolder(settings)
    const owned = (): void => {
      if (asksForIngestKey(pipeline)) provideKey(settings)
    }
    if (count > 1) {
      owned()
      return runWorkers(pipeline, count, settings)
    }
    const worker = values.worker === undefined ? {} : { worker: numberOf(values.worker) }
    try {
      const running = await startProcess([pipeline], settings, { load: () => [load()], owned, ...worker })
      onSignals({ ...running, drainMs: settings.drainMs, log: running.runtime.log })
      if (values.worker !== undefined) tellStatus(running.status.url)
      await running.done
    } finally {
      leaveWorkers()
    }
    return 0
  },
}

function loaded(file: string, settings: Settings): PipelineConfig {
  const pipeline = loadPipeline(file, pipelineVariables(settings))
  demand(pipeline, process.env)
  return pipeline
}

async function runWorkers(pipeline: PipelineConfig, count: number, settings: Settings): Promise<number> {
  const log = createLog(settings.logLevel)
  const workers = await startWorkers(pipeline, count, settings, log)
  const reload = async () => (await Promise.all(workers.stateFolders.map(askReload))).flat()
  const control = await serveControl(settings.stateFolder, reload, log)
  onSignals({ stop: workers.stop, reload, drainMs: settings.drainMs, log })
  const code = await workers.done
  await control.close()
  return code
}

function numberOf(text: string): number {
  const number = Number(text)
  if (/^\d{1,2}$/.test(text) && number >= 1 && number <= WORKERS_MAX) return number
  throw new HaetaeError('USAGE', `--workers is a number from 1 to ${WORKERS_MAX}`)
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
