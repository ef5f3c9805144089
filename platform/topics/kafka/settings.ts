import { HaetaeError } from '../../errors.ts'
import type { SecretRef } from '../../secret.ts'
import type { Address } from './transport.ts'

const clients = ['kafkajs', 'platformatic'] as const
const mechanisms = ['scram-sha-256', 'scram-sha-512', 'msk-iam'] as const

/** How to reach Kafka, from HAETAE_KAFKA_*; docs/configuration.md explains the variables. Secrets are not read yet. */
export interface KafkaSettings {
  readonly brokers: readonly Address[]
  readonly client: (typeof clients)[number]
  readonly replication: number
  readonly tls: boolean
  readonly caFile: string | undefined
  readonly sasl: SaslSettings | undefined
}

export type SaslSettings =
  | { readonly mechanism: 'scram-sha-256' | 'scram-sha-512'; readonly username: string; readonly password: SecretRef }
  | { readonly mechanism: 'msk-iam'; readonly region: string }

/** undefined when HAETAE_KAFKA_BROKERS is not set. Throws CONFIG_INVALID. */
export function readKafkaSettings(env: NodeJS.ProcessEnv): KafkaSettings | undefined {
  const list = env['HAETAE_KAFKA_BROKERS']
  if (!list) return undefined
  const sasl = readSasl(env)
  const tls = flag(env, 'HAETAE_KAFKA_TLS', sasl?.mechanism === 'msk-iam')
  if (sasl && !tls && env['HAETAE_KAFKA_TLS'] === undefined) {
    const risk = 'SASL without TLS shows the records to the network: set it to true, or to false on purpose'
    throw invalid('HAETAE_KAFKA_TLS', '', risk)
  }
  if (sasl?.mechanism === 'msk-iam' && !tls) throw invalid('HAETAE_KAFKA_TLS', 'false', 'MSK IAM works over TLS only')
  return {
    brokers: list.split(',').map(each => address(each.trim())),
    client: oneOf(env, 'HAETAE_KAFKA_CLIENT', clients) ?? 'kafkajs',
    replication: replication(env),
    tls,
    caFile: env['HAETAE_KAFKA_CA_FILE'] || undefined,
    sasl,
  }
}

function readSasl(env: NodeJS.ProcessEnv): SaslSettings | undefined {
  const mechanism = oneOf(env, 'HAETAE_KAFKA_SASL', mechanisms)
  if (!mechanism) return undefined
  if (mechanism === 'msk-iam') {
    const region = env['AWS_REGION'] || env['AWS_DEFAULT_REGION']
    if (!region) throw invalid('HAETAE_KAFKA_SASL', mechanism, 'AWS_REGION must say in which Region the cluster is')
    return { mechanism, region }
  }
  const username = env['HAETAE_KAFKA_USERNAME']
  if (!username) throw invalid('HAETAE_KAFKA_SASL', mechanism, 'HAETAE_KAFKA_USERNAME is needed with it')
  const file = env['HAETAE_KAFKA_PASSWORD_FILE']
  return { mechanism, username, password: file ? { file } : { env: 'HAETAE_KAFKA_PASSWORD' } }
}

function address(text: string): Address {
  const parts = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text)
  const host = parts?.[1] ?? parts?.[2]
  const port = Number(parts?.[3])
  if (host !== undefined && port > 0 && port < 65_536) return { host, port }
  throw invalid('HAETAE_KAFKA_BROKERS', text, 'host:port, separated by commas, is needed')
}

function replication(env: NodeJS.ProcessEnv): number {
  const text = env['HAETAE_KAFKA_REPLICATION']
  if (!text) return 3
  if (/^[1-9]$/.test(text)) return Number(text)
  throw invalid('HAETAE_KAFKA_REPLICATION', text, 'a number from 1 to 9 is needed')
}

function flag(env: NodeJS.ProcessEnv, name: string, otherwise: boolean): boolean {
  const said = oneOf(env, name, ['true', 'false'])
  return said === undefined ? otherwise : said === 'true'
}

function oneOf<T extends string>(env: NodeJS.ProcessEnv, name: string, allowed: readonly T[]): T | undefined {
  const text = env[name]
  if (!text) return undefined
  const found = allowed.find(each => each === text)
  if (found === undefined) throw invalid(name, text, `one of ${allowed.join(', ')} is needed`)
  return found
}

function invalid(name: string, value: string, what: string): HaetaeError {
  return new HaetaeError('CONFIG_INVALID', `${name}=${value}: ${what}`)
}
