import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { keepRetention } from '../engine/dead-letter-files.ts'
import { DeadLetterFile } from '../engine/dead-letter-store.ts'
import { asError, HaetaeError } from '../platform/errors.ts'
import { type FolderLock, lockFolder } from '../platform/folder-lock.ts'
import type { Log } from '../platform/log.ts'
import type { PipelineConfig } from './load.ts'
import type { Runtime } from './runtime.ts'

/** What one pipeline keeps on disk, and nobody but this process writes as long as it is open. */
export interface PipelineState {
  readonly folder: string
  readonly deadLetter: DeadLetterFile
  close(): Promise<void>
}

/** Makes the folder and takes it. Throws STATE_OWNED when another process runs this pipeline there. */
export function openState(config: PipelineConfig, runtime: Runtime, log: Log): PipelineState {
  const { settings, metrics, clock } = runtime
  const folder = join(settings.stateFolder, 'pipelines', config.name)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (cause) {
    const message = `${folder} cannot be made (${asError(cause).message}): check the disk and who owns it`
    throw new HaetaeError('STATE_UNWRITABLE', message, { cause })
  }
  const lock = lockPipeline(folder, config.name)
  const used = metrics.gauge('haetae_deadletter_bytes', 'Size of the dead letter of a pipeline', ['pipeline'])
  const deadLetter = new DeadLetterFile({
    folder: join(settings.deadLetterFolder, config.name),
    bytesMax: config.deadLetterBytesMax,
    now: () => clock.now(),
    used: bytes => used.set(bytes, { pipeline: config.name }),
    paused: reason => runtime.paused?.(config.name, 'deadletter', reason),
  })
  const stop = new AbortController()
  const retention = keepRetention({
    folder: join(settings.deadLetterFolder, config.name),
    retentionDays: config.deadLetterRetentionDays,
    clock,
    log,
    signal: stop.signal,
    done: () => deadLetter.measure(),
  })
  return {
    folder,
    deadLetter,
    async close() {
      stop.abort()
      await retention
      await deadLetter.close()
      lock.release()
    },
  }
}

function lockPipeline(folder: string, name: string): FolderLock {
  return lockFolder(folder, {
    taken: (owner, options) =>
      new HaetaeError(
        'STATE_OWNED',
        `${folder} belongs to another process (${owner}) that runs the pipeline ${name}: one state folder per process, ` +
          'so set HAETAE_STATE to a folder of its own for this one, or stop the other',
        options,
      ),
    unusable: (why, options) =>
      new HaetaeError(
        'STATE_UNWRITABLE',
        `${folder} cannot be locked (${why}): check the disk and who owns it`,
        options,
      ),
  })
}
