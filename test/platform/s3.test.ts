import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test, vi } from 'vitest'
import { HaetaeError } from '../../platform/errors.ts'
import { connectS3, isS3Location, parseS3, type S3 } from '../../platform/s3.ts'
import { S3Away, troubleOf } from '../../platform/s3-trouble.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { type FakeS3, startFakeS3 } from '../support/s3-server.ts'

const MIB = 1024 * 1024
const folder = mkdtempSync(join(tmpdir(), 'haetae-s3-test-'))
let server: FakeS3
let proxy: FaultProxy
let s3: S3

beforeAll(async () => {
  server = await startFakeS3()
  proxy = await startFaultProxy(server.url, 1)
})
afterAll(async () => {
  await proxy.stop()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  for (const [name, value] of Object.entries(server.env)) vi.stubEnv(name, value)
  vi.stubEnv('AWS_ENDPOINT_URL_S3', proxy.url)
  s3 = await connectS3(server.bucket)
})
afterEach(() => {
  s3.close()
  server.refuse = () => undefined
  proxy.chances = {}
  vi.unstubAllEnvs()
})

function fileOf(bytes: Buffer): string {
  const path = join(folder, randomBytes(6).toString('hex'))
  writeFileSync(path, bytes)
  return path
}
const stored = (key: string): Buffer => readFileSync(join(server.bucketFolder, key))

describe('a location', () => {
  test.each([
    ['s3://bucket', { bucket: 'bucket', prefix: '' }],
    ['s3://bucket/', { bucket: 'bucket', prefix: '' }],
    ['s3://my.bucket-1/a/b=c', { bucket: 'my.bucket-1', prefix: 'a/b=c/' }],
    ['s3://bucket/a/', { bucket: 'bucket', prefix: 'a/' }],
  ])('%s', (location, place) => expect(parseS3(location)).toEqual(place))

  test.each([
    's3://',
    's3:/bucket/a',
    's3://B/a',
    's3://bucket//a',
    's3://bucket/a/../b',
    's3://bucket/./a',
    "s3://bucket/'",
    's3://bucket/a b',
    's3://bucket/*',
    's3://bucket/a?x',
    's3://bucket/해태',
  ])('%s is none', location => {
    expect(isS3Location(location)).toBe(true)
    expect(() => parseS3(location)).toThrow(HaetaeError)
  })
})

describe('an object', () => {
  it('appears once: who comes second is told, and changes nothing', async () => {
    expect(await s3.putNew('a/one', fileOf(Buffer.from('first')))).toBe('stored')
    expect(await s3.putNew('a/one', fileOf(Buffer.from('second')))).toBe('present')
    expect(stored('a/one').toString()).toBe('first')
    expect(await s3.sizeOf('a/one')).toBe(5)
  })

  it.each([0, 1, 8 * MIB, 8 * MIB + 1, 25 * MIB])('of %i bytes arrives as it was', async bytes => {
    const content = randomBytes(bytes)
    expect(await s3.putNew(`sizes/${bytes}`, fileOf(content))).toBe('stored')
    expect(stored(`sizes/${bytes}`).equals(content)).toBe(true)
    const copy = join(folder, `copy-${bytes}`)
    expect(await s3.get(`sizes/${bytes}`, copy)).toBe(true)
    expect(readFileSync(copy).equals(content)).toBe(true)
    expect(server.uploads.size).toBe(0)
  })

  it('that is larger than a part is stored once, too', async () => {
    const first = fileOf(randomBytes(9 * MIB))
    expect(await s3.putNew('a/big', first)).toBe('stored')
    expect(await s3.putNew('a/big', fileOf(randomBytes(10 * MIB)))).toBe('present')
    expect(stored('a/big')).toHaveLength(9 * MIB)
    expect(server.uploads.size).toBe(0)
  })

  it('that is not there is not found, and leaves no file', async () => {
    const copy = join(folder, 'none')
    expect(await s3.sizeOf('a/none')).toBeUndefined()
    expect(await s3.get('a/none', copy)).toBe(false)
    expect(existsSync(copy)).toBe(false)
    await s3.remove('a/none')
  })

  it('is listed by its prefix, over many pages, in order', async () => {
    server.pageKeys = 3
    const keys = Array.from({ length: 10 }, (_, at) => `list/${at}`)
    for (const key of keys) await s3.putNew(key, fileOf(Buffer.from(key)))
    await s3.remove('list/4')
    const found = []
    for await (const { key, bytes, modifiedMs } of s3.list('list/')) {
      expect({ bytes, recent: Math.abs(Date.now() - modifiedMs) < 3_600_000 }).toEqual({ bytes: 6, recent: true })
      found.push(key)
    }
    expect(found).toEqual(keys.filter(key => key !== 'list/4'))
  })
})

