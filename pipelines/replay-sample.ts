import { randomUUID } from 'node:crypto'
import { asError } from '../platform/errors.ts'
import type { Running } from './process.ts'
import { sampleRecords } from './sample.ts'
import { noteSample } from './sample-due.ts'

const RECORDS_A_REQUEST = 500
const TRIES_MAX = 10

/**
 * Sends the bundled day of WAF traffic through the front door, as Firehose would: same endpoint, same key, same road; its
 * latest record has the time `endMs`. Runs beside the process and stops with it; a failure is said and leaves the process as it is,
 * and the next start replays the same records again.
 */
export function feedSample(running: Running, ingestUrl: string, key: string, endMs: number): void {
  running.health.notice(
    'The events labelled “sample” are made up. Delete the state folder and the lake to start clean.',
  )
  void replay(ingestUrl, key, running, endMs).catch(thrown =>
    running.runtime.log.warn('the sample was not replayed', { error: asError(thrown).message }),
  )
}

async function replay(ingestUrl: string, key: string, running: Running, endMs: number): Promise<void> {
  const { log, settings } = running.runtime
  let ended = false
  void running.done
    .catch(() => undefined)
    .finally(() => {
      ended = true
    })
  noteSample(settings, { endMs, finished: false })
  let batch: string[] = []
  let sent = 0
  for await (const record of sampleRecords(endMs)) {
    batch.push(record.toString('base64'))
    if (batch.length < RECORDS_A_REQUEST) continue
    if (ended) return
    sent += await post(ingestUrl, key, batch, running)
    batch = []
  }
  if (batch.length > 0) sent += await post(ingestUrl, key, batch, running)
  noteSample(settings, { endMs, finished: true })
  log.info('the sample was replayed', { records: sent })
}

async function post(ingestUrl: string, key: string, batch: readonly string[], running: Running): Promise<number> {
  const requestId = randomUUID()
  const { clock } = running.runtime
  const body = JSON.stringify({ requestId, timestamp: clock.now(), records: batch.map(data => ({ data })) })
  for (let attempt = 1; ; attempt++) {
    const status = await tryPost(`${ingestUrl}/firehose/waf`, key, requestId, body)
    if (status === 200) return batch.length
    if (attempt === TRIES_MAX) throw new Error(`the ingest answered ${status}`)
    await clock.wait(500)
  }
}

async function tryPost(url: string, key: string, requestId: string, body: string): Promise<number | string> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-amz-firehose-protocol-version': '1.0',
        'x-amz-firehose-request-id': requestId,
        'x-amz-firehose-access-key': key,
      },
      body,
    })
    await response.arrayBuffer()
    return response.status
  } catch (thrown) {
    return asError(thrown).message // Not listening yet: the pipeline is still opening.
  }
}
