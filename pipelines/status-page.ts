import type { DatabaseStatus } from '../platform/geoip/watched.ts'
import type { GroupLag } from '../platform/topics/contract.ts'
import type { Health, PipelineHealth } from './health.ts'
import type { RecentEvent, RecentEvents, TopClient } from './recent.ts'

export interface StatusData {
  readonly health: Health
  readonly recent: RecentEvents
  readonly lag: readonly GroupLag[]
  readonly geoip: readonly DatabaseStatus[]
  readonly nowMs: number
}

/** Text as HTML text or attribute value. Control and bidirectional characters, which could disguise it, become visible. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[&<>"']/g, char => `&#${char.charCodeAt(0)};`)
    .replace(/[\p{Cc}\p{Cf}]/gu, char => `\\u${char.codePointAt(0)?.toString(16).padStart(4, '0')}`)
}

const CHARS_MAX = 120

/** What a server says of itself, where a person has to read all of it. */
const DETAIL_CHARS_MAX = 600

function cell(text: string, charsMax = CHARS_MAX): string {
  return escapeHtml(text.length > charsMax ? `${text.slice(0, charsMax)}…` : text)
}

/** The status page: no script, refreshes itself. Everything from events is escaped. */
export function renderStatus(data: StatusData): string {
  const { health, recent } = data
  const missing = health.missing()
  const refused = [...recent.byDisposition].filter(([name]) => name !== 'Allowed')
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Haetae</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<style>${STYLE}</style></head><body>
<header><h1>Haetae <span lang="ko">해태</span></h1>
<p class="${missing.length === 0 ? 'good' : 'bad'}">${missing.length === 0 ? 'All pipelines run.' : cell(missing.join(' · '))}</p></header>
${[...health.notices, ...health.questions].map(text => `<p class="notice">${cell(text)}</p>`).join('\n')}
<section class="tiles">
${tile('events since the start', recent.total)}
${refused.length === 0 ? tile('blocked', 0) : refused.map(([name, count]) => tile(name.toLowerCase(), count)).join('\n')}
${tile('waiting in the topics', waiting(data.lag))}
${tile('minutes up', Math.floor((data.nowMs - health.startedMs) / 60_000))}
</section>
<h2>Who was refused most</h2>
${table(['client', 'country', 'organisation', 'requests', 'blocked'], recent.top(8).map(clientRow), 'No events yet.')}
<h2>Newest events</h2>
${table(['time (UTC)', 'verdict', 'client', 'from', 'request', 'rule'], recent.newest().map(eventRow), 'No events yet.')}
<h2>Pipelines</h2>
${table(['pipeline', 'state', 'reads', 'writes'], health.pipelines.map(pipelineRow), 'None.')}
<h2>GeoIP</h2>
${table(['database', 'state', 'built', 'note'], data.geoip.map(databaseRow), 'Not in use.')}
<footer><a href="https://db-ip.com" rel="noreferrer">IP Geolocation by DB-IP</a> · <a href="/metrics">metrics</a> · <a href="/readyz">readyz</a> · <a href="/healthz">healthz</a></footer>
</body></html>
`
}

function waiting(lag: readonly GroupLag[]): number {
  return lag.reduce((sum, { committed, end }) => sum + Number(end - committed), 0)
}

function tile(label: string, value: number): string {
  return `<div><strong>${value.toLocaleString('en-US')}</strong><span>${cell(label)}</span></div>`
}

function table(heads: readonly string[], rows: readonly string[], empty: string): string {
  if (rows.length === 0) return `<p class="empty">${empty}</p>`
  const head = heads.map(text => `<th scope="col">${text}</th>`).join('')
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${rows.join('\n')}\n</tbody></table></div>`
}

function clientRow({ ip, country, organisation, events, blocked }: TopClient): string {
  return `<tr><td><code>${cell(ip)}</code></td><td>${cell(country)}</td><td>${cell(organisation)}</td><td class="number">${events}</td><td class="number">${blocked}</td></tr>`
}

function eventRow(event: RecentEvent): string {
  const time = new Date(event.timeMs).toISOString().slice(0, 19).replace('T', ' ')
  const from = [event.city, event.country, event.organisation].filter(text => text !== '').join(', ')
  const request = `${event.method} ${event.host}${event.path}`
  const verdict = `<span class="${event.disposition === 'Allowed' ? 'allowed' : 'refused'}">${cell(event.disposition)}</span>`
  return `<tr><td>${time}</td><td>${verdict}${event.sample ? ' <em>sample</em>' : ''}</td><td><code>${cell(event.ip)}</code></td><td>${cell(from)}</td><td><code>${cell(request)}</code></td><td>${cell(event.rule)}</td></tr>`
}

function pipelineRow({ name, state, detail, readsFrom, writesTo }: PipelineHealth): string {
  const shown = detail === undefined ? state : `${state}: ${detail}`
  return `<tr><td>${cell(name)}</td><td class="${state === 'running' ? 'good' : 'bad'}">${cell(shown, DETAIL_CHARS_MAX)}</td><td>${cell(readsFrom)}</td><td>${cell(writesTo)}</td></tr>`
}

function databaseRow({ topic, type, state, builtMs, message }: DatabaseStatus): string {
  const built = new Date(builtMs).toISOString().slice(0, 10)
  return `<tr><td>${cell(`${topic}: ${type}`)}</td><td class="${state === 'ok' ? 'good' : 'bad'}">${cell(state)}</td><td>${built}</td><td>${cell(message ?? '')}</td></tr>`
}

export const STYLE = `
:root{--line:#8884;--good:#17803d;--bad:#b42318;--dim:#667}
@media (prefers-color-scheme:dark){:root{--good:#4ade80;--bad:#fb7185;--dim:#9aa}}
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:0 auto;padding:1rem}
h1{margin:0;font-size:1.5rem}h1 span{color:var(--dim);font-weight:400}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
header p{margin:.2rem 0}.good{color:var(--good)}.bad,.refused{color:var(--bad)}.allowed,.empty,footer,em{color:var(--dim)}
.notice{border-left:3px solid var(--dim);padding:.3rem .8rem}
.tiles{display:flex;flex-wrap:wrap;gap:.6rem;margin-top:1rem}.tiles div{border:1px solid var(--line);border-radius:6px;padding:.5rem .9rem;min-width:7rem}
.tiles strong{display:block;font-size:1.4rem;font-variant-numeric:tabular-nums}.tiles span{color:var(--dim);font-size:.85rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--dim);font-size:.85rem}td.number{text-align:right;font-variant-numeric:tabular-nums}
code{font:13px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}footer{margin-top:2rem}a{color:inherit}
`
