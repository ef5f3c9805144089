import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { openLakeStore } from '../../../platform/lake/open-store.ts'
import { lakeStoreSuite } from '../../support/lake-store-suite.ts'
import { fakeS3OfTests } from '../../support/s3-server.ts'

const root = mkdtempSync(join(tmpdir(), 'haetae-stores-'))
const s3 = await fakeS3OfTests()
let count = 0

afterAll(() => rmSync(root, { recursive: true, force: true }))

lakeStoreSuite('a folder', () => join(root, `lake-${++count}`))
lakeStoreSuite('S3', () => `s3://${s3.bucket}/lakes/${++count}`)

it('a store on S3 proves at the start that the bucket may be listed, and leaves no trace', async () => {
  const store = await openLakeStore(`s3://${s3.bucket}/untouched`, root)
  s3.requests.length = 0
  await store.prepare(Date.now())
  expect(s3.requests).toEqual([expect.stringMatching(/^GET \?.*prefix/)])
  s3.refuse = () => ({ status: 403, code: 'AccessDenied' })
  await expect(store.prepare(Date.now())).rejects.toMatchObject({ code: 'SINK_UNAUTHORISED' })
  s3.refuse = () => undefined
})
