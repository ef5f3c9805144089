import type { IPSet, WAFV2Client } from '@aws-sdk/client-wafv2'
import type { IpSet, IpSetSummary, Scope, WafApi } from './api.ts'

const CONNECT_MS_MAX = 3_000
/** The whole of one request: past it the answer counts as lost, and the set is read again. */
const REQUEST_MS_MAX = 10_000
/** IP sets of CloudFront are kept there, wherever one is. */
const CLOUDFRONT_REGION = 'us-east-1'

export interface Connected {
  readonly api: WafApi
  readonly region: string
}

/**
 * WAFv2 as the SDK finds it: credentials, Region and AWS_ENDPOINT_URL_WAFV2 or AWS_ENDPOINT_URL from where AWS programs look. One
 * try a call: what a failure means, and when to try again, is for the caller, who has the quota and the lock tokens to keep.
 */
export async function connectWaf(scope: Scope, region?: string): Promise<Connected> {
  // Large: loaded only where blocking is on.
  const aws = await import('@aws-sdk/client-wafv2')
  const wanted = scope === 'CLOUDFRONT' ? CLOUDFRONT_REGION : region
  const client = new aws.WAFV2Client({
    ...(wanted === undefined ? {} : { region: wanted }),
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: CONNECT_MS_MAX,
      requestTimeout: REQUEST_MS_MAX,
      throwOnRequestTimeout: true,
    },
  })
  return { api: apiOf(aws, client), region: await client.config.region() }
}

function apiOf(aws: typeof import('@aws-sdk/client-wafv2'), client: WAFV2Client): WafApi {
  return {
    async listIPSets(input, signal) {
      const { IPSets = [], NextMarker } = await client.send(new aws.ListIPSetsCommand(input), { abortSignal: signal })
      const sets = IPSets.flatMap(({ Name, Id }): IpSetSummary[] => (Name && Id ? [{ Name, Id }] : []))
      return { IPSets: sets, ...(NextMarker ? { NextMarker } : {}) }
    },
    async getIPSet(input, signal) {
      const answer = await client.send(new aws.GetIPSetCommand(input), { abortSignal: signal })
      const { IPSet: set, LockToken } = answer
      if (!set || !LockToken) throw new Error(`GetIPSet ${input.Name} was answered without a set or a token`)
      return { IPSet: wholeOf(set), LockToken }
    },
    async updateIPSet({ Addresses, ...input }, signal) {
      const command = new aws.UpdateIPSetCommand({ ...input, Addresses: [...Addresses] })
      const { NextLockToken } = await client.send(command, { abortSignal: signal })
      if (!NextLockToken) throw new Error(`UpdateIPSet ${input.Name} was answered without a token`)
      return { NextLockToken }
    },
    close: () => client.destroy(),
  }
}

function wholeOf({ Name, Id, Description, IPAddressVersion, Addresses }: IPSet): IpSet {
  if (!Name || !Id || !Addresses || !IPAddressVersion) throw new Error('GetIPSet was answered without the set')
  return { Name, Id, IPAddressVersion, Addresses, ...(Description ? { Description } : {}) }
}
