/**
 * The web ACLs of the shop and what their rules leave in a log record. Field order, rule names and labels as AWS WAF writes
 * them (AWS WAF developer guide: "Log fields", "AWS Managed Rules rule groups list").
 */
import { API_HOST, type Ask, IMAGE_HOST, SHOP_HOST } from './shop.ts'

export interface Acl {
  readonly name: string
  readonly arn: string
  readonly source: 'CF' | 'ALB' | 'APIGW'
  readonly sourceId: string
  readonly host: string
  /** In the order they are evaluated. */
  readonly groups: readonly string[]
  readonly bodyInspectedMax: number
  /** A rule of it looks at the client's country (labels), at its ASN (clientAsn). */
  readonly geo: boolean
  readonly asn: boolean
}

const REPUTATION = 'AWSManagedRulesAmazonIpReputationList'
const ANONYMOUS = 'AWSManagedRulesAnonymousIpList'
const KNOWN_BAD = 'AWSManagedRulesKnownBadInputsRuleSet'
const COMMON = 'AWSManagedRulesCommonRuleSet'
const SQLI = 'AWSManagedRulesSQLiRuleSet'
const BOTS = 'AWSManagedRulesBotControlRuleSet'

export const acls: readonly [cloudfront: Acl, alb: Acl, gateway: Acl] = [
  {
    name: 'shop-front',
    arn: 'arn:aws:wafv2:us-east-1:123456789012:global/webacl/shop-front/6f0c2c1e-2d6b-4a57-9d3e-0f6a4b1c7e55',
    source: 'CF',
    sourceId: 'E2QWRUHAPOMQZL',
    host: SHOP_HOST,
    groups: [REPUTATION, ANONYMOUS, KNOWN_BAD, COMMON, SQLI, BOTS],
    bodyInspectedMax: 16_384,
    geo: true,
    asn: false,
  },
  {
    name: 'shop-api',
    arn: 'arn:aws:wafv2:ap-northeast-2:123456789012:regional/webacl/shop-api/b1d3a0f4-77a2-4a0e-8a6c-5c9f2f1be210',
    source: 'ALB',
    sourceId: '123456789012-app/shop-api/8d2a4f5c6b7e9012',
    host: API_HOST,
    groups: [KNOWN_BAD, COMMON, SQLI],
    bodyInspectedMax: 8192,
    geo: true,
    asn: true,
  },
  {
    name: 'partner-gateway',
    arn: 'arn:aws:wafv2:ap-northeast-2:111122223333:regional/webacl/partner-gateway/0a4e7c90-5f1d-4a8b-b6a1-2b7d9c3e4f60',
    source: 'APIGW',
    sourceId: '111122223333:k3j9x2q7ab:prod',
    host: 'k3j9x2q7ab.execute-api.ap-northeast-2.amazonaws.com',
    groups: [COMMON, SQLI],
    bodyInspectedMax: 16_384,
    geo: false,
    asn: false,
  },
]

/** The name the request was made to: static files have their own, without cookies. */
export function hostOf(acl: Acl, kind: Ask['kind']): string {
  return kind === 'asset' && acl.source === 'CF' ? IMAGE_HOST : acl.host
}

/** What the rules did with one request, as pieces of JSON. */
export interface Verdict {
  readonly ruleId: string
  readonly ruleType: 'REGULAR' | 'RATE_BASED' | 'GROUP' | 'MANAGED_RULE_GROUP'
  readonly action: 'ALLOW' | 'BLOCK' | 'CAPTCHA' | 'CHALLENGE'
  readonly matchDetails: string
  readonly groups: string
  readonly rateRules: string
  readonly nonTerminating: string
  readonly responseCode: string
  /** Label names beyond the geographic ones. */
  readonly labels: readonly string[]
  /** captchaResponse or challengeResponse with its comma, or nothing. */
  readonly token: string
}

