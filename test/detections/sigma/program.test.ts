import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { groupField } from '../../../detections/sigma/correlate/group.ts'
import { senderOf } from '../../../detections/sigma/correlate/program.ts'
import type { OcsfEvent } from '../../../platform/ocsf/event.ts'

const CHROME =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36'
const FIREFOX = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:151.0) Gecko/20100101 Firefox/151.0'

interface Given {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly labels?: readonly string[]
  readonly tls?: boolean
}

function requestOf(agent: string, { method = 'GET', headers = {}, labels = [], tls = true }: Given = {}): OcsfEvent {
  return {
    src_endpoint: { ip: '203.0.113.7' },
    http_request: {
      http_method: method,
      user_agent: agent,
      http_headers: Object.entries({ 'User-Agent': agent, ...headers }).map(([name, value]) => ({ name, value })),
    },
    metadata: { version: '1.8.0', labels: [...labels] },
    ...(tls
      ? { ja4_fingerprint_list: [{ type_id: 2, type: 'JA4', value: 't13d1516h2_8daaf6152771_d8a2da3f94cd' }] }
      : {}),
  } as OcsfEvent
}

const FIELDS = ['haetae.program', 'haetae.pretender', 'haetae.visitor', 'haetae.browser'] as const
const fieldsOf = (body: OcsfEvent) => FIELDS.filter(name => groupField(name, 'waf').read(body).length > 0)

describe('it is proven that a program sent a request', () => {
  test.each([
    'curl/8.16.0',
    'python-requests/2.32.5',
    'Go-http-client/2.0',
    'sqlmap/1.9.10#stable (https://sqlmap.org)',
    'Mozilla/5.0 (compatible; Nuclei - Open-source project (github.com/projectdiscovery/nuclei))',
    'Mozilla/5.0 zgrab/0.x',
  ])('by its own word: %s', agent => {
    expect(senderOf(requestOf(agent))).toBe('tool')
    expect(senderOf(requestOf(agent, { tls: false }))).toBe('tool')
    expect(fieldsOf(requestOf(agent))).toEqual(['haetae.program'])
  })

  test.each([CHROME, FIREFOX])('by what it lacks and every such browser sends over TLS: %s', agent => {
    expect(senderOf(requestOf(agent))).toBe('pretender')
    expect(fieldsOf(requestOf(agent))).toEqual(['haetae.program', 'haetae.pretender'])
  })
})

describe('nothing is proven', () => {
  test.each(['cross-site', 'same-site', 'same-origin', 'none', 'REDACTED', ''])(
    'of whoever sends Sec-Fetch-Site: %s, whatever it says it is',
    site => {
      for (const agent of [CHROME, FIREFOX, 'curl/8.16.0', 'sqlmap/1.9'])
        for (const name of ['Sec-Fetch-Site', 'sec-fetch-site'])
          expect(fieldsOf(requestOf(agent, { headers: { [name]: site } }))).toEqual([
            'haetae.visitor',
            'haetae.browser',
          ])
    },
  )

  test.each([
    ['a browser that is too old to say', CHROME.replace('156', '89')],
    [
      'an iPhone of some years ago',
      'Mozilla/5.0 (iPhone; CPU iPhone OS 15_8 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6 Mobile/15E148 Safari/604.1',
    ],
    ['a mail reader', 'Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.18129; Pro)'],
    ['the media player of a telephone', 'AppleCoreMedia/1.0.0.23A341 (iPhone; U; CPU OS 26_0 like Mac OS X; ko_kr)'],
    [
      'that of Android, under the name of the browser',
      'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36',
    ],
    ['an app', 'HaetaeShop/5.12.0 (Android 16; SM-S938N; ko_KR) okhttp/5.3.2'],
    ['a crawler that runs a browser', `${CHROME} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)`],
    [
      'the preview of a messenger',
      'facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/t/scrap/33984',
    ],
    ['who says nothing', ''],
  ])('of %s', (_, agent) => {
    expect(fieldsOf(requestOf(agent))).toEqual(['haetae.visitor'])
  })

  test('of a bot whose owner AWS WAF Bot Control has verified, whatever it calls itself', () => {
    const labels = ['awswaf:managed:aws:bot-control:bot:verified']
    for (const agent of [CHROME, 'python-requests/2.32.5'])
      expect(fieldsOf(requestOf(agent, { labels }))).toEqual(['haetae.visitor'])
  })

  test.each<[string, Given]>([
    ['over plain HTTP, where no browser says it', { tls: false }],
    [
      'of a socket that a page opens',
      { headers: { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', Upgrade: 'websocket' } },
    ],
    [
      'of the question before a request across origins',
      { method: 'OPTIONS', headers: { Origin: 'https://hostile.example' } },
    ],
    [
      'of a report that a page has sent here',
      { method: 'POST', headers: { 'Content-Type': 'application/reports+json' } },
    ],
  ])('by a browser of today %s', (_, given) => {
    expect(fieldsOf(requestOf(CHROME, given))).toEqual(['haetae.visitor'])
  })
})

test('every request is a program’s or a visitor’s, and a pretender’s is a program’s', () => {
  const agent = fc.oneof(fc.constantFrom(CHROME, FIREFOX, 'curl/8', 'Mozilla/5.0 (Linux; Android 10)'), fc.string())
  const name = fc.oneof(
    fc.constantFrom('Sec-Fetch-Site', 'sec-websocket-key', 'content-type', 'Accept-Language'),
    fc.string(),
  )
  const headers = fc.dictionary(name, fc.string(), { noNullPrototype: true })
  fc.assert(
    fc.property(agent, headers, fc.boolean(), (user, given, tls) => {
      const fields = fieldsOf(requestOf(user, { headers: given, tls }))
      expect(fields.includes('haetae.program')).toBe(!fields.includes('haetae.visitor'))
      if (fields.includes('haetae.pretender')) expect(fields).toContain('haetae.program')
      if (fields.includes('haetae.browser')) expect(fields).toContain('haetae.visitor')
    }),
  )
})

test('a hostile page changes nothing that it cannot: with Sec-Fetch-Site no other header and no agent makes a program', () => {
  fc.assert(
    fc.property(fc.string(), fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }), (agent, headers) => {
      expect(senderOf(requestOf(agent, { headers: { ...headers, 'sec-fetch-site': 'cross-site' } }))).toBe('browser')
    }),
  )
})

test('fields of senders are of web requests alone, count where the client is read, and are about its address', () => {
  for (const name of FIELDS) {
    expect(groupField(name, 'waf')).toMatchObject({ withKey: true, actor: 'address' })
    expect(() => groupField(name, 'guardduty')).toThrow()
  }
})
