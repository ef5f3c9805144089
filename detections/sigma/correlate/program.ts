import type { OcsfEvent } from '../../../platform/ocsf/event.ts'

/** Undefined: nothing is proven. It may be a customer's browser, and somebody else's content that made it ask. */
export type Sender = 'tool' | 'pretender' | 'browser' | undefined

/**
 * Whether a program sent a web request, as far as the request proves it. A page, a mail or a link of somebody else can make a customer's
 * browser ask for any path with any query (`<img src="https://shop/.env">`, a form that posts to /login, a search for a script
 * whose pages the shop then asks for itself). For that the customer must not be blocked: a block needs proof (docs/decisions/016).
 *
 * - `tool`: a program that fetches what its user asks for, by its own word. No page can change a browser's user agent.
 * - `pretender`: it says that it is a browser of today, and sends not what these always send: `Sec-Fetch-Site`, with every request over TLS
 *   (W3C Fetch Metadata §2.4; Chrome since 80, Firefox since 90), which no page can take away.
 * - `browser`: it has that header. So may a program that wears all of a browser's headers: it is a claim and no proof.
 */
export function senderOf(body: OcsfEvent): Sender {
  const { user_agent: agent = '', http_method: method, http_headers = [] } = body.http_request ?? {}
  if (body.metadata?.labels?.includes(VERIFIED_BOT)) return undefined
  // Questions before requests across origins, sockets and reports may go out without it, and pages bring them about.
  let unsaid = method === 'OPTIONS'
  for (const { name, value } of http_headers) {
    const lower = name.toLowerCase()
    if (lower === 'sec-fetch-site') return 'browser'
    unsaid ||= lower.startsWith('sec-websocket-') || (lower === 'content-type' && value.includes('report'))
  }
  if (TOOL.test(agent)) return 'tool'
  const isToday = BROWSER_OF_TODAY.test(agent) && !FOR_OTHERS.test(agent)
  return isToday && !unsaid && isOverTls(body) ? 'pretender' : undefined
}

/** It follows links, whoever wrote them. */
const VERIFIED_BOT = 'awswaf:managed:aws:bot-control:bot:verified'
/** Programs that show nobody's content. No mail readers, media players, apps (okhttp) or crawlers: others decide what these fetch. */
const TOOL =
  /^(?:curl|wget|python-|python\/|aiohttp|httpx|go-http-client|java\/|apache-httpclient|libwww-perl|axios|node-fetch|undici|guzzle|ruby|fasthttp)|sqlmap|nikto|nuclei|projectdiscovery|zgrab|masscan|gobuster|dirbuster|feroxbuster|ffuf|wfuzz|wpscan|acunetix|netsparker|arachni|w3af|nessus|openvas|nmap scripting engine|zmeu/i
const BROWSER_OF_TODAY = /\b(?:Chrome|Firefox)\/(?:9\d|[1-9]\d{2})\./
/** On Android the system's media player asks under the browser's name; a crawler runs a browser and follows anybody's links. */
const FOR_OTHERS = /android|\+https?:|bot\b|crawl|spider|externalhit|preview|scrap|lighthouse|proxy|\bvia\b/i

/** Over plain HTTP no browser sends Sec-Fetch-Site. AWS WAF logs fingerprints of TLS alone. */
function isOverTls({ tls, ja4_fingerprint_list = [] }: OcsfEvent): boolean {
  return tls?.ja3_hash !== undefined || ja4_fingerprint_list.length > 0
}