interface GroupItem {
  readonly ruleGroupId: string
  readonly terminatingRule: RuleMatch | null
  readonly nonTerminatingMatchingRules: readonly RuleMatch[]
  readonly excludedRules: readonly { exclusionType: 'EXCLUDED_AS_COUNT'; ruleId: string }[] | null
  readonly customerConfig: null
}
interface RuleMatch {
  readonly ruleId: string
  readonly action: string
  readonly overriddenAction?: string
  readonly ruleMatchDetails: readonly MatchDetail[] | null
}
export interface MatchDetail {
  readonly conditionType: 'SQL_INJECTION' | 'XSS' | 'REGEX'
  readonly sensitivityLevel?: 'HIGH' | 'LOW'
  readonly location: string
  readonly matchedData: readonly string[] | null
  readonly matchedFieldName?: string
}

const untouched = (group: string): GroupItem => ({
  ruleGroupId: `AWS#${group}`,
  terminatingRule: null,
  nonTerminatingMatchingRules: [],
  excludedRules: null,
  customerConfig: null,
})

const allClean = new Map(acls.map(acl => [acl, JSON.stringify(acl.groups.map(untouched))]))

/** Static files: every managed group but the first has a scope-down statement that leaves them out. */
export function passedAsStatic(acl: Acl): Verdict {
  return allowed(acl, { groups: JSON.stringify(acl.groups.slice(0, 1).map(untouched)) })
}

/** Nothing matched: the default action. The parts that differ are given. */
export function allowed(acl: Acl, parts: Partial<Verdict> = {}): Verdict {
  return {
    ruleId: 'Default_Action',
    ruleType: 'REGULAR',
    action: 'ALLOW',
    matchDetails: '[]',
    groups: allClean.get(acl)!,
    rateRules: '[]',
    nonTerminating: '[]',
    responseCode: 'null',
    labels: [],
    token: '',
    ...parts,
  }
}

/** A rule of a managed group ended the evaluation; later groups were not reached. Custom response 403 on the API. */
export function blockedByGroup(acl: Acl, group: string, rule: string, label: string, details?: MatchDetail[]): Verdict {
  const reached = acl.groups.slice(0, acl.groups.indexOf(group) + 1).map(untouched)
  reached[reached.length - 1] = {
    ...untouched(group),
    terminatingRule: { ruleId: rule, action: 'BLOCK', ruleMatchDetails: details ?? null },
  }
  return allowed(acl, {
    ruleId: `AWS-${group}`,
    ruleType: 'MANAGED_RULE_GROUP',
    action: 'BLOCK',
    groups: JSON.stringify(reached),
    responseCode: acl.source === 'ALB' ? '403' : 'null',
    labels: [label],
  })
}

/**
 * The group would have blocked, but the web ACL counts the whole group: its terminatingRule still says BLOCK and the
 * request goes on to the default action.
 */
export function groupCounted(acl: Acl, group: string, rule: string, labels: readonly string[]): Verdict {
  const items = acl.groups
    .map(untouched)
    .map(item =>
      item.ruleGroupId === `AWS#${group}`
        ? { ...item, terminatingRule: { ruleId: rule, action: 'BLOCK', ruleMatchDetails: null } }
        : item,
    )
  return allowed(acl, {
    groups: JSON.stringify(items),
    nonTerminating: JSON.stringify([{ ruleId: `AWS-${group}`, action: 'COUNT', ruleMatchDetails: [] }]),
    labels,
  })
}

/** One rule of a group is overridden to count. `legacy`: by excludedRules, as web ACLs of before 2022 do it. */
export function ruleCounted(acl: Acl, group: string, rule: string, label: string, legacy: boolean): Verdict {
  const match = { ruleId: rule, action: 'COUNT', overriddenAction: 'BLOCK', ruleMatchDetails: [] }
  const items = acl.groups.map(untouched).map(item => {
    if (item.ruleGroupId !== `AWS#${group}`) return item
    return legacy
      ? { ...item, excludedRules: [{ exclusionType: 'EXCLUDED_AS_COUNT' as const, ruleId: rule }] }
      : { ...item, nonTerminatingMatchingRules: [match] }
  })
  return allowed(acl, { groups: JSON.stringify(items), labels: [label] })
}

