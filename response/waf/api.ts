/**
 * The three operations of WAFv2 that blocking needs, with AWS's own names and shapes.
 * https://docs.aws.amazon.com/waf/latest/APIReference/API_Operations_AWS_WAFV2.html
 */
export type Scope = 'REGIONAL' | 'CLOUDFRONT'
export type IpVersion = 'IPV4' | 'IPV6'

export interface IpSetSummary {
  readonly Name: string
  readonly Id: string
}
export interface IpSet extends IpSetSummary {
  readonly Description?: string
  readonly IPAddressVersion: IpVersion
  readonly Addresses: readonly string[]
}

interface IpSetRef {
  readonly Name: string
  readonly Scope: Scope
  readonly Id: string
}

/** Rejects with errors whose `name` is AWS's exception name. */
export interface WafApi {
  listIPSets(
    input: { readonly Scope: Scope; readonly Limit: number; readonly NextMarker?: string },
    signal: AbortSignal,
  ): Promise<{ readonly IPSets: readonly IpSetSummary[]; readonly NextMarker?: string }>
  getIPSet(input: IpSetRef, signal: AbortSignal): Promise<{ readonly IPSet: IpSet; readonly LockToken: string }>
  /** Replaces the whole list, and the description too. Answers with the token of the new state. */
  updateIPSet(
    input: IpSetRef & {
      readonly Addresses: readonly string[]
      readonly LockToken: string
      readonly Description?: string
    },
    signal: AbortSignal,
  ): Promise<{ readonly NextLockToken: string }>
  close(): void
}

/** Quotas that no request raises. https://docs.aws.amazon.com/waf/latest/developerguide/limits.html */
export const ADDRESSES_MAX = 10_000
/** Create, put and update calls of one account and Region, all callers together. */
export const WRITE_EVERY_MS = 1_000
/** Get and list calls: five a second. */
export const READ_EVERY_MS = 200
export const LIST_LIMIT = 100
