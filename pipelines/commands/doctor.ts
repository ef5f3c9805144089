import { accessSync, constants, existsSync, statfsSync, statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Stage } from '../../engine/contract.ts'
import { asError } from '../../platform/errors.ts'
import { geoIpStatus } from '../../platform/geoip/shared.ts'
import { openLakeStore } from '../../platform/lake/open-store.ts'
import { silentLog } from '../../platform/log.ts'
import { connectOpenSearch } from '../../platform/opensearch.ts'
import { isS3Location } from '../../platform/s3.ts'
import type { Command } from '../command.ts'
import { findDeadLetters } from '../dead-letters.ts'
import { shippedPipelines } from '../files.ts'
import { loadPipeline, type Part, requirementsOf } from '../load.ts'
import { loadWithStandIns, offlineDeps } from '../offline.ts'
import { warningsOf } from '../pipeline-warnings.ts'
import { pipelineVariables, readSettings, type Settings } from '../settings.ts'
import { counted, formatOf, render } from '../terminal.ts'
import { topicsStanding } from '../topics/standing.ts'

type State = 'ok' | 'warn' | 'fail'
interface Finding {
  readonly check: string
  readonly state: State
  readonly detail: string
}

const FREE_BYTES_MIN = 1024 ** 3

/** Looks at everything a running Haetae needs and says what is wrong. Changes nothing. */
export const doctor: Command = {
  name: 'doctor',
  usage: '[FILE …] [-o table|json|ndjson]',
  summary:
    'check this machine, the state, the pipeline files (those that come with Haetae when none is named), their GeoIP ' +
    'databases, and OpenSearch (exit 1 when something is broken)',
  async run(args) {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { output: { type: 'string', short: 'o' } },
    })
    const files = positionals.length > 0 ? positionals : shippedPipelines()
    const format = formatOf(values.output)
    const settings = readSettings()
    const findings = [
      nodeVersion(),
      folder('state', settings.stateFolder, 0o700),
      space(settings.stateFolder),
      await lake(settings),
      await topics(settings),
      ...(await Promise.all(files.map(file => pipeline(file, settings)))).flat(),
      ...(await geoip(files, settings)),
      await opensearch(),
      await deadLetters(settings),
    ]
    console.log(
      render(
        findings.map(finding => ({ ...finding })),
        ['state', 'check', 'detail'],
        format,
      ),
    )
    return findings.some(({ state }) => state === 'fail') ? 1 : 0
  },
}

function nodeVersion(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  return {
    check: 'node',
    state: major >= 24 ? 'ok' : 'fail',
    detail: `Node ${process.versions.node}, 24 or newer is needed`,
  }
}

