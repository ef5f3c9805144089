/** Sigma rules for tests, and a second, slow way to say what they mean. */

import { keywords, readField, resolveField } from '../../detections/sigma/fields.ts'
import { Matcher } from '../../detections/sigma/matcher.ts'
import { Refused } from '../../detections/sigma/refusal.ts'
import { parseRule, type Rule } from '../../detections/sigma/rule.ts'
import { cidrContains, parseAddress, parseCidr } from '../../platform/address.ts'
import type { OcsfEvent } from '../../platform/ocsf/event.ts'

let serial = 0

/** A rule with everything but its detection filled in. */
export function ruleOf(detection: object, more: object = {}): Rule {
  return parseRule('test.yml', document(detection, more))
}

export function document(detection: object, more: object = {}): Record<string, unknown> {
  const id = `00000000-0000-4000-8000-${String(serial++).padStart(12, '0')}`
  return { title: 'A rule', id, logsource: { category: 'webserver' }, detection, ...more }
}

/** Why the rule is refused, as `reason: message`; undefined if it runs. */
export function refusalOf(detection: object, more: object = {}): string | undefined {
  try {
    ruleOf(detection, more)
    return undefined
  } catch (thrown) {
    if (thrown instanceof Refused) return `${thrown.reason}: ${thrown.message}`
    throw thrown
  }
}

/** Whether one selection matches, through the whole engine. */
export function selects(selection: unknown, body: OcsfEvent): boolean {
  return new Matcher([ruleOf({ selection, condition: 'selection' })]).match(body).length === 1
}

export interface Asked {
  readonly method?: string
  readonly path?: string
  readonly args?: string
  readonly userAgent?: string
  readonly referer?: string
  readonly host?: string
  readonly client?: string
  readonly labels?: string[]
  readonly bodyBytes?: number
  readonly headers?: Readonly<Record<string, string>>
}

/** An HTTP Activity event with what rules look at. */
export function httpEvent(asked: Asked): OcsfEvent {
  const { method, path, args, userAgent, referer, host, client, labels, bodyBytes, headers } = asked
  const url = { ...(path === undefined ? {} : { path }), ...(host === undefined ? {} : { hostname: host }) }
  return {
    ...(client === undefined ? {} : { src_endpoint: { ip: client } }),
    ...(labels ? { metadata: { version: '1.8.0', labels, product: { name: 'AWS WAF', vendor_name: 'AWS' } } } : {}),
    http_request: {
      ...(method === undefined ? {} : { http_method: method }),
      ...(Object.keys(url).length > 0 ? { url } : {}),
      ...(args === undefined ? {} : { args }),
      ...(userAgent === undefined ? {} : { user_agent: userAgent }),
      ...(referer === undefined ? {} : { referrer: referer }),
      ...(bodyBytes === undefined ? {} : { body_length: bodyBytes }),
      ...(headers ? { http_headers: Object.entries(headers).map(([name, value]) => ({ name, value })) } : {}),
    },
  }
}

/** A condition as a tree, so that the reference needs no parser. */
export type Condition =
  | string
  | { readonly and: readonly Condition[] }
  | { readonly or: readonly Condition[] }
  | { readonly not: Condition }
export type Item = Readonly<Record<string, unknown>>

export function written(condition: Condition): string {
  if (typeof condition === 'string') return condition
  if ('not' in condition) return `not (${written(condition.not)})`
  if ('and' in condition) return `(${condition.and.map(written).join(' and ')})`
  return `(${condition.or.map(written).join(' or ')})`
}

/** What a detection means, value by value and without any table: Sigma's words with regular expressions of the language. */
export function reference(selections: Readonly<Record<string, Item>>, condition: Condition, body: OcsfEvent): boolean {
  if (typeof condition === 'string') {
    return Object.entries(selections[condition]!).every(([key, value]) => itemHolds(key, value, body))
  }
  if ('not' in condition) return !reference(selections, condition.not, body)
  if ('and' in condition) return condition.and.every(each => reference(selections, each, body))
  return condition.or.some(each => reference(selections, each, body))
}

type Operand = string | number | boolean | null

function itemHolds(key: string, value: unknown, body: OcsfEvent): boolean {
  const [name = '', ...modifiers] = key.split('|')
  const field = name === '' ? keywords : resolveField(name)
  if (!('read' in field)) throw new Error(`no field ${name}`)
  const texts = readField(field, body)
  const operands = (Array.isArray(value) ? value : [value]) as Operand[]
  const holds = (operand: Operand): boolean =>
    valueHolds(texts, name === '' ? ['contains', ...modifiers] : modifiers, operand)
  const all = modifiers.includes('all') ? operands.every(holds) : operands.some(holds)
  return modifiers.includes('neq') ? !all : all
}

function valueHolds(texts: readonly string[], modifiers: readonly string[], operand: Operand): boolean {
  const is = (name: string): boolean => modifiers.includes(name)
  if (is('exists')) return texts.length > 0 === operand
  if (operand === null) return texts.length === 0
  if (is('re')) return texts.some(text => new RegExp(String(operand), is('i') ? 'iu' : 'u').test(text))
  if (is('cidr')) return texts.some(text => inNetwork(text, String(operand)))
  if (is('gt')) return texts.some(text => Number(text) > Number(operand))
  if (is('lte')) return texts.some(text => Number(text) <= Number(operand))
  const before = is('contains') || is('endswith') ? '[^]*' : ''
  const after = is('contains') || is('startswith') ? '[^]*' : ''
  const pattern = new RegExp(`^(?:${before}${globPattern(String(operand))}${after})$`, is('cased') ? 'u' : 'iu')
  return texts.some(text => pattern.test(text))
}

function inNetwork(text: string, network: string): boolean {
  const address = parseAddress(text)
  return address !== undefined && cidrContains(parseCidr(network)!, address)
}

function globPattern(text: string): string {
  return text.replace(/\\([*?\\])|([*?])|(.)/gsu, (_, escaped?: string, wildcard?: string, char?: string) => {
    if (wildcard !== undefined) return wildcard === '*' ? '[^]*' : '[^]'
    return (escaped ?? char!).replace(/[\^$\\.*+?()[\]{}|/-]/u, '\\$&')
  })
}
