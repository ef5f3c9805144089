import { asError, HaetaeError } from '../../platform/errors.ts'

/**
 * What a failed call means:
 * - `lock`: somebody changed the IP set; nothing was written. Read it again.
 * - `busy`: refused for now; nothing was written.
 * - `unknown`: it may or may not have been carried out. Read before the next write.
 * - `gone`: the IP set is not there any more.
 * - `full`: more addresses than a set takes; nothing was written.
 * - `person`: refused until somebody changes something.
 */
export interface Trouble {
  readonly kind: 'lock' | 'busy' | 'unknown' | 'gone' | 'full' | 'person'
  /** AWS's exception name, or the system's. */
  readonly code: string
  readonly error: HaetaeError | Error
}

const kinds: Readonly<Record<string, Trouble['kind']>> = {
  WAFOptimisticLockException: 'lock',
  ThrottlingException: 'busy',
  ThrottledException: 'busy',
  TooManyRequestsException: 'busy',
  RequestLimitExceeded: 'busy',
  WAFNonexistentItemException: 'gone',
  WAFLimitsExceededException: 'full',
  WAFInvalidParameterException: 'person',
  WAFInvalidOperationException: 'person',
  ValidationException: 'person',
  AccessDeniedException: 'person',
  UnrecognizedClientException: 'person',
  InvalidClientTokenId: 'person',
  InvalidSignatureException: 'person',
  IncompleteSignature: 'person',
  CredentialsProviderError: 'person',
}

const UNAUTHORISED = /^(AccessDenied|Unrecognized|InvalidClient|InvalidSignature|IncompleteSignature|Credentials)/
const MESSAGE_CHARS_MAX = 300

/** `what` was being done, for the message that a person reads. */
export function troubleOf(thrown: unknown, what: string): Trouble {
  const error = asError(thrown)
  const code = error.name === 'Error' && 'code' in error ? String(error.code) : error.name
  const said = `${what}: ${code}: ${error.message}`.slice(0, MESSAGE_CHARS_MAX)
  if (/region is missing/i.test(error.message)) {
    const message = `${what}: no Region is configured: set AWS_REGION`
    return { kind: 'person', code, error: new HaetaeError('SINK_MISCONFIGURED', message, { cause: thrown }) }
  }
  const kind = kinds[code] ?? 'unknown'
  if (kind !== 'person') return { kind, code, error: new Error(said, { cause: thrown }) }
  const meaning = UNAUTHORISED.test(code) ? 'SINK_UNAUTHORISED' : 'SINK_MISCONFIGURED'
  return { kind, code, error: new HaetaeError(meaning, said, { cause: thrown }) }
}
