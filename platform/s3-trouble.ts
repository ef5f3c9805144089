import { asError, HaetaeError } from './errors.ts'

/** The request may or may not have been carried out; the same one may be made again. */
export class S3Away extends Error {
  /** The service's error code, or that of the system. */
  readonly code: string
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'S3Away'
    this.code = code
  }
}

/** 400s that are about this one transmission and not about what was asked. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
const TRANSMISSION = ['RequestTimeout', 'BadDigest', 'IncompleteBody', 'XAmzContentChecksumMismatch', 'SlowDown']

/** Credentials that expired while new ones are on their way: the SDK fetches them again. */
const EXPIRED = ['ExpiredToken', 'TokenRefreshRequired', 'RequestExpired']

const MESSAGE_LENGTH_MAX = 300

/** What a failed request means for whoever waits: by status first, as other servers than AWS's use codes of their own. */
export function troubleOf(thrown: unknown, what: string): HaetaeError | S3Away {
  if (thrown instanceof S3Away || thrown instanceof HaetaeError) return thrown
  const error = asError(thrown)
  const status = statusOf(thrown)
  const code = codeOf(error)
  const said = `${what}: ${[status, code].filter(Boolean).join(' ')}: ${error.message}`.slice(0, MESSAGE_LENGTH_MAX)
  const options = { cause: thrown }
  if (/region is missing/i.test(error.message)) {
    return new HaetaeError('SINK_MISCONFIGURED', `${what}: no Region is configured: set AWS_REGION`, options)
  }
  if (error.name === 'CredentialsProviderError') {
    const advice = 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role'
    return new HaetaeError('SINK_UNAUTHORISED', `${what}: no credentials were found: ${advice}`, options)
  }
  if (EXPIRED.includes(code) || TRANSMISSION.includes(code)) return new S3Away(code, said, options)
  if (status === 401 || status === 403) return new HaetaeError('SINK_UNAUTHORISED', said, options)
  if (status === 412) return new S3Away('PreconditionFailed', said, options)
  // A 200 that cannot be read was cut short, or something between us and S3 wrote it.
  const passes = status === undefined || status < 300 || [408, 409, 429].includes(status) || status >= 500
  if (passes) return new S3Away(code, said, options)
  // The upload is gone: it is begun again.
  if (code === 'NoSuchUpload') return new S3Away(code, said, options)
  return new HaetaeError('SINK_MISCONFIGURED', said, options)
}

/** No such object; a missing bucket says so elsewhere, as only a list or a write can tell. */
export function isMissing(thrown: unknown): boolean {
  return statusOf(thrown) === 404 && codeOf(asError(thrown)) !== 'NoSuchBucket'
}

function statusOf(thrown: unknown): number | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('$metadata' in thrown)) return undefined
  const metadata = thrown.$metadata
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined
}

function codeOf(error: Error): string {
  const own = 'code' in error && typeof error.code === 'string' ? error.code : ''
  return error.name === 'Error' || error.name === 'Unknown' ? own : error.name
}
