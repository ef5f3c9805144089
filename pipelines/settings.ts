import { randomBytes } from 'node:crypto'
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { asError, HaetaeError, systemCodeOf } from '../platform/errors.ts'
import { type LogLevel, logLevels } from '../platform/log.ts'
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
  readonly logLevel: LogLevel
  readonly statusHost: string
  readonly statusPort: number
  /** Names for us in the Host header, besides addresses, localhost and `statusHost`; in lower case. */
  readonly statusHosts: readonly string[]
  readonly drainMs: number
  /** Something outside this machine is configured, so the sample must not run by itself. */
  readonly connected: boolean
}

const GIB = 1024 ** 3

export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const stateFolder = stateFolderOf(env['HAETAE_STATE'] || 'var')
  const kafka = readKafkaSettings(env)
  return {
    stateFolder,
    lake: lakeLocation(env['HAETAE_LAKE'] || join(stateFolder, 'lake')),
    deadLetterFolder: join(stateFolder, 'deadletter'),
    topicsFolder: join(stateFolder, 'topics'),
    topicsBytesMax: number(env, 'HAETAE_TOPICS_BYTES_MAX', 20 * GIB),
    kafka,
    logLevel: logLevel(env['HAETAE_LOG_LEVEL'] || 'info'),
    statusHost: env['HAETAE_STATUS_HOST'] || '127.0.0.1',
    statusPort: port(env, 'HAETAE_STATUS_PORT', 7077),
    statusHosts: names(env['HAETAE_STATUS_HOSTS'] ?? ''),
    drainMs: number(env, 'HAETAE_DRAIN_MS', 20_000),
    connected:
      Boolean(env['OPENSEARCH_URL']) ||
      kafka !== undefined ||
      isS3Location(env['HAETAE_LAKE'] ?? '') ||
      env['HAETAE_BLOCKING'] === 'on',
  }
}

/** The variables a pipeline file may use, with the defaults filled in. */
export function pipelineVariables(settings: Settings, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return { ...env, HAETAE_STATE: settings.stateFolder, HAETAE_LAKE: settings.lake }
}

/** Throws CONFIG_INVALID when the folder cannot be made or is not ours. */
export function makeStateFolder({ stateFolder }: Settings): void {
  try {
    makeFolders(stateFolder)
    chmodSync(stateFolder, 0o700)
    accessSync(stateFolder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw unusable(stateFolder, asError(cause).message)
  }
}

/** One below the other: `recursive` tries for ever where a file system has no folders of ours, as below /proc. */
function makeFolders(folder: string): void {
  if (existsSync(folder)) {
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is no folder`)
    return
  }
  makeFolders(dirname(folder))
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (cause) {
    // Another process with the same state came first.
    if (systemCodeOf(cause) !== 'EEXIST') throw cause
  }
}

/** Made absolute. It need not be there yet; what is there must be a folder that can be read. */
function stateFolderOf(given: string): string {
  const folder = resolve(given)
  let there = folder
  while (!existsSync(there) && there !== dirname(there)) there = dirname(there)
  if (!statSync(there).isDirectory()) throw unusable(folder, `${there} is no folder`)
  try {
    accessSync(there, there === folder ? constants.R_OK | constants.X_OK : constants.X_OK)
  } catch (cause) {
    throw unusable(folder, asError(cause).message)
  }
  return folder
}

function unusable(stateFolder: string, why: string): HaetaeError {
  const fix = 'name another with HAETAE_STATE, or make this user its owner'
  return new HaetaeError('CONFIG_INVALID', `the state folder ${stateFolder} cannot be used: ${why}: ${fix}`)
}

export interface IngestKey {
  readonly key: string
  /** By us, now or at an earlier start. */
  readonly made: boolean
  /** Where one of ours is kept. */
  readonly path: string
}

/**
 * The key of the ingest routes: given in HAETAE_FIREHOSE_KEY, else made once and kept 0600 in the state folder. The
 * variable is set for this process, as ingest.yaml names it.
 */
export function ingestKey(settings: Settings, env: NodeJS.ProcessEnv = process.env): IngestKey {
  const given = env['HAETAE_FIREHOSE_KEY']
  const path = join(settings.stateFolder, 'ingest.key')
  if (given) return { key: given, made: false, path }
  const key = keptKey(path) ?? makeKey(path)
  env['HAETAE_FIREHOSE_KEY'] = key
  return { key, made: true, path }
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

function port(env: NodeJS.ProcessEnv, name: string, otherwise: number): number {
  const given = number(env, name, otherwise)
  if (given <= 65_535) return given
  throw new HaetaeError('CONFIG_INVALID', `${name}=${given}: a port is at most 65535`)
}

function logLevel(text: string): LogLevel {
  const level = logLevels.find(each => each === text)
  if (level !== undefined) return level
  throw new HaetaeError('CONFIG_INVALID', `HAETAE_LOG_LEVEL=${text}: one of ${logLevels.join(', ')} is needed`)
}

/** Host names separated by commas. */
function names(text: string): readonly string[] {
  const given = text.split(',').map(each => each.trim().toLowerCase())
  return given
    .filter(each => each !== '')
    .map(name => {
      if (/^[a-z0-9_][a-z0-9._-]{0,252}$/.test(name)) return name
      throw new HaetaeError(
        'CONFIG_INVALID',
        `HAETAE_STATUS_HOSTS=${text}: names without ports, separated by commas, are needed`,
      )
    })
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
