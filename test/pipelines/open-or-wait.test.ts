import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openPipeline } from '../../pipelines/compose.ts'
import { loadPipeline } from '../../pipelines/load.ts'
import { PERSON_WAIT_MS } from '../../platform/errors.ts'
import { startFakeOpenSearch } from '../support/opensearch-server.ts'
import { fakeRuntime, temporary } from '../support/pipelines.ts'
import { fakeS3OfTests } from '../support/s3-server.ts'

const s3 = await fakeS3OfTests()
/** A loaded machine may take long; it says nothing of the promise. */
const PATIENT = { timeout: 50_000 }
const never = new AbortController().signal

/** Opens a pipeline into `sink`, which refuses until `mend`; the clock is ours, the server a real one. */
async function refusedThenMended(sink: string, mend: () => void, why: RegExp): Promise<void> {
  const folder = temporary()
  const [file, records] = [join(folder, 'one.yaml'), join(folder, 'records')]
  writeFileSync(records, '')
  writeFileSync(file, `pipeline: one\nsource: { type: file, kind: waf, path: '${records}' }\nsinks: [${sink}]\n`)
  const told: (string | undefined)[] = []
  const runtime = {
    ...fakeRuntime(),
    paused: (_: string, __: string, reason: string | undefined) => void told.push(reason),
  }
  const opening = openPipeline(loadPipeline(file, {}), runtime, never)
  await expect.poll(() => told.at(-1), PATIENT).toMatch(why)
  mend()
  await runtime.clock.advance(PERSON_WAIT_MS)
  const open = await opening
  expect(told.at(-1)).toBeUndefined()
  for (const { sink: opened } of open!.plan.sinks) await opened.close()
  await open!.plan.source.close()
  await open!.close()
}

test('OpenSearch that answers 403 at the start pauses the pipeline, and it goes on when it answers 200', async () => {
  const search = await startFakeOpenSearch()
  search.everything = { status: 403, body: { error: { type: 'security_exception', reason: 'no' }, status: 403 } }
  const sink = `{ type: opensearch, url: '${search.url}', index: haetae-waf }`
  const mend = (): void => {
    search.everything = undefined
  }
  await refusedThenMended(sink, mend, /^SINK_UNAUTHORISED: .*403/)
  await search.close()
})

test('a bucket that answers 403 at the start pauses the pipeline, and it goes on when it answers 200', async () => {
  s3.refuse = () => ({ status: 403, code: 'AccessDenied' })
  const mend = (): void => {
    s3.refuse = () => undefined
  }
  await refusedThenMended(
    `{ type: lake, folder: 's3://${s3.bucket}/lake' }`,
    mend,
    /^SINK_UNAUTHORISED: .*AccessDenied/,
  )
})
