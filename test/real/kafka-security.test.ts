import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Security } from '../../platform/topics/kafka/transport.ts'
import { selfSigned } from '../support/certificate.ts'
import { Program } from '../support/program.ts'
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

interface Admin {
  createAcls(given: { readonly acl: readonly object[] }): Promise<unknown>
  deleteAcls(given: { readonly filters: readonly object[] }): Promise<unknown>
}

async function asAdmin(work: (admin: Admin) => Promise<unknown>): Promise<void> {
  const { Kafka, logLevel } = createRequire(import.meta.url)('kafkajs')
  const sasl = { mechanism: 'scram-sha-512', ...admin }
  const client = new Kafka({ brokers: [kafka.brokers], ssl: { ca: cert }, sasl, logLevel: logLevel.NOTHING })
  const connected = client.admin()
  await connected.connect()
  await work(connected)
  await connected.disconnect()
}

/** What the user may do with everything of this kind (2: topics, 3: groups); operations as kafkajs numbers them. */
function rule(resourceType: number, operation: number): object {
  const what = { resourceType, resourceName: '*', resourcePatternType: 3, principal: 'User:haetae', host: '*' }
  return { ...what, operation, permissionType: 3 }
}

const allow = (resourceType: number, operations: readonly number[]): Promise<void> =>
  asAdmin(connected => connected.createAcls({ acl: operations.map(operation => rule(resourceType, operation)) }))
const forbid = (resourceType: number, operation: number): Promise<void> =>
  asAdmin(connected => connected.deleteAcls({ filters: [rule(resourceType, operation)] }))
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

test('/readyz of a running pipeline names the right that Kafka refuses, and is ready again when it is given', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'haetae-acl-'))
  writeFileSync(join(folder, 'ca.pem'), cert)
  await allow(2, [DESCRIBE, DESCRIBE_CONFIGS, READ])
  await forbid(3, READ)
  const makes = openTopicsOn(kafka.brokers, 'kafkajs', { security: as(admin) })
  await makes.apply(keptTopic({ name: 'events.waf', partitions: 2 }))
  const program = await Program.start({
    stateFolder: join(folder, 'state'),
    lakeFolder: join(folder, 'lake'),
    command: ['run', 'pipelines/waf-lake.yaml'],
    ready: false,
    env: {
      HAETAE_KAFKA_BROKERS: kafka.brokers,
      HAETAE_KAFKA_TLS: 'true',
      HAETAE_KAFKA_CA_FILE: join(folder, 'ca.pem'),
      HAETAE_KAFKA_SASL: 'scram-sha-512',
      HAETAE_KAFKA_USERNAME: user.username,
      HAETAE_KAFKA_PASSWORD: user.password,
    },
  })
  const readyz = async (): Promise<string> => (await fetch(`http://127.0.0.1:${program.statusPort}/readyz`)).text()
  const wait = { timeout: 90_000, interval: 200 }
  try {
    await expect.poll(readyz, wait).toMatch(/TOPIC_UNAUTHORISED.*GROUP_AUTHORIZATION_FAILED/)
    await allow(3, [READ, DESCRIBE])
    await expect.poll(readyz, wait).toMatch(/"ready":true/)
    await forbid(2, READ)
    await expect.poll(readyz, wait).toMatch(/"ready":false.*TOPIC_AUTHORIZATION_FAILED/)
    await allow(2, [READ])
    await expect.poll(readyz, wait).toMatch(/"ready":true/)
    expect(await program.stop(), program.output).toBe(0)
  } finally {
    await program.kill()
    await makes.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
