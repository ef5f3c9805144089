import { readdirSync } from 'node:fs'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ConfigError, parsePipeline } from '../../pipelines/load.ts'
import { s3 } from '../../sinks/s3.ts'
import { eventOf, testDeps } from '../support/deps.ts'
import { recordOf } from '../support/lake-sink.ts'
import { fakeS3OfTests } from '../support/s3-server.ts'
import { at, S3Bench, s3SinkSuite, several, store } from '../support/s3-sink-suite.ts'

const server = await fakeS3OfTests()
afterEach(() => {
  server.refuse = () => undefined
})
s3SinkSuite('a fake S3', () => server)

const never = new AbortController().signal
const rawOf = (text: string, position: number) => ({
  event: eventOf(text, 'waf', { stream: 'events.waf/0', position: BigInt(position) }),
  json: Buffer.alloc(0),
})

describe('the sink s3', () => {
  it('stores records as they were received where that is asked for, a line each', async () => {
    const bench = new S3Bench(server)
    const { sink } = await bench.open({ format: 'raw' })
    expect(sink.wants).toBe('raw')
    await store(sink, [rawOf('{"a":\n\n1}', 1), rawOf('not JSON', 2), rawOf('{"args":"해태"}', 3)])
    const [key] = bench.keys
    expect(bench.linesOf(key!)).toEqual(['{"a":  1}', 'not JSON', '{"args":"해태"}'])
  })

  it('keeps nothing unredacted on disk but what is to be stored', async () => {
    const bench = new S3Bench(server)
    const { sink, deps } = await bench.open()
    await sink.write([recordOf(1)], never)
    const files = readdirSync(deps.stateFolder, { recursive: true, encoding: 'utf8' }).filter(name =>
      /\.\w+$/.test(name),
    )
    expect(files.map(name => name.split('.').at(-1))).toEqual(['ndjson'])
  })

  it('refuses a record without a usable time, and takes its neighbours', async () => {
    const bench = new S3Bench(server)
    const { sink } = await bench.open()
    const { reject } = await store(sink, [at(1, Number.NaN), at(2), at(3, -1), at(4, 1e15)])
    expect(reject).toEqual([0, 2, 3].map(index => ({ index, reason: 'time_out_of_range' })))
    expect(bench.uids).toEqual(['u2'])
  })

  it('an object that somebody else stored meanwhile is success, and stays as it is', async () => {
    const bench = new S3Bench(server)
    const { sink } = await bench.open()
    // Seen as missing, and there when it is written.
    server.refuse = request => (request.startsWith('HEAD raw/') ? { status: 404, code: 'NotFound' } : undefined)
    await store(sink, several(0, 5))
    const before = bench.bytesOf(bench.keys[0]!)
    const { sink: next } = await bench.open()
    let heads = 0
    server.refuse = request =>
      request.startsWith('HEAD raw/') && heads++ === 0 ? { status: 404, code: 'NotFound' } : undefined
    await store(next, several(0, 5))
    expect(bench.bytesOf(bench.keys[0]!).equals(before)).toBe(true)
    expect(bench.uids).toHaveLength(5)
  })

  it('does not start without the right to its bucket, and waits for one that is away', async () => {
    const bench = new S3Bench(server)
    server.refuse = () => ({ status: 403, code: 'AccessDenied' })
    await expect(bench.open()).rejects.toMatchObject({ code: 'SINK_UNAUTHORISED' })
    server.refuse = () => ({ status: 500, code: 'InternalError' })
    await expect(bench.open()).rejects.toMatchObject({ code: 'LAKE_UNWRITABLE' })
  })

  it('says so once when the bucket refuses, keeps everything, and stores it when a person has mended it', async () => {
    const bench = new S3Bench(server)
    const { sink, deps } = await bench.open()
    const error = vi.spyOn(deps.log, 'error')
    server.refuse = request => (request.startsWith('PUT') ? { status: 403, code: 'AccessDenied' } : undefined)
    const { later } = await sink.write(several(0, 5), never)
    sink.drain!()
    await vi.waitFor(() => expect(error).toHaveBeenCalledOnce())
    expect(error.mock.calls[0]?.[0]).toContain('the bucket refuses us')
    expect(await deps.metrics.expose()).toContain('haetae_sink_paused{pipeline="test",sink="s3"} 1')
    server.refuse = () => undefined
    // What was hurried is tried again within a second.
    await later
    expect(bench.uids).toHaveLength(5)
  })

  it('needs a source with positions', async () => {
    const { sink } = await new S3Bench(server).open()
    const event = eventOf('{}')
    await expect(
      sink.write([{ event, json: Buffer.from('{}') }], never).then(({ later }) => later),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('the s3 sink needs a source with positions'),
    })
  })

  it.each([
    { bucket: 'B' },
    { bucket: 'logs', prefix: '/a' },
    { bucket: 'logs', prefix: 'a//b' },
    { bucket: 'logs', prefix: 'a b' },
  ])('refuses %j', given => {
    expect(s3.config.safeParse(given).success).toBe(false)
  })

  it('refuses a prefix that leads elsewhere', async () => {
    const given = s3.config.parse({ bucket: 'logs', prefix: 'a/../b' })
    await expect(s3.open(given, testDeps())).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('in a pipeline file', () => {
  const parsed = (sinks: string, more = '') =>
    parsePipeline(
      'archive.yaml',
      `pipeline: archive\n${more}source: { type: topic, topic: events.waf, kind: waf }\nsinks:\n${sinks}`,
      {},
    )

  it('events are redacted before they are stored', () => {
    expect(parsed('  - { type: s3, bucket: logs }').stages.map(({ spec }) => spec.type)).toEqual(['redact'])
  })

  it('records as received must be meant', () => {
    const raw = '  - { type: s3, bucket: logs, format: raw }'
    expect(() => parsed(raw)).toThrow(/archive\.yaml:4.*secrets: say unredacted: true/s)
    expect(parsed(raw, 'unredacted: true\n').stages).toEqual([])
  })

  it('a second sink that keeps its place in the note of the stream is refused', () => {
    const both = '  - { type: s3, bucket: logs }\n  - { type: lake, folder: /lake }'
    expect(() => parsed(both)).toThrow(ConfigError)
    expect(() => parsed(both)).toThrow(/one lake or s3 in a pipeline/)
  })
})
