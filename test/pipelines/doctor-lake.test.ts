import { join } from 'node:path'
import { beforeAll, expect, test, vi } from 'vitest'
import { runCommand } from '../support/command.ts'
import { temporary } from '../support/pipelines.ts'
import { fakeS3OfTests } from '../support/s3-server.ts'

const s3 = await fakeS3OfTests()
beforeAll(() => {
  for (const name of ['OPENSEARCH_URL', 'HAETAE_FIREHOSE_KEY']) vi.stubEnv(name, '')
  vi.stubEnv('HAETAE_STATE', join(temporary(), 'state'))
})

async function lakeFinding(location: string): Promise<{ readonly state: string; readonly detail: string } | undefined> {
  vi.stubEnv('HAETAE_LAKE', location)
  const { out } = await runCommand('doctor', '-o', 'json')
  const findings = JSON.parse(out) as { check: string; state: string; detail: string }[]
  return findings.find(({ check }) => check === 'lake')
}

test('doctor says whether the bucket of the lake answers, and changes nothing in it', async () => {
  s3.requests.length = 0
  expect(await lakeFinding(`s3://${s3.bucket}/lake`)).toMatchObject({
    state: 'ok',
    detail: `s3://${s3.bucket}/lake answers`,
  })
  expect(s3.requests.every(request => request.startsWith('GET '))).toBe(true)
})

test('doctor says what is wrong with the bucket of the lake', async () => {
  s3.refuse = () => ({ status: 403, code: 'AccessDenied' })
  expect(await lakeFinding(`s3://${s3.bucket}/lake`)).toMatchObject({
    state: 'fail',
    detail: expect.stringContaining('AccessDenied'),
  })
  s3.refuse = () => undefined
  expect(await lakeFinding('s3://another-bucket/lake')).toMatchObject({
    state: 'fail',
    detail: expect.stringContaining('NoSuchBucket'),
  })
})
