import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { connectWaf } from '../../../response/waf/aws.ts'
import { FakeWaf } from '../../../response/waf/fake.ts'
import { IpSets } from '../../../response/waf/ip-sets.ts'
import { troubleOf } from '../../../response/waf/trouble.ts'
import { FakeClock } from '../../support/clock.ts'
import { serveWaf } from '../../support/waf-server.ts'

const signal = new AbortController().signal
const clock = new FakeClock()
let waf: FakeWaf
let server: Awaited<ReturnType<typeof serveWaf>>

beforeEach(async () => {
  waf = new FakeWaf(clock)
  server = await serveWaf(waf)
  vi.stubEnv('AWS_ENDPOINT_URL_WAFV2', server.url)
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test')
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test')
  vi.stubEnv('AWS_REGION', 'ap-northeast-2')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
})

async function connected(scope: 'REGIONAL' | 'CLOUDFRONT' = 'REGIONAL') {
  const { api, region } = await connectWaf(scope)
  return {
    api,
    region,
    sets: new IpSets({
      api,
      scope,
      region,
      prefix: 'haetae-block-',
      clock: { ...clock, now: () => 0, monotonicMs: () => 0, wait: () => Promise.resolve() },
    }),
  }
}

test('the SDK’s client reads and writes IP sets as the fake one does, with endpoint, Region and credentials from the environment', async () => {
  waf.create('haetae-block-v4', 'IPV4', 'REGIONAL', 'by an operator')
  waf.create('haetae-block-v6', 'IPV6')
  waf.create('other', 'IPV4')
  const { sets } = await connected()
  await sets.refresh(signal)
  expect(sets.place).toBe('regional/ap-northeast-2')
  expect(sets.sets.map(({ name, version }) => [name, version])).toEqual([
    ['haetae-block-v4', 'IPV4'],
    ['haetae-block-v6', 'IPV6'],
  ])
  const [v4, v6] = sets.sets
  await sets.write(v4!, { add: ['20.0.0.1/32'], remove: [] }, signal)
  expect(waf.addresses('haetae-block-v4')).toEqual(['20.0.0.1/32'])
  expect(waf.descriptionOf('haetae-block-v4')).toBe('by an operator')
  await clock.advance(1_000)
  await sets.write(v6!, { add: ['2a00::/64'], remove: [] }, signal)
  await sets.reread(v6!, signal)
  expect([...sets.sets[1]!.addresses.keys()]).toEqual(['2a00::/64'])
  sets.close()
})

test('CloudFront is asked in us-east-1, wherever we are', async () => {
  waf.create('haetae-block-v4', 'IPV4', 'CLOUDFRONT')
  const { sets, region } = await connected('CLOUDFRONT')
  await sets.refresh(signal)
  expect(region).toBe('us-east-1')
  expect(sets.sets).toHaveLength(1)
  sets.close()
})

describe('what a failure means', () => {
  async function failureOf(work: (api: Awaited<ReturnType<typeof connected>>['api'], id: string) => Promise<unknown>) {
    const id = waf.create('haetae-block-v4', 'IPV4')
    const { api } = await connected()
    try {
      await work(api, id)
      return undefined
    } catch (thrown) {
      return troubleOf(thrown, 'writing').kind
    } finally {
      api.close()
    }
  }
  const common = { Name: 'haetae-block-v4', Scope: 'REGIONAL' } as const

  test.each<[string, string, readonly string[]]>([['an old token', 'lock', ['20.0.0.1/32']]])(
    '%s: %s',
    async (_, kind, Addresses) => {
      expect(
        await failureOf((api, Id) => api.updateIPSet({ ...common, Id, Addresses, LockToken: 'old' }, signal)),
      ).toBe(kind)
    },
  )

  test('a set that is not there: gone', async () => {
    expect(await failureOf(api => api.getIPSet({ ...common, Id: 'none' }, signal))).toBe('gone')
  })

  test('too many calls: busy', async () => {
    waf.fate = () => 'throttled'
    expect(await failureOf((api, Id) => api.getIPSet({ ...common, Id }, signal))).toBe('busy')
  })

  test('a problem of AWS’s, or an answer that never comes: unknown', async () => {
    waf.fate = () => 'internal'
    expect(await failureOf((api, Id) => api.getIPSet({ ...common, Id }, signal))).toBe('unknown')
    waf.fate = () => 'answer lost'
    expect(await failureOf((api, Id) => api.getIPSet({ ...common, Id }, signal))).toBe('unknown')
  })

  test('no credentials, or refused ones: for a person, with what to do', () => {
    const refused = troubleOf(Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' }), 'IP sets')
    expect(refused).toMatchObject({ kind: 'person', error: { code: 'SINK_UNAUTHORISED' } })
    expect(troubleOf(new Error('Region is missing'), 'IP sets').error.message).toContain('AWS_REGION')
  })
})
