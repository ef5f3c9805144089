import { parseArgs } from 'node:util'
import type { Command } from '../command.ts'
import { shippedPipelines } from '../files.ts'
import { keepCompact } from '../lake-upkeep.ts'
import { loadPipeline, type PipelineConfig, requirementsOf } from '../load.ts'
import { type Running, startProcess } from '../process.ts'
import { feedSample } from '../replay-sample.ts'
import { sampleDue } from '../sample-due.ts'
import {
  type IngestKey,
  ingestKey,
  makeStateFolder,
  pipelineVariables,
  readSettings,
  type Settings,
} from '../settings.ts'
import { onSignals } from '../signals.ts'

/** The whole system in one process: what `npm start` calls. */
export const up: Command = {
  name: 'up',
  usage: '[--sample] [--no-sample]',
  summary: 'run every pipeline in one process, with the status page; with no data yet it replays the sample',
  async run(args) {
    const { values } = parseArgs({
      args: [...args],
      options: { sample: { type: 'boolean' } },
      allowNegative: true,
    })
    const settings = readSettings()
    makeStateFolder(settings)
    const pipelines = startable(settings)
    const sampleMs = await sampleTime(settings, values.sample)
    let ingest: IngestKey | undefined
    const owned = (): void => {
      ingest = ingestKey(settings)
    }
    const running = await startProcess(pipelines, settings, { load: () => startable(settings), owned })
    onSignals({ ...running, drainMs: settings.drainMs, log: running.runtime.log })
    // The configured port may be 0, for any that is free.
    const port = await Promise.race([running.listening, running.done.then(() => undefined)])
    if (port !== undefined && ingest) {
      const url = ingestUrl(pipelines, port)
      const { key, made, path } = ingest
      const own = made ? { key, path } : undefined
      console.error(greeting(running, settings, pipelines, url, own, sampleMs !== undefined))
      keepCompact(running)
      if (sampleMs !== undefined) feedSample(running, url, key, sampleMs)
    }
    await running.done
    return 0
  },
}

/** When the sample that is to be replayed ends, if one is: as asked, else by itself where nothing but this machine is configured. */
async function sampleTime(settings: Settings, asked: boolean | undefined): Promise<number | undefined> {
  if (asked === false || (asked === undefined && settings.connected)) return undefined
  const due = await sampleDue(settings, Date.now())
  return due ?? (asked ? Date.now() : undefined)
}

/** The shipped pipelines whose requirements the environment meets. */
function startable(settings: Settings): PipelineConfig[] {
  const variables = pipelineVariables(settings)
  return shippedPipelines()
    .filter(file => requirementsOf(file).every(name => process.env[name]))
    .map(file => loadPipeline(file, variables))
}

function ingestUrl(pipelines: readonly PipelineConfig[], port: number): string {
  const config = pipelines.find(({ source }) => source.spec.type === 'http')?.source.config
  const { host } = { host: '127.0.0.1', ...(config as object) }
  return `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`
}

function greeting(
  running: Running,
  settings: Settings,
  pipelines: readonly PipelineConfig[],
  url: string,
  own: { readonly key: string; readonly path: string } | undefined,
  sample: boolean,
): string {
  const writes = pipelines.map(({ name }) => name).join(', ')
  return `
Haetae runs: ${writes}
  status page   ${running.status.url}/
  ingest        ${url}/firehose/waf (Firehose), ${url}/ingest/waf (NDJSON), /ingest/guardduty, /ingest/falco
  key           ${own ? `${own.key}  (kept in ${own.path})` : 'from HAETAE_FIREHOSE_KEY'}
  state         ${settings.stateFolder}
  lake          ${settings.lake}
${sample ? '  sample        a day of made-up WAF traffic is being replayed, labelled haetae:sample\n' : ''}
Try next
  curl -sS ${url}/ingest/waf -H "Authorization: Bearer ${own?.key ?? '$HAETAE_FIREHOSE_KEY'}" --data-binary '${oneRecord()}'
  # in the lake up to ${flushMs(pipelines) / 1000} s later
  npx haetae lake query "SELECT time, action, country, city, path, rule FROM waf WHERE client_ip = '${CLIENT}' ORDER BY time DESC"
  npx haetae lake query 'SELECT country, count(*) AS blocked FROM waf WHERE action = '"'"'Denied'"'"' GROUP BY 1 ORDER BY 2 DESC'
  npx haetae decisions list                    # who is kept out, until when and why
  npx haetae ip ${CLIENT}                 # everything about one address
  npx haetae explain docs/examples/waf-record.json   # which rules match a record, and what would be done
  npx haetae audit                             # what was changed, by whom and why
  npx haetae deadletter list
Stop with Ctrl-C.
`
}

/** How long a record may take until it is in the lake. */
function flushMs(pipelines: readonly PipelineConfig[]): number {
  const lake = pipelines.flatMap(({ sinks }) => sinks).find(({ spec }) => spec.type === 'lake')
  return (lake?.config as { readonly flushMs: number } | undefined)?.flushMs ?? 0
}

/** Of the record in the curl line: an address in KT's network, so that GeoIP has an answer. */
const CLIENT = '121.160.10.20'

/** A small record of now. */
function oneRecord(): string {
  return JSON.stringify({
    timestamp: Date.now(),
    formatVersion: 1,
    webaclId: 'arn:aws:wafv2:ap-northeast-2:123456789012:regional/webacl/shop/11111111-2222-3333-4444-555555555555',
    terminatingRuleId: 'block-sqli',
    terminatingRuleType: 'REGULAR',
    action: 'BLOCK',
    httpSourceName: 'ALB',
    httpSourceId: '123456789012-app/shop/50dc6c495c0c9188',
    httpRequest: {
      clientIp: CLIENT,
      country: 'KR',
      headers: [{ name: 'Host', value: 'shop.example' }],
      uri: '/search',
      args: 'q=1+OR+1=1',
      httpVersion: 'HTTP/2.0',
      httpMethod: 'GET',
      requestId: '1-65a0c0de-000000000000000000000000',
    },
  })
}
