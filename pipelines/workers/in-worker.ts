import cluster from 'node:cluster'
import type { WorkerMessage } from './workers.ts'

/** In a worker: tells the process that started it where it is asked how it stands. */
export function tellStatus(statusUrl: string): void {
  const message: WorkerMessage = { statusUrl }
  process.send?.(message)
}

/** In a worker: lets go of the channel to the process that started it, which would keep this one alive. */
export function leaveWorkers(): void {
  if (cluster.isWorker) cluster.worker?.disconnect()
}
