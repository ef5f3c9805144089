import { mkdirSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { connectOwner } from '../../platform/topics/client.ts'
import { LINE_BYTES_MAX } from '../../platform/topics/protocol.ts'
import { numbered, options, recordOf, take, topicConfig, valuesOf } from './support.ts'
import { openTemporary, temporaryFolder } from './temporary.ts'

/** Sends bytes and gives what came back until the other side closed or `lines` lines came. */
async function say(folder: string, bytes: string | Buffer, lines = 1): Promise<string[]> {
  const socket = createConnection(join(folder, 'topics.sock'))
  socket.on('error', () => undefined)
  let text = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    text += chunk
    if (text.split('\n').length > lines) socket.destroy()
  })
  socket.write(bytes)
  await new Promise(resolve => socket.on('close', resolve))
  return text.split('\n').filter(line => line !== '')
}

describe('a look at a topic without being a consumer', () => {
  it('gives what is there between two offsets, in as many answers as it takes', async () => {
    const { topics, folder } = await openTemporary()
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    const large = Array.from({ length: 12 }, (_, n) => recordOf(`k${n}`, 'x'.repeat(700_000)))
    for (const record of large) await topics.append(config.name, [record])
    const client = (await connectOwner(folder))!
    const keys = async (from: bigint, to: bigint) =>
      (await client.recordsBetween(config.name, 0, from, to)).map(({ key }) => key)
    expect(await keys(0n, 12n)).toEqual(large.map(({ key }) => key))
    expect(await keys(3n, 5n)).toEqual(['k3', 'k4'])
    expect(await keys(11n, 1_000n)).toEqual(['k11'])
    expect(await keys(12n, 12n)).toEqual([])
    await expect(client.recordsBetween(config.name, 1, 0n, 1n)).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
    await expect(client.recordsBetween('none', 0, 0n, 1n)).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
    client.close()
    await topics.close()
  })
})

describe('the owner as others see it', () => {
  it('is nobody where no log is, or its process is gone', async () => {
    expect(await connectOwner('/nonexistent/folder')).toBeUndefined()
    expect(await connectOwner(temporaryFolder())).toBeUndefined()
    const { topics, folder } = await openTemporary()
    await topics.close()
    expect(await connectOwner(folder)).toBeUndefined()
  })

  it('appends, describes, says the lag, moves and forgets groups', async () => {
    const { topics, folder } = await openTemporary()
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    const client = (await connectOwner(folder))!
    const records = [recordOf('k', 'one'), recordOf(undefined, null), { ...recordOf('k', ''), replayed: true }]
    await client.append(config.name, records)
    const given = options(config.name)
    const subscription = await topics.subscribe(given)
    const got = (await take(subscription, 3)).flatMap(fetched => fetched.records)
    expect(got).toEqual(records.map((record, index) => ({ ...record, offset: BigInt(index) })))
    const lag = { group: given.group, topic: config.name, partition: 0, committed: 0n, end: 3n }
    expect(await client.lag()).toEqual([lag])
    await expect(client.moveGroup(given.group, config.name, 0, 2n)).rejects.toMatchObject({
      code: 'TOPIC_MISMATCH',
      message: expect.stringContaining('stop its pipeline'),
    })
    expect(await client.lag()).toEqual([lag])
    expect(await client.describe()).toMatchObject({
      pid: process.pid,
      full: false,
      partitions: [{ topic: config.name, partition: 0, start: 0n, end: 3n }],
    })
    await subscription.close()
    await client.moveGroup(given.group, config.name, 0, 2n)
    expect(await client.lag()).toEqual([{ ...lag, committed: 2n }])
    await client.forgetGroup(given.group)
    expect(await client.lag()).toEqual([])
    client.close()
    await topics.close()
  })

  it('takes more than fits a line in parts, and answers several requests at once in their order', async () => {
    const { topics, folder } = await openTemporary()
    const config = topicConfig({ partitions: 1 })
    await topics.ensure(config)
    const client = (await connectOwner(folder))!
    const big = Array.from({ length: 12 }, (_, index) => recordOf('k', `${index}`.padEnd(900_000, '.')))
    await Promise.all([client.append(config.name, big), client.lag(), client.append(config.name, numbered(2))])
    const subscription = await topics.subscribe(options(config.name))
    const values = valuesOf(await take(subscription, 14))
    expect(values.filter(value => value.length === 900_000).map(value => Number.parseInt(value, 10))).toEqual([
      ...big.keys(),
    ])
    client.close()
    await topics.close()
  })

  it('gives the errors of the owner with their codes', async () => {
    const { topics, folder } = await openTemporary()
    const client = (await connectOwner(folder))!
    await expect(client.append('nowhere', numbered(1))).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
    await expect(client.moveGroup('g', 'nowhere', 0, 0n)).rejects.toMatchObject({ code: 'TOPIC_UNKNOWN' })
    await topics.close()
    await expect(client.lag()).rejects.toMatchObject({ code: 'TOPIC_CLOSED' })
  })

  it('answers nonsense with an error, and lives', async () => {
    const { topics, folder } = await openTemporary()
    const nonsense = [
      '',
      'null',
      '{"op":"drop"}',
      '{"op":"lag","x":1}',
      '{"op":"append","topic":"t","records":[{"value":"§"}]}',
    ]
    const answers = await say(folder, `${nonsense.join('\n')}\n`, nonsense.length)
    expect(answers).toHaveLength(nonsense.length)
    for (const answer of answers) expect(JSON.parse(answer)).toMatchObject({ error: { code: 'USAGE' } })
    expect(await say(folder, Buffer.alloc(LINE_BYTES_MAX + 70_000, 0x61))).toEqual([])
    expect(await say(folder, '{"op":"lag"}\n')).toEqual(['{"result":[]}'])
    await topics.close()
  })

  it('is reached in a folder whose path is too long for a socket address', async context => {
    if (process.platform !== 'linux') return context.skip('needs /proc')
    const folder = join(temporaryFolder(), 'long'.repeat(30), 'topics')
    mkdirSync(folder, { recursive: true })
    const { topics } = await openTemporary({ folder })
    const client = (await connectOwner(folder))!
    expect((await client.describe()).pid).toBe(process.pid)
    client.close()
    await topics.close()
  })
})
