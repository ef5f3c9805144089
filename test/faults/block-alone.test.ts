/** An attacker is blocked although OpenSearch, Slack and the lake are all away. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { readHoldings } from '../../pipelines/holds.ts'
import { readSettings } from '../../pipelines/settings.ts'
import { freePorts } from '../support/free-ports.ts'
import { Program } from '../support/program.ts'
import { wafRecord } from '../support/waf-records.ts'

const ATTACKER = '45.148.10.20'
const SECRETS = ['/.env', '/.git/config', '/.aws/credentials', '/.git/HEAD', '/.env.production', '/.env.local']

let folder = ''
let running: Program | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'haetae-alone-'))
})
afterEach(async () => {
  await running?.kill()
  rmSync(folder, { recursive: true, force: true })
})

function attack(): string {
  const record = wafRecord() as Record<string, unknown> & { httpRequest: Record<string, unknown> }
  return SECRETS.map((uri, at) =>
    JSON.stringify({
      ...record,
      action: 'ALLOW',
      terminatingRuleId: 'Default_Action',
      timestamp: Date.now() + at,
      httpRequest: {
        ...record.httpRequest,
        clientIp: ATTACKER,
        httpMethod: 'GET',
        uri,
        args: '',
        // A program by its own word: what a page could have made a customer's browser send blocks nobody.
        headers: [{ name: 'User-Agent', value: 'curl/8.16.0' }],
      },
    }),
  ).join('\n')
}

test('with OpenSearch, Slack and the lake all down, an attacker is blocked, and the process says what is missing', async () => {
  const [closedPort = 0] = await freePorts(1)
  const noFolder = join(folder, 'a-file')
  writeFileSync(noFolder, 'not a folder')
  const stateFolder = join(folder, 'state')
  running = await Program.start({
    stateFolder,
    lakeFolder: join(noFolder, 'lake'),
    ready: false,
    env: {
      OPENSEARCH_URL: `http://127.0.0.1:${closedPort}`,
      SLACK_BOT_TOKEN: 'xoxb-of-nobody',
      HAETAE_SLACK_CHANNEL: 'C0000000000',
      HTTPS_PROXY: `http://127.0.0.1:${closedPort}`,
    },
  })
  const url = `http://127.0.0.1:${running.ingestPort}/ingest/waf`
  const posted = async (): Promise<number> => {
    const sent = { method: 'POST', headers: { authorization: `Bearer ${running!.key}` }, body: attack() }
    return (await fetch(url, sent).catch(() => undefined))?.status ?? 0
  }
  await vi.waitUntil(async () => (await posted()) === 200, { timeout: 60_000, interval: 500 })
  const settings = readSettings({ HAETAE_STATE: stateFolder })
  const inWaf = async (): Promise<boolean> => {
    const { holds } = await readHoldings(settings)
    return holds.some(({ target, state, history }) => {
      return target.value === ATTACKER && state === 'active' && history.some(({ what }) => what === 'waf_written')
    })
  }
  await vi.waitUntil(inWaf, { timeout: 60_000, interval: 250 })
  const ready = await fetch(`http://127.0.0.1:${running.statusPort}/readyz`)
  expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('waf-lake')])
  // From the arrival of the record to the acknowledged write, as the metric of production has it.
  expect(await running.metric('haetae_block_latency_ms_count')).toBeGreaterThan(0)
})