function folder(check: string, path: string, mode?: number): Finding {
  if (!existsSync(path)) return { check, state: 'ok', detail: `${path} will be made at the first start` }
  try {
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch {
    return {
      check,
      state: 'fail',
      detail: `${path} cannot be written by this user: change its owner or choose another`,
    }
  }
  if (mode !== undefined && (statSync(path).mode & 0o077) !== 0) {
    return { check, state: 'warn', detail: `${path} is open to other users: it holds unredacted records; chmod 700 it` }
  }
  return { check, state: 'ok', detail: path }
}

/** The folder, or whether the bucket answers and may be listed. */
async function lake({ lake: location, stateFolder }: Settings): Promise<Finding> {
  const check = 'lake'
  if (!isS3Location(location)) return folder(check, location)
  try {
    const store = await openLakeStore(location, stateFolder)
    try {
      for await (const _ of store.list('class=')) break
      return { check, state: 'ok', detail: `${location} answers` }
    } finally {
      await store.close()
    }
  } catch (thrown) {
    return { check, state: 'fail', detail: asError(thrown).message }
  }
}

function space(path: string): Finding {
  const existing = existsSync(path) ? path : '.'
  const { bavail, bsize } = statfsSync(existing)
  const free = bavail * bsize
  const detail = `${(free / 1024 ** 3).toFixed(1)} GiB free where the state is`
  return { check: 'disk', state: free < FREE_BYTES_MIN ? 'warn' : 'ok', detail }
}

async function topics(settings: Settings): Promise<Finding> {
  const check = 'topics'
  const found = await topicsStanding(settings).catch(asError)
  if (found instanceof Error) return { check, state: 'fail', detail: found.message }
  if (!found) return { check, state: 'ok', detail: 'no process owns the topic log: Haetae is not running here' }
  return { check, state: found.isFull ? 'fail' : 'ok', detail: found.detail }
}

async function pipeline(file: string, settings: Settings): Promise<Finding[]> {
  try {
    const missing = requirementsOf(file).filter(name => !process.env[name])
    if (missing.length > 0)
      return [{ check: file, state: 'ok', detail: `not started: ${missing.join(', ')} is not set` }]
    const warnings = await warningsOf(loadPipeline(file, pipelineVariables(settings)))
    if (warnings.length > 0) return warnings.map(detail => ({ check: file, state: 'warn', detail }))
    return [{ check: file, state: 'ok', detail: 'valid' }]
  } catch (thrown) {
    return [{ check: file, state: 'fail', detail: asError(thrown).message }]
  }
}

/** Opens the databases that the pipelines name, each set of them once, and asks what state they are in. */
async function geoip(files: readonly string[], settings: Settings): Promise<Finding[]> {
  const deps = { ...offlineDeps('doctor', settings), log: silentLog }
  const findings = new Map<string, Finding>()
  for (const { spec, config } of files.flatMap(file => geoipStages(file, settings))) {
    try {
      const stage = await spec.open(config, deps)
      for (const { path, topic, type, state, message } of await geoIpStatus()) {
        findings.set(`${path} ${state}`, {
          check: `geoip ${topic}`,
          state: state === 'ok' ? 'ok' : 'warn',
          detail: message ?? type,
        })
      }
      await stage.close?.()
    } catch (thrown) {
      const { message } = asError(thrown)
      findings.set(message, { check: 'geoip', state: 'fail', detail: message })
    }
  }
  return [...findings.values()]
}

/** None of a file that is wrong: its own finding says so. */
function geoipStages(file: string, settings: Settings): readonly Part<Stage>[] {
  try {
    return loadWithStandIns(file, settings).pipeline.stages.filter(({ spec }) => spec.type === 'geoip')
  } catch {
    return []
  }
}

/** Asks as `waf.yaml` does: with its user and its authorities. */
async function opensearch(): Promise<Finding> {
  const { OPENSEARCH_URL: url, OPENSEARCH_USERNAME: username = '', OPENSEARCH_CA_FILE: caFile = '' } = process.env
  if (!url) return { check: 'opensearch', state: 'ok', detail: 'OPENSEARCH_URL is not set: events go to the lake only' }
  try {
    const root = new URL(url)
    // Else a message of the client would quote it, password included.
    if (root.username !== '' || root.password !== '') {
      const detail = 'OPENSEARCH_URL holds credentials: give them as OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD'
      return { check: 'opensearch', state: 'fail', detail }
    }
    const auth = { username, password: { env: 'OPENSEARCH_PASSWORD' } }
    const server = connectOpenSearch({ url, auth, caFile, requestMsMax: 5_000 }, 1)
    try {
      const { status } = await server.send({ method: 'GET', path: '/' })
      const state = status === 200 ? 'ok' : status === 401 || status === 403 ? 'warn' : 'fail'
      return { check: 'opensearch', state, detail: `answers ${status}` }
    } finally {
      await server.close()
    }
  } catch (thrown) {
    return { check: 'opensearch', state: 'fail', detail: asError(thrown).message }
  }
}

async function deadLetters(settings: Settings): Promise<Finding> {
  let count = 0
  for await (const _ of findDeadLetters(settings.deadLetterFolder, { replayed: false })) count++
  const detail = count === 0 ? 'empty' : `${counted(count, 'record')} waiting: haetae deadletter list`
  return { check: 'deadletter', state: count === 0 ? 'ok' : 'warn', detail }
}
