import type { LogKind } from '../../engine/contract.ts'

interface Logsource {
  readonly category?: string | undefined
  readonly product?: string | undefined
  readonly service?: string | undefined
}

/** Sigma's category webserver or the product itself; undefined for a log that Haetae does not read. */
export function logOf({ category, product, service }: Logsource): LogKind | undefined {
  if (category === 'webserver' && product === undefined && service === undefined) return 'waf'
  if (category !== undefined) return undefined
  if (product === 'aws' && (service === 'waf' || service === 'guardduty')) return service
  // AWS Health tells of leaked keys by GuardDuty's road.
  if (product === 'aws' && service === 'health') return 'guardduty'
  return product === 'falco' && service === undefined ? 'falco' : undefined
}
