import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { lake } from '../../sinks/lake.ts'
import { FakeClock } from '../support/clock.ts'
import { testDeps } from '../support/deps.ts'
import { objectsIn, rowsOf } from '../support/lake.ts'
import { FakePositions, recordOf, records } from '../support/lake-sink.ts'
import { lakeSinkSuite } from '../support/lake-sink-suite.ts'
import { fakeS3OfTests } from '../support/s3-server.ts'

const never = new AbortController().signal
const root = mkdtempSync(join(tmpdir(), 'haetae-lakes-'))
const s3 = await fakeS3OfTests()
let count = 0

afterAll(() => rmSync(root, { recursive: true, force: true }))
afterEach(() => {
  s3.refuse = () => undefined
})

const newFolder = (): string => join(root, `lake-${++count}`)

lakeSinkSuite('a folder', () => {
  const folder = newFolder()
  return { location: folder, folder }
})

lakeSinkSuite('S3', () => {
  const prefix = `lakes/${++count}`
  return { location: `s3://${s3.bucket}/${prefix}`, folder: join(s3.bucketFolder, prefix) }
})

describe('the lake sink over a folder', () => {
  it('keeps objects and their folders from other users', async () => {
    const folder = newFolder()
    const sink = await lake.open(lake.config.parse({ folder }), testDeps({ positions: new FakePositions() }))
    const { later } = await sink.write(records(0, 100), never)
    sink.drain!()
    await later
    await sink.close()
    const made = readdirSync(folder, { recursive: true, withFileTypes: true })
    expect(made.filter(entry => entry.isFile() && entry.name.endsWith('.parquet'))).not.toEqual([])
    for (const entry of made) {
      const { mode } = statSync(join(entry.parentPath, entry.name))
      expect(mode & 0o777, entry.name).toBe(entry.isDirectory() ? 0o700 : 0o600)
    }
  })

  it('says what to do when the lake cannot be written', async () => {
    const file = join(root, 'not-a-folder')
    writeFileSync(file, '')
    await expect(lake.open(lake.config.parse({ folder: file }), testDeps())).rejects.toMatchObject({
      code: 'LAKE_UNWRITABLE',
      message: expect.stringContaining(file),
    })
  })

  it('refuses a folder whose name DuckDB would take for a pattern', async () => {
    const folder = join(root, 'a[b]*')
    await expect(lake.open(lake.config.parse({ folder }), testDeps())).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('writes into a folder with quotes and spaces in its name', async () => {
    const folder = join(root, "it's a lake")
    const sink = await lake.open(lake.config.parse({ folder }), testDeps({ positions: new FakePositions() }))
    const { later } = await sink.write([recordOf(1)], never)
    sink.drain!()
    await later
    await sink.close()
    expect(await rowsOf(folder, 'SELECT count(*) FROM waf')).toEqual([[1n]])
  })
})

async function overS3(clock = new FakeClock()) {
  const prefix = `own/${++count}`
  const paused = vi.fn<(component: string, reason: string | undefined) => void>()
  const deps = testDeps({ positions: new FakePositions(), clock, paused })
  const location = `s3://${s3.bucket}/${prefix}`
  const open = () => lake.open(lake.config.parse({ folder: location, flushMs: 3_600_000 }), deps)
  return { deps, open, clock, paused, folder: join(s3.bucketFolder, prefix) }
}

describe('the lake sink over S3', () => {
  it('does not start without the right to list the bucket, or without the bucket', async () => {
    const { open } = await overS3()
    s3.refuse = () => ({ status: 403, code: 'AccessDenied' })
    await expect(open()).rejects.toMatchObject({
      code: 'SINK_UNAUTHORISED',
      message: expect.stringContaining('AccessDenied'),
    })
    s3.refuse = () => ({ status: 404, code: 'NoSuchBucket' })
    await expect(open()).rejects.toMatchObject({ code: 'SINK_MISCONFIGURED' })
  })

  it('waits for a server that is not there yet', async () => {
    const { open } = await overS3()
    s3.refuse = () => ({ status: 500, code: 'InternalError' })
    await expect(open()).rejects.toMatchObject({ code: 'LAKE_UNWRITABLE' })
  })

  it('refuses a location that is none', async () => {
    await expect(lake.open(lake.config.parse({ folder: 's3://B/x' }), testDeps())).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })

  it.each([
    ['SINK_UNAUTHORISED', { status: 403, code: 'AccessDenied' }, 'not_allowed'],
    ['SINK_MISCONFIGURED', { status: 404, code: 'NoSuchBucket' }, 'misconfigured'],
    ['SINK_MISCONFIGURED', { status: 400, code: 'InvalidArgument' }, 'misconfigured'],
  ])(
    'pauses and says so once on %s %j, keeps everything, and goes on when it is mended',
    async (code, refusal, cause) => {
      const { open, deps, clock, paused, folder } = await overS3()
      const error = vi.spyOn(deps.log, 'error')
      const sink = await open()
      s3.refuse = request => (request.startsWith('PUT') ? refusal : undefined)
      const { later } = await sink.write(records(0, 5), never)
      const tries = () => s3.requests.filter(each => each.startsWith('PUT own/')).length
      const before = tries()
      sink.drain!()
      await vi.waitFor(() => expect(error).toHaveBeenCalledOnce())
      expect(error.mock.calls[0]).toMatchObject([expect.stringContaining('refuses us'), { code }])
      const metrics = await deps.metrics.expose()
      expect(metrics).toContain('haetae_sink_paused{pipeline="test",sink="lake"} 1')
      expect(paused).toHaveBeenLastCalledWith('lake', expect.stringContaining(code))
      expect(metrics).toContain(`haetae_lake_failures_total{pipeline="test",cause="${cause}"} 1`)
      await sink.write(records(5, 6), never)
      expect(tries() - before).toBe(1)
      s3.refuse = () => undefined
      await clock.advance(30_000)
      await later
      expect(await deps.metrics.expose()).toContain('haetae_sink_paused{pipeline="test",sink="lake"} 0')
      expect(paused).toHaveBeenLastCalledWith('lake', undefined)
      expect(error).toHaveBeenCalledOnce()
      expect(await rowsOf(folder, 'SELECT count(*) FROM waf')).toEqual([[5n]])
      await sink.close()
    },
  )

  it('makes an object once, however often it has to be sent, and rejects a bad row once', async () => {
    const { open, deps, clock, folder } = await overS3()
    const sink = await open()
    let failures = 12
    s3.refuse = request =>
      request.startsWith('PUT') && failures-- > 0 ? { status: 500, code: 'InternalError' } : undefined
    const bad = { ...recordOf(1), json: Buffer.from('{"broken') }
    const { later } = await sink.write([recordOf(0), bad], never)
    sink.drain!()
    let done = false
    void later!.then(() => {
      done = true
    })
    await vi.waitFor(async () => {
      await clock.advance(1_000)
      expect(done).toBe(true)
    }, 30_000)
    expect(deps.dead).toHaveLength(1)
    expect(objectsIn(folder)).toHaveLength(1)
    expect(failures).toBeLessThan(0)
    await sink.close()
  })

  it('says so when the object that was there is not as large as ours, and leaves it', async () => {
    const { open, deps, folder } = await overS3()
    const sink = await open()
    const warn = vi.spyOn(deps.log, 'warn')
    // Between the look and the write, somebody else writes.
    s3.refuse = request => {
      const key = /^PUT own\/\d+\/(.*)$/.exec(request)?.[1]
      if (key) {
        mkdirSync(dirname(join(folder, key)), { recursive: true })
        writeFileSync(join(folder, key), 'shorter')
      }
      return undefined
    }
    const { later } = await sink.write(records(0, 3), never)
    sink.drain!()
    await later
    expect(warn).toHaveBeenCalledWith(
      expect.stringContaining('was there already'),
      expect.objectContaining({ stored: 7, ours: expect.any(Number) }),
    )
    expect(readFileSync(join(folder, objectsIn(folder)[0]!), 'utf8')).toBe('shorter')
    await sink.close()
  })

  it('does not believe that an object is there which it cannot find', async () => {
    const { open, clock, folder } = await overS3()
    const sink = await open()
    let lies = 1
    s3.refuse = request =>
      request.startsWith('PUT') && lies-- > 0 ? { status: 412, code: 'PreconditionFailed' } : undefined
    const { later } = await sink.write(records(0, 3), never)
    sink.drain!()
    await vi.waitFor(async () => {
      await clock.advance(1_000)
      expect(objectsIn(folder)).toHaveLength(1)
    })
    await later
    await sink.close()
  })
})
