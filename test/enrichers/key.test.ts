import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Kind } from '../../engine/contract.ts'
import { key } from '../../enrichers/key.ts'
import { clientOf } from '../../platform/client-address.ts'
import { eventOf, testDeps } from '../support/deps.ts'

const never = () => {
  throw new Error('the key stage rejects nothing')
}
const stage = await key.open({}, testDeps())
const keyed = async (record: unknown, kind: Kind = 'waf') => {
  const event = eventOf(record, kind)
  const [out] = await stage.apply([event], never)
  expect(out).toBe(event)
  return event
}
const waf = (clientIp: unknown, headers: { name: string; value: string }[] = []) => ({
  timestamp: 1,
  httpSourceId: 'app/shop/1',
  ruleGroupList: [{ ruleGroupId: 'AWS#AWSManagedRulesCommonRuleSet' }],
  httpRequest: { clientIp, country: 'KR', headers, uri: '/', args: '' },
})

describe('the key of a WAF record', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::9', '2001:db8:1:2::/64'],
    ['0000:0000:0000:0000:0000:ffff:255.255.255.255', '255.255.255.255'],
  ])('of the client %s is %s', async (clientIp, expected) => {
    expect((await keyed(waf(clientIp))).key).toBe(expected)
  })

  it.each([
    ['X.X.X.X'],
    ['-'],
    [''],
    ['REDACTED'],
    ['1.2.3.4.5'],
    ['01.2.3.4'],
    [null],
    [7],
    [{}],
    ['9'.repeat(5000)],
    ['\\"'],
  ])('whose client is %j is its id: spread, and the same each time', async clientIp => {
    const event = await keyed(waf(clientIp))
    expect(event.key).toBe(event.id)
  })

  it.each([
    ['x'],
    ['not JSON'],
    ['{"httpRequest":{}}'],
    ['{"clientIp'],
    ['{"clientIp"'],
    ['{"clientIp":'],
    ['{"clientIp":"'],
    ['{"clientIp":"1.2.3.4'],
  ])('is its id when the bytes are %j', async text => {
    const event = await keyed(text)
    expect(event.key).toBe(event.id)
  })

  it('is found with white space between the tokens, as pretty printers put it', async () => {
    expect((await keyed(JSON.stringify(waf('203.0.113.7'), null, 4))).key).toBe('203.0.113.7')
    expect((await keyed('{"httpRequest" : {\t"clientIp"\r\n :  "203.0.113.7" }}')).key).toBe('203.0.113.7')
  })

  it('cannot be chosen by a header value, path or query that looks like the field', async () => {
    const disguises = [
      '"clientIp":"198.51.100.66"',
      '","clientIp":"198.51.100.66"',
      '{"clientIp":"198.51.100.66"}',
      '\\"clientIp\\":\\"198.51.100.66\\"',
      '\\","clientIp":"198.51.100.66',
      ' "clientIp" : "198.51.100.66"',
      '\n"clientIp":"198.51.100.66"',
      'clientIp":"198.51.100.66"',
      ',"clientIp',
      '"clientIp',
    ]
    for (const disguise of disguises) {
      const before = { headers: [{ name: disguise, value: disguise }], uri: disguise, args: disguise }
      const record = {
        labels: [{ name: disguise }],
        terminatingRuleId: disguise,
        httpRequest: { ...before, clientIp: '203.0.113.7' },
      }
      expect((await keyed(record)).key, disguise).toBe('203.0.113.7')
    }
  })

  it('is always the real field, whatever strings stand before it', () => {
    const piece = fc.constantFrom(
      '"',
      '\\',
      'clientIp',
      '"clientIp"',
      ':',
      ',',
      '{',
      ' ',
      '"clientIp":"198.51.100.66"',
      'é',
      '\u0000',
      '\n',
    )
    const text = fc.array(piece, { maxLength: 12 }).map(pieces => pieces.join(''))
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 8 }),
        fc.dictionary(text, text, { maxKeys: 4 }),
        fc.boolean(),
        (values, more, pretty) => {
          const { clientIp: _, ...others } = more
          const record = {
            a: values,
            b: Object.values(others),
            httpRequest: { uri: values.join(''), clientIp: '203.0.113.7' },
          }
          expect(clientOf(Buffer.from(JSON.stringify(record, null, pretty ? 1 : 0)))).toBe('203.0.113.7')
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('is set for any bytes without an error', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .array(fc.constantFrom('"clientIp"', 'Ip"', ':', '"', ' ', '1.2.3.4', '::1', '\\'), { maxLength: 30 })
        .map(list => Buffer.from(list.join(''))),
    )
    fc.assert(
      fc.property(bytes, raw => {
        const found = clientOf(Buffer.from(raw))
        expect(found === undefined || /^[0-9a-f.:]+(\/64)?$/.test(found)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('the key of a GuardDuty finding', () => {
  const envelope = (resource: unknown, id: unknown = 'f1') => ({ id: 'envelope', detail: { id, resource } })
  it.each([
    ['an instance', envelope({ resourceType: 'Instance', instanceDetails: { instanceId: 'i-1' } }), 'i-1'],
    ['an access key', envelope({ accessKeyDetails: { accessKeyId: 'AKIA1', principalId: 'p' } }), 'AKIA1'],
    ['a principal', envelope({ accessKeyDetails: { principalId: 'p' } }), 'p'],
    ['a cluster', envelope({ eksClusterDetails: { arn: 'arn:eks' } }), 'arn:eks'],
    ['a function', envelope({ lambdaDetails: { functionArn: 'arn:fn' } }), 'arn:fn'],
    ['a database', envelope({ rdsDbInstanceDetails: { dbInstanceIdentifier: 'db' } }), 'db'],
    ['a bucket', envelope({ s3BucketDetails: [{ arn: 'arn:s3' }, { arn: 'other' }] }), 'arn:s3'],
    ['no resource: its own id', envelope({ resourceType: 'AttackSequence' }), 'f1'],
    ['a bare finding', { id: 'f1', resource: { instanceDetails: { instanceId: 'i-2' } } }, 'i-2'],
    ['PascalCase keys', { Id: 'f1', Resource: { InstanceDetails: { InstanceId: 'i-3' } } }, 'i-3'],
  ])('with %s', async (_, record, expected) => {
    expect((await keyed(record, 'guardduty')).key).toBe(expected)
  })

  it.each([
    ['[]'],
    ['null'],
    ['7'],
    ['not JSON'],
    ['{"detail":{"id":{}}}'],
    ['{"__proto__":{"id":"x"}}'],
    ['[['.repeat(50_000)],
    [JSON.stringify(envelope({ instanceDetails: { instanceId: 'x'.repeat(300) } }, 5))],
  ])('is its own id for %.40s', async text => {
    const event = await keyed(text, 'guardduty')
    expect(event.key).toBe(event.id)
  })
})

describe('the key of a Falco alert', () => {
  const alert = (output_fields: unknown, hostname: unknown = 'node-1') => ({ hostname, rule: 'r', output_fields })
  it.each([
    ['a pod', alert({ 'k8s.ns.name': 'shop', 'k8s.pod.name': 'order-1', 'container.id': 'c1' }), 'shop/order-1'],
    ['a pod of the container plugin', alert({ k8s_ns_name: 'shop', k8s_pod_name: 'order-1' }), 'shop/order-1'],
    ['a container', alert({ 'container.id': 'c1', 'k8s.pod.name': null }), 'c1'],
    ['a container of the plugin', alert({ container_id: 'c2', 'k8s.pod.name': '<NA>' }), 'c2'],
    ['a host process', alert({ 'container.id': 'host' }), 'node-1'],
    ['no fields', alert(null), 'node-1'],
  ])('with %s', async (_, record, expected) => {
    expect((await keyed(record, 'falco')).key).toBe(expected)
  })

  it('is its own id without a host', async () => {
    const event = await keyed(alert({}, ''), 'falco')
    expect(event.key).toBe(event.id)
  })
})

it('the key stage has no settings', () => {
  expect(key.config.safeParse({ field: 'x' }).success).toBe(false)
})