describe('trouble', () => {
  it('a part that fails for good takes its upload with it', async () => {
    server.refuse = request => (request.includes('partNumber') ? { status: 403, code: 'AccessDenied' } : undefined)
    await expect(s3.putNew('a/denied', fileOf(randomBytes(9 * MIB)))).rejects.toMatchObject({
      code: 'SINK_UNAUTHORISED',
    })
    expect(server.uploads.size).toBe(0)
    expect(await s3.sizeOf('a/denied')).toBeUndefined()
  })

  it('an upload that is given up takes its parts with it', async () => {
    const stop = new AbortController()
    server.refuse = request => {
      if (request.includes('partNumber')) stop.abort()
      return undefined
    }
    await expect(s3.putNew('a/given-up', fileOf(randomBytes(30 * MIB)), stop.signal)).rejects.toBeInstanceOf(S3Away)
    expect(server.uploads.size).toBe(0)
  })

  it('a lost answer to the last request of an upload is not a second object', async () => {
    let lost = 1
    server.refuse = request => {
      if (!request.startsWith('POST a/lost?uploadId') || lost-- === 0) return undefined
      // Carried out by an earlier try: the upload is not known any more.
      writeFileSync(join(server.bucketFolder, 'a/lost'), 'x')
      return { status: 404, code: 'NoSuchUpload' }
    }
    expect(await s3.putNew('a/lost', fileOf(randomBytes(9 * MIB)))).toBe('present')
  })

  it('faults of every sort, on every request, are ridden out or said; what was said to be stored is', async () => {
    proxy.chances = { slow_down: 0.1, reset: 0.1, lost_answer: 0.1, delay: 0.05 }
    const contents = Array.from({ length: 12 }, (_, at) => randomBytes(at % 4 === 0 ? 9 * MIB : 1_000))
    for (const [at, content] of contents.entries()) {
      const file = fileOf(content)
      for (let done = false; !done; ) {
        done = await s3.putNew(`faults/${at}`, file).then(
          () => true,
          (error: unknown) => {
            expect(error).toBeInstanceOf(S3Away)
            return false
          },
        )
      }
    }
    proxy.chances = {}
    for (const [at, content] of contents.entries()) expect(stored(`faults/${at}`).equals(content)).toBe(true)
    expect(proxy.counts.lost_answer + proxy.counts.reset + proxy.counts.slow_down).toBeGreaterThan(0)
  })

  it('no Region and no credentials are said with what to set', async () => {
    for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_PROFILE']) vi.stubEnv(name, undefined)
    vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'no-config'))
    const homeless = await connectS3(server.bucket)
    await expect(homeless.sizeOf('x')).rejects.toMatchObject({
      code: 'SINK_MISCONFIGURED',
      message: expect.stringContaining('AWS_REGION'),
    })
    vi.stubEnv('AWS_REGION', 'us-east-1')
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'no-credentials'))
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
    const nobody = await connectS3(server.bucket)
    await expect(nobody.sizeOf('x')).rejects.toMatchObject({ code: 'SINK_UNAUTHORISED' })
  })

  const answer = (status: number | undefined, name: string) =>
    Object.assign(new Error('said'), { name, $metadata: { httpStatusCode: status } })

  it.each([
    [403, 'AccessDenied', 'SINK_UNAUTHORISED'],
    [401, 'Unauthorized', 'SINK_UNAUTHORISED'],
    [403, 'RequestTimeTooSkewed', 'SINK_UNAUTHORISED'],
    [404, 'NoSuchBucket', 'SINK_MISCONFIGURED'],
    [400, 'InvalidArgument', 'SINK_MISCONFIGURED'],
    [301, 'PermanentRedirect', 'SINK_MISCONFIGURED'],
    [400, 'RequestTimeout', 'RequestTimeout'],
    [400, 'ExpiredToken', 'ExpiredToken'],
    [409, 'ConditionalRequestConflict', 'ConditionalRequestConflict'],
    [412, 'PreconditionFailed', 'PreconditionFailed'],
    [429, 'TooManyRequests', 'TooManyRequests'],
    [500, 'InternalError', 'InternalError'],
    [503, 'SlowDown', 'SlowDown'],
    [200, 'SyntaxError', 'SyntaxError'],
    [undefined, 'TimeoutError', 'TimeoutError'],
  ])('%s %s is %s', (status, name, code) => {
    const trouble = troubleOf(answer(status, name), 'writing')
    expect(trouble).toMatchObject({ code, message: expect.stringContaining('writing') })
    expect(trouble instanceof HaetaeError).toBe(code.startsWith('SINK_'))
  })
})

it('tells another client how to reach the bucket', async () => {
  vi.stubEnv('AWS_SESSION_TOKEN', 'session')
  const connected = await connectS3(server.bucket)
  expect(await connected.access()).toEqual({
    accessKeyId: 'testkey',
    secretAccessKey: 'testsecret',
    sessionToken: 'session',
    region: 'ap-northeast-2',
    endpoint: new URL(proxy.url),
  })
})