/** A rule of our own, evaluated before every group. */
export function blockedByRule(acl: Acl, ruleId: string, details: MatchDetail[], labels: readonly string[]): Verdict {
  return allowed(acl, {
    ruleId,
    action: 'BLOCK',
    matchDetails: JSON.stringify(details),
    groups: '[]',
    responseCode: '403',
    labels,
  })
}

/** Our own rule in count mode. */
export function countedByRule(acl: Acl, ruleId: string, details: MatchDetail[], labels: readonly string[]): Verdict {
  return allowed(acl, {
    nonTerminating: JSON.stringify([{ ruleId, action: 'COUNT', ruleMatchDetails: details }]),
    labels,
  })
}

/** `limited`: over the limit; else the rule is listed though the request passed (listed is not blocked). */
export function rateLimited(acl: Acl, rule: string, perWindow: number, ip: string, limited: boolean): Verdict {
  const [, , , region, account] = acl.arn.split(':') as [string, string, string, string, string]
  const family = ip.includes(':') ? 'IPV6' : 'IPV4'
  const scope = acl.source === 'CF' ? 'global' : 'regional'
  const id = acl.arn.slice(acl.arn.lastIndexOf('/') + 1)
  const rateRules = JSON.stringify([
    {
      rateBasedRuleId: `arn:aws:wafv2:${region}:${account}_MANAGED:${scope}/ipset/${id}_7c1d5c0e-4f1b-4a7e-9f0c-9a52f6a4d1b8_${family}/7c1d5c0e-4f1b-4a7e-9f0c-9a52f6a4d1b8`,
      rateBasedRuleName: rule,
      limitKey: 'IP',
      limitValue: ip,
      maxRateAllowed: perWindow,
      evaluationWindowSec: '300',
    },
  ])
  if (!limited) return allowed(acl, { rateRules })
  return allowed(acl, {
    ruleId: rule,
    ruleType: 'RATE_BASED',
    action: 'BLOCK',
    rateRules,
    groups: '[]',
    responseCode: acl.source === 'ALB' ? '429' : 'null',
    labels: ['awswaf:123456789012:webacl:shop:ratelimit'],
  })
}

/** Our CAPTCHA or Challenge rule. `solvedAtSeconds` undefined: no valid token, the request ends here. */
export function tokenAsked(
  acl: Acl,
  kind: 'CAPTCHA' | 'CHALLENGE',
  ruleId: string,
  solvedAtSeconds: number | undefined,
  failure: 'TOKEN_MISSING' | 'TOKEN_EXPIRED' = 'TOKEN_MISSING',
): Verdict {
  const field = kind === 'CAPTCHA' ? 'captchaResponse' : 'challengeResponse'
  if (solvedAtSeconds !== undefined) {
    const rule = {
      ruleId,
      action: kind,
      ruleMatchDetails: [],
      [field]: { responseCode: 0, solveTimestamp: solvedAtSeconds },
    }
    return allowed(acl, { nonTerminating: JSON.stringify([rule]), labels: ['awswaf:managed:token:accepted'] })
  }
  const code = kind === 'CAPTCHA' ? 405 : 202
  return allowed(acl, {
    ruleId,
    action: kind,
    responseCode: String(code),
    labels: [failure === 'TOKEN_MISSING' ? 'awswaf:managed:token:absent' : 'awswaf:managed:token:rejected:expired'],
    token: `,"${field}":${JSON.stringify({ responseCode: code, solveTimestamp: 0, failureReason: failure })}`,
  })
}

export const managed = { REPUTATION, ANONYMOUS, KNOWN_BAD, COMMON, SQLI, BOTS } as const
