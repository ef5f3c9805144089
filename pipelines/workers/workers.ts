import cluster, { type Worker } from 'node:cluster'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HaetaeError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import { createMetrics } from '../../platform/metrics.ts'
import type { PipelineConfig } from '../load.ts'
import { type StatusServer, servePages } from '../pages.ts'
import type { Settings } from '../settings.ts'
import { type WorkerPlace, workersPages } from './pages.ts'

export const WORKERS_MAX = 64
const PROGRAM = fileURLToPath(new URL('../haetae.mjs', import.meta.url))

/** What a worker tells the process that started it. */
export interface WorkerMessage {
  /** Of its own status page. */
  readonly statusUrl: string
}

/** Several processes with one pipeline, one consumer each, as one: one status port, one end. */
export interface Workers {
  readonly status: StatusServer
  /** Resolves with the exit code of the container when every worker has ended. Never rejects. */
  readonly done: Promise<number>
  /** Lets every worker settle what it has read. */
  readonly stop: () => void
  /** State folders of the workers, each with a control socket. */
  readonly stateFolders: readonly string[]
}

/** Throws USAGE when the pipeline cannot be shared out to several processes. */
export function demandShareable({ file, source: { spec } }: PipelineConfig, settings: Settings): void {
  if (!settings.kafka) {
    throw new HaetaeError('USAGE', '--workers needs Kafka (HAETAE_KAFKA_BROKERS): one process owns the embedded log')
  }
  if (spec.type === 'topic' || spec.type === 'http') return
  throw new HaetaeError(
    'USAGE',
    `${file} reads from ${spec.type}, and each worker would read all of it: --workers is for the sources topic and http`,
  )
}

/** Where worker number `worker` keeps its state: spools and dead letters are of one process. */
export function workerFolder(stateFolder: string, worker: number): string {
  return join(stateFolder, 'workers', String(worker))
}

/**
 * Starts `count` processes of `haetae run FILE`. One that ends by itself ends the others, and with them the container: its reason is
 * in the log, and whoever restarts containers restarts it. Rejects with LISTEN_FAILED when the status port is not to be had.
 */
export async function startWorkers(
  { file, name }: PipelineConfig,
  count: number,
  settings: Settings,
  log: Log,
): Promise<Workers> {
  const metrics = createMetrics({ processMetrics: true })
  const alive = metrics.gauge('haetae_workers_count', 'Workers of the container that live')
  const places = new Map<number, WorkerPlace>()
  const pages = workersPages(
    name,
    () => [...places.values()],
    () => metrics.expose(),
  )
  const { statusHost: host, statusPort: port, statusHosts: hosts } = settings
  const status = await servePages({ host, port, hosts }, pages)
  const numbers = Array.from({ length: count }, (_, at) => at + 1)
  const forked = numbers.map(number => fork(file, number, settings))
  let stopping = false
  let exitCode = 0
  const kill = (signal: NodeJS.Signals): void => {
    for (const each of forked) each.process.kill(signal)
  }
  const stop = (): void => {
    if (stopping) return
    stopping = true
    kill('SIGTERM')
    // A worker that does not keep its own deadline is not waited for.
    setTimeout(() => kill('SIGKILL'), settings.drainMs + OVERDUE_MS).unref()
  }
  const ended = forked.map(async (worker, at) => {
    const number = numbers[at]!
    places.set(number, { worker: number, pid: worker.process.pid ?? 0, url: undefined })
    alive.set(places.size)
    worker.on('message', (message: WorkerMessage) => {
      places.set(number, { worker: number, pid: worker.process.pid ?? 0, url: message.statusUrl })
    })
    const { code, signal } = await exitOf(worker)
    places.delete(number)
    alive.set(places.size)
    exitCode = Math.max(exitCode, exitCodeOf({ code, signal }, stopping))
    if (stopping) return
    const why = code === 0 ? ': it ended well without being told to' : ''
    log.error(`a worker ended by itself${why}: the others stop, too, as the container is to be restarted`, {
      worker: number,
      ...(signal === null ? { code } : { signal }),
    })
    stop()
  })
  const done = Promise.all(ended).then(async () => {
    await status.close()
    return exitCode
  })
  return { status, done, stop, stateFolders: numbers.map(number => workerFolder(settings.stateFolder, number)) }
}

/** How long after the drain a process may take to close. */
const OVERDUE_MS = 20_000

function fork(file: string, number: number, settings: Settings): Worker {
  cluster.setupPrimary({ exec: PROGRAM, args: ['run', file, '--worker', String(number)] })
  return cluster.fork({
    HAETAE_STATE: workerFolder(settings.stateFolder, number),
    HAETAE_LAKE: settings.lake,
    HAETAE_STATUS_HOST: '127.0.0.1',
    HAETAE_STATUS_PORT: '0',
    // The launcher would replace its process for it, and with it the channel to us.
    MALLOC_ARENA_MAX: process.env['MALLOC_ARENA_MAX'] ?? '2',
  })
}

interface Exit {
  readonly code: number | null
  readonly signal: string | null
}

/** What the end of a worker means for the container: 0 only for one that was told to stop, as nobody restarts what ended well. */
export function exitCodeOf({ code, signal }: Exit, stopping: boolean): number {
  if (!stopping) return code || 1
  // One that was told to stop before it could listen for it has nothing to settle.
  return code ?? (signal === 'SIGTERM' ? 0 : 1)
}

function exitOf(worker: Worker): Promise<Exit> {
  return new Promise(resolve => {
    worker.once('exit', (code: number | null, signal: string | null) => resolve({ code, signal }))
    worker.once('error', () => resolve({ code: 1, signal: null }))
  })
}
