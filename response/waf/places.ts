import type { Clock } from '../../platform/clock.ts'
import { HaetaeError } from '../../platform/errors.ts'
import { READ_EVERY_MS, type Scope, WRITE_EVERY_MS } from './api.ts'
import { connectWaf } from './aws.ts'
import { FakeWaf } from './fake.ts'
import { IpSets } from './ip-sets.ts'
import { Pace } from './pace.ts'

export interface Place {
  readonly sets: IpSets
  readonly writes: Pace
}

export interface PlacesConfig {
  readonly prefix: string
  /** Of the load balancers; none: the one that the SDK finds. */
  readonly regions: readonly string[]
  readonly cloudfront: boolean
}

/** A little more than the quota asks for: requests do not always arrive as far apart as they left. */
const MARGIN = 1.05

/** Where blocks are written: an IP set of CloudFront is in us-east-1, and shares the quota of that Region. */
export async function openPlaces(
  { prefix, regions, cloudfront }: PlacesConfig,
  clock: Clock,
): Promise<readonly Place[]> {
  const wanted: readonly { readonly scope: Scope; readonly region?: string }[] = [
    ...(regions.length > 0
      ? regions.map(region => ({ scope: 'REGIONAL' as const, region }))
      : [{ scope: 'REGIONAL' as const }]),
    ...(cloudfront ? [{ scope: 'CLOUDFRONT' as const }] : []),
  ]
  const paces = new Map<string, { readonly reads: Pace; readonly writes: Pace }>()
  const places: Place[] = []
  for (const { scope, region: given } of wanted) {
    const { api, region } = await connected(scope, given)
    const pace = paces.get(region) ?? {
      reads: new Pace(READ_EVERY_MS * MARGIN, clock),
      writes: new Pace(WRITE_EVERY_MS * MARGIN, clock),
    }
    paces.set(region, pace)
    places.push({ sets: new IpSets({ api, scope, region, prefix, clock, reads: pace.reads }), writes: pace.writes })
  }
  return places
}

async function connected(scope: Scope, region: string | undefined): ReturnType<typeof connectWaf> {
  try {
    return await connectWaf(scope, region)
  } catch (cause) {
    const message = `WAFv2 (${scope}): no Region is configured: set AWS_REGION, or regions of the sink blocks`
    throw new HaetaeError('CONFIG_INVALID', message, { cause })
  }
}

/** Two empty IP sets in memory, as strict as AWS's. Their place is one of its own, so that real entries are never mixed up with it. */
export function dryRunPlaces({ prefix }: Pick<PlacesConfig, 'prefix'>, clock: Clock): readonly Place[] {
  const api = new FakeWaf(clock)
  api.create(`${prefix}v4`, 'IPV4')
  api.create(`${prefix}v6`, 'IPV6')
  const sets = new IpSets({ api, scope: 'REGIONAL', region: 'dry-run', prefix, clock })
  return [{ sets, writes: new Pace(WRITE_EVERY_MS * MARGIN, clock) }]
}
