import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../../platform/clock.ts'
import { signToken } from '../../../platform/topics/kafka/msk-iam.ts'
import { securityOf } from '../../../platform/topics/kafka/security.ts'
import { type KafkaSettings, readKafkaSettings } from '../../../platform/topics/kafka/settings.ts'

const read = (env: Record<string, string>): KafkaSettings =>
  readKafkaSettings({ HAETAE_KAFKA_BROKERS: 'one:9092', ...env })!

describe('the environment', () => {
  test('without brokers says nothing about Kafka', () => {
    expect(readKafkaSettings({ HAETAE_KAFKA_CLIENT: 'nonsense' })).toBeUndefined()
  })

  test('names brokers, IPv6 among them, and has defaults for the rest', () => {
    expect(read({ HAETAE_KAFKA_BROKERS: 'one:9092, 127.0.0.1:1,[::1]:9094' })).toEqual({
      brokers: [
        { host: 'one', port: 9092 },
        { host: '127.0.0.1', port: 1 },
        { host: '::1', port: 9094 },
      ],
      client: 'kafkajs',
      replication: 3,
      tls: false,
      caFile: undefined,
      sasl: undefined,
    })
  })

  test.each([
    [{ HAETAE_KAFKA_BROKERS: 'one' }, /HAETAE_KAFKA_BROKERS=one: host:port/],
    [{ HAETAE_KAFKA_BROKERS: 'one:0' }, /host:port/],
    [{ HAETAE_KAFKA_BROKERS: 'http://one:9092' }, /host:port/],
    [{ HAETAE_KAFKA_CLIENT: 'librdkafka' }, /one of kafkajs, platformatic/],
    [{ HAETAE_KAFKA_REPLICATION: '0' }, /HAETAE_KAFKA_REPLICATION=0/],
    [{ HAETAE_KAFKA_TLS: 'yes' }, /HAETAE_KAFKA_TLS=yes: one of true, false/],
    [{ HAETAE_KAFKA_SASL: 'plain' }, /one of scram-sha-256, scram-sha-512, msk-iam/],
    [{ HAETAE_KAFKA_SASL: 'scram-sha-512', HAETAE_KAFKA_TLS: 'true' }, /HAETAE_KAFKA_USERNAME is needed/],
    [{ HAETAE_KAFKA_SASL: 'scram-sha-512', HAETAE_KAFKA_USERNAME: 'u' }, /shows the records to the network/],
    [{ HAETAE_KAFKA_SASL: 'msk-iam' }, /AWS_REGION/],
    [{ HAETAE_KAFKA_SASL: 'msk-iam', AWS_REGION: 'r', HAETAE_KAFKA_TLS: 'false' }, /over TLS only/],
  ])('%j is refused', (env, message) => {
    expect(() => read(env)).toThrow(message)
  })

  test('MSK IAM means TLS', () => {
    expect(read({ HAETAE_KAFKA_SASL: 'msk-iam', AWS_REGION: 'ap-northeast-2' })).toMatchObject({
      tls: true,
      sasl: { mechanism: 'msk-iam', region: 'ap-northeast-2' },
    })
  })
})

describe('secrets', () => {
  const scram = { HAETAE_KAFKA_SASL: 'scram-sha-512', HAETAE_KAFKA_TLS: 'true', HAETAE_KAFKA_USERNAME: 'haetae' }

  test('are read when the topics are opened: the password file and the certificates', () => {
    const folder = mkdtempSync(join(tmpdir(), 'haetae-kafka-'))
    const [password, ca] = [join(folder, 'password'), join(folder, 'ca.pem')]
    writeFileSync(password, 'secret\n')
    writeFileSync(ca, 'PEM')
    const settings = read({ ...scram, HAETAE_KAFKA_PASSWORD_FILE: password, HAETAE_KAFKA_CA_FILE: ca })
    expect(JSON.stringify(settings)).not.toContain('secret')
    expect(securityOf(settings, systemClock)).toEqual({
      tls: { ca: 'PEM' },
      sasl: { mechanism: 'scram-sha-512', username: 'haetae', password: 'secret' },
    })
  })

  test('that are missing are named, not shown', () => {
    expect(() => securityOf(read({ ...scram, HAETAE_KAFKA_PASSWORD_FILE: '/nowhere' }), systemClock)).toThrow(
      /\/nowhere/,
    )
    expect(() => securityOf(read({ HAETAE_KAFKA_TLS: 'true', HAETAE_KAFKA_CA_FILE: '/nowhere' }), systemClock)).toThrow(
      'HAETAE_KAFKA_CA_FILE=/nowhere cannot be read',
    )
  })
})

test('a token for MSK is a presigned request for the cluster, for fifteen minutes, with the session of the credentials', () => {
  const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: 'token/+=' }
  const token = signToken('ap-northeast-2', credentials, new Date('2026-11-24T08:15:00.123Z'))
  expect(token).toMatch(/^[A-Za-z0-9_-]+$/)
  const url = new URL(Buffer.from(token, 'base64url').toString())
  expect(url.host).toBe('kafka.ap-northeast-2.amazonaws.com')
  expect(Object.fromEntries(url.searchParams)).toEqual({
    Action: 'kafka-cluster:Connect',
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': 'AKIDEXAMPLE/20261124/ap-northeast-2/kafka-cluster/aws4_request',
    'X-Amz-Date': '20261124T081500Z',
    'X-Amz-Expires': '900',
    'X-Amz-Security-Token': 'token/+=',
    'X-Amz-SignedHeaders': 'host',
    // As @smithy/signature-v4 5.7 signs it.
    'X-Amz-Signature': '78ab6da256b994c603daa4b50b5bd946646da8522b31e3732550d1e43f8f169f',
    'User-Agent': 'haetae',
  })
})
