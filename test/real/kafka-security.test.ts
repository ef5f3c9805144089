import { createRequire } from 'node:module'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Security } from '../../platform/topics/kafka/transport.ts'
import { selfSigned } from '../support/certificate.ts'
import { numbered, options, positionsAfter, take, topicConfig, valuesOf } from '../topics/support.ts'
import { type RealKafka, startKafka } from './servers/kafka.ts'
import { keptTopic, listeningLog, openTopicsOn } from './servers/kafka-topics.ts'

const { cert, key } = selfSigned()
const admin = { username: 'admin', password: 'admin-secret' }
const user = { username: 'haetae', password: 'haetae-secret' }

let kafka: RealKafka
beforeAll(async () => {
  kafka = await startKafka({ secured: { cert, key, admin, users: [user] } })
})
afterAll(() => kafka?.stop())

const as = (who: typeof user): Security => ({ tls: { ca: cert }, sasl: { mechanism: 'scram-sha-512', ...who } })

/** What the user may do with everything of this kind (2: topics, 3: groups); operations as kafkajs numbers them. */
async function allow(resourceType: number, operations: readonly number[]): Promise<void> {
  const { Kafka, logLevel } = createRequire(import.meta.url)('kafkajs')
  const sasl = { mechanism: 'scram-sha-512', ...admin }
  const client = new Kafka({ brokers: [kafka.brokers], ssl: { ca: cert }, sasl, logLevel: logLevel.NOTHING })
  const connected = client.admin()
  await connected.connect()
  const what = { resourceType, resourceName: '*', resourcePatternType: 3, principal: 'User:haetae', host: '*' }
  await connected.createAcls({ acl: operations.map(operation => ({ ...what, operation, permissionType: 3 })) })
  await connected.disconnect()
}
const [READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS] = [3, 4, 8, 10]

describe.each(['kafkajs', 'platformatic'] as const)('%s', client => {
  test('a wrong password and a certificate that nobody vouches for are refused, each with its reason', async () => {
    const wrong = openTopicsOn(kafka.brokers, client, { security: as({ ...user, password: 'guessed' }) })
    await expect(wrong.ensure(topicConfig())).rejects.toMatchObject({ code: 'TOPIC_UNAUTHORISED' })
    const unknown = openTopicsOn(kafka.brokers, client, { security: { ...as(user), tls: { ca: undefined } } })
    await expect(unknown.ensure(topicConfig())).rejects.toMatchObject({ code: 'TOPIC_UNREACHABLE' })
    await Promise.all([wrong.close(), unknown.close()])
  })
})

test('what the user may not do yet pauses, is said once, drops nothing, and goes on when it is allowed', async () => {
  const makes = openTopicsOn(kafka.brokers, 'platformatic', { security: as(admin) })
  const config = keptTopic({ partitions: 1 })
  await makes.apply(config)
  const { log, errors } = listeningLog()
  const topics = openTopicsOn(kafka.brokers, 'kafkajs', { security: as(user), log })
  await expect(topics.ensure(config)).rejects.toMatchObject({ code: 'TOPIC_UNAUTHORISED' })

  await allow(2, [DESCRIBE, DESCRIBE_CONFIGS])
  await expect.poll(() => topics.ensure(config).then(() => 'fine', String), { timeout: 20_000 }).toBe('fine')
  expect((await topics.append(config.name, numbered(5))).retry).toEqual([0, 1, 2, 3, 4])
  expect((await topics.append(config.name, numbered(5))).retry).toEqual([0, 1, 2, 3, 4])
  expect(errors).toEqual([[expect.stringContaining('right to write'), expect.objectContaining({ topic: config.name })]])

  await allow(2, [WRITE])
  await expect.poll(async () => (await topics.append(config.name, numbered(5))).retry, { timeout: 20_000 }).toEqual([])
  await expect(topics.subscribe(options(config.name))).rejects.toMatchObject({ code: 'TOPIC_UNAUTHORISED' })

  await allow(3, [READ, DESCRIBE])
  const { group, ...rest } = options(config.name)
  const subscribing = topics.subscribe({ group, ...rest })
  // Joining a group needs the right to read its topics, too.
  await allow(2, [READ])
  const subscription = await subscribing.catch(() => topics.subscribe({ group, ...rest }))
  const read = await take(subscription, 5)
  expect(valuesOf(read).slice(0, 5)).toEqual(numbered(5).map(({ value }) => String(value)))
  await subscription.commit(positionsAfter(read))
  await subscription.close()
  await Promise.all([topics.close(), makes.close()])
})
