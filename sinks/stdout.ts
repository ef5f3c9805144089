import type { Writable } from 'node:stream'
import { z } from 'zod'
import { type Deps, defineSink, type Sink, type Verdict } from '../engine/contract.ts'
import { ndjson } from '../engine/ndjson.ts'
import { asError, HaetaeError } from '../platform/errors.ts'

const config = z.strictObject({})

export const stdout = defineSink({
  type: 'stdout',
  summary: 'Writes events as NDJSON on standard output.',
  config,
  example: '{}',
  open: (_, deps) => Promise.resolve(writeTo(process.stdout, deps)),
})

const DONE: Verdict = { retry: [], reject: [] }

/** Fresh memory for each batch would cost as much again as everything else here: its pages must be made first. */
const SPACE_BYTES = 2 * 1024 * 1024
const SPACES_MAX = 4

/**
 * One write a batch, answered when the stream has passed it on: a slow reader slows the pipeline. When the reader is gone
 * (`… | head`) the pipeline stops with OUTPUT_CLOSED and the batch is given back. The stream must not keep what it has
 * passed on (a file, pipe or socket does not): the memory is used again.
 */
export function writeTo(stream: Writable, deps: Pick<Deps, 'log'>): Sink {
  const spaces: Buffer[] = []
  // Without a listener the same error would also be thrown at the process.
  const heard = (): void => undefined
  stream.on('error', heard)
  return {
    write(records) {
      const space = spaces.pop() ?? Buffer.allocUnsafeSlow(SPACE_BYTES)
      return new Promise((resolve, reject) => {
        stream.write(ndjson(records, space), error => {
          if (spaces.length < SPACES_MAX) spaces.push(space)
          if (!error) return resolve(DONE)
          if (!isGone(error)) return reject(error)
          deps.log.debug('the reader of standard output went away')
          resolve({ ...DONE, later: Promise.reject(closed(error)) })
        })
      })
    },
    close() {
      stream.off('error', heard)
      return Promise.resolve()
    },
  }
}

function isGone(error: NodeJS.ErrnoException): boolean {
  return ['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END'].includes(error.code ?? '')
}

function closed(cause: unknown): HaetaeError {
  return new HaetaeError('OUTPUT_CLOSED', 'the reader of standard output went away: nothing more is written', {
    cause: asError(cause),
  })
}
