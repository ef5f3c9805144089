import type { DatabaseStatus } from '../platform/geoip/watched.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { GroupLag } from '../platform/topics/contract.ts'
import type { Health } from './health.ts'
import { HTML, jsonPage, type Page, type PagesOptions, type StatusServer, servePages } from './pages.ts'
import type { RecentEvents } from './recent.ts'
import { renderStatus } from './status-page.ts'

export interface StatusOptions extends PagesOptions {
  readonly health: Health
  readonly metrics: Metrics
  readonly recent: RecentEvents
  /** Of the configuration that runs. */
  revision(): string
  lag(): Promise<readonly GroupLag[]>
  geoip(): Promise<readonly DatabaseStatus[]>
  now(): number
}

/** Throws LISTEN_FAILED when the address is not to be had. */
export function serveStatus(options: StatusOptions): Promise<StatusServer> {
  const { health, metrics } = options
  const asks = (): object => (health.questions.length > 0 ? { asks: health.questions } : {})
  const unready = (): Page =>
    jsonPage(503, { ready: false, revision: options.revision(), missing: health.missing(), ...asks() })
  return servePages(options, {
    status: () => page(options),
    healthz: () => Promise.resolve(health.failed() ? unready() : jsonPage(200, { ok: true })),
    async readyz() {
      if (health.missing().length > 0) return unready()
      return jsonPage(200, { ready: true, revision: options.revision(), ...asks(), ...(await geoipOf(options)) })
    },
    metrics: () => metrics.expose(),
  })
}

async function page(options: StatusOptions): Promise<Page> {
  const [lag, geoip] = await Promise.all([options.lag(), options.geoip()])
  return { status: 200, type: HTML, body: renderStatus({ ...options, lag, geoip, nowMs: options.now() }) }
}

/** Old or damaged GeoIP data do not keep traffic away, but whoever asks is told. */
async function geoipOf(options: StatusOptions): Promise<{ readonly geoip?: readonly string[] }> {
  const geoip = (await options.geoip()).map(({ message }) => message).filter(message => message !== undefined)
  return geoip.length > 0 ? { geoip } : {}
}
