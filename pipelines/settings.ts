import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { HaetaeError } from '../platform/errors.ts'
import { isS3Location, parseS3 } from '../platform/s3.ts'
import { type KafkaSettings, readKafkaSettings } from '../platform/topics/kafka/settings.ts'

/** What the environment decides, with its defaults. The variables are explained in docs/configuration.md. */
export interface Settings {
  readonly stateFolder: string
  /** A folder, or `s3://bucket/prefix`. */
  readonly lake: string
  readonly deadLetterFolder: string
  readonly topicsFolder: string
  readonly topicsBytesMax: number
  /** Topics are in Kafka; undefined: in the embedded log. */
  readonly kafka: KafkaSettings | undefined
  readonly logLevel: string
  readonly statusHost: string
  readonly statusPort: number
  readonly drainMs: number
  /** Something outside this machine is configured, so the sample must not run by itself. */
  readonly connected: boolean
}

const GIB = 1024 ** 3

export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const stateFolder = resolve(env['HAETAE_STATE'] || 'var')
  const kafka = readKafkaSettings(env)
  return {
    stateFolder,
    lake: lakeLocation(env['HAETAE_LAKE'] || join(stateFolder, 'lake')),
    deadLetterFolder: join(stateFolder, 'deadletter'),
    topicsFolder: join(stateFolder, 'topics'),
    topicsBytesMax: number(env, 'HAETAE_TOPICS_BYTES_MAX', 20 * GIB),
    kafka,
    logLevel: env['HAETAE_LOG_LEVEL'] || 'info',
    statusHost: env['HAETAE_STATUS_HOST'] || '127.0.0.1',
    statusPort: number(env, 'HAETAE_STATUS_PORT', 7077),
    drainMs: number(env, 'HAETAE_DRAIN_MS', 20_000),
    connected: Boolean(env['OPENSEARCH_URL']) || kafka !== undefined || isS3Location(env['HAETAE_LAKE'] ?? ''),
  }
}

/** The variables a pipeline file may use, with the defaults filled in. */
export function pipelineVariables(settings: Settings, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return { ...env, HAETAE_STATE: settings.stateFolder, HAETAE_LAKE: settings.lake }
}

export function makeStateFolder(settings: Settings): void {
  mkdirSync(settings.stateFolder, { recursive: true, mode: 0o700 })
  chmodSync(settings.stateFolder, 0o700)
}

/**
 * The key of the ingest routes: given in HAETAE_FIREHOSE_KEY, else made once and kept 0600 in the state folder. The
 * variable is set for this process, as ingest.yaml names it.
 */
export function ingestKey(settings: Settings, env: NodeJS.ProcessEnv = process.env): { key: string; made: boolean } {
  const given = env['HAETAE_FIREHOSE_KEY']
  if (given) return { key: given, made: false }
  const path = join(settings.stateFolder, 'ingest.key')
  const key = keptKey(path) ?? makeKey(path)
  env['HAETAE_FIREHOSE_KEY'] = key
  return { key, made: true }
}

function keptKey(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined
  } catch {
    return undefined // First start: there is none yet.
  }
}

function makeKey(path: string): string {
  const key = randomBytes(24).toString('base64url')
  writeFileSync(path, `${key}\n`, { mode: 0o600 })
  return key
}

function number(env: NodeJS.ProcessEnv, name: string, otherwise: number): number {
  const text = env[name]
  if (!text) return otherwise
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new HaetaeError('CONFIG_INVALID', `${name}=${text}: a whole number in digits is needed`)
}

/** A folder made absolute, or a bucket and prefix as they are. */
function lakeLocation(given: string): string {
  if (isS3Location(given)) {
    parseS3(given)
    return given.replace(/\/$/, '')
  }
  if (!given.includes('://')) return resolve(given)
  throw new HaetaeError('CONFIG_INVALID', `HAETAE_LAKE=${given}: the lake is a folder or s3://bucket/prefix`)
}
