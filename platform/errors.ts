/**
 * What mends an error, and so what its caller does: `wait`: time may, try again soon. `person`: somebody has to change something
 * at the other end; say so and ask now and then. `fatal`: no other try in this process can succeed.
 */
export type Cure = 'wait' | 'person' | 'fatal'

/** Between two tries while an error with the cure `person` stands. */
export const PERSON_WAIT_MS = 30_000

/**
 * The closed table of error codes. Operators search for a code, so a code is never reused and each one is explained
 * in docs/errors.md (a test compares both ways).
 */
export const errorCodes = {
  CONFIG_INVALID: { cure: 'fatal', means: 'the configuration does not follow its schema' },
  CONFIG_UNREADABLE: { cure: 'fatal', means: 'a configuration file could not be read or is not YAML' },
  SECRET_MISSING: {
    cure: 'fatal',
    means: 'a secret is named in the configuration but neither its variable nor its file has a value',
  },
  USAGE: { cure: 'fatal', means: 'the command line is wrong' },
  PIPELINE_STOPPED: { cure: 'fatal', means: 'a delivery failed in a way that retrying cannot mend' },
  VERDICT_OUT_OF_RANGE: { cure: 'fatal', means: 'a sink named a position that is not in the batch it was given' },
  ACK_TWICE: { cure: 'fatal', means: 'a delivery was settled more than once' },
  STREAM_REVOKED: { cure: 'fatal', means: 'the partition belongs to another consumer now' },
  TOPIC_UNKNOWN: { cure: 'person', means: 'the topic does not exist' },
  TOPIC_FULL: { cure: 'wait', means: 'the topic log reached its size bound or the disk is full' },
  TOPIC_OWNED: { cure: 'fatal', means: 'another process owns the topic log in this state folder' },
  TOPIC_CORRUPT: { cure: 'fatal', means: 'the topic log holds something that this version cannot read' },
  TOPIC_UNWRITABLE: { cure: 'wait', means: 'the topic log cannot be written for another reason than a full disk' },
  TOPIC_MISMATCH: { cure: 'person', means: 'the topic, group or position is not as asked for, or cannot be' },
  TOPIC_CLOSED: { cure: 'fatal', means: 'the topic log was closed' },
  TOPIC_UNREACHABLE: { cure: 'wait', means: 'no Kafka broker answers, or the partition has no leader' },
  TOPIC_UNAUTHORISED: { cure: 'person', means: 'Kafka refuses our credentials or the right to do this' },
  TOPIC_OVERSIZE: { cure: 'fatal', means: 'a record is larger than its topic takes' },
  GEOIP_MISSING: { cure: 'fatal', means: 'a GeoIP database file is missing' },
  GEOIP_CORRUPT: { cure: 'fatal', means: 'a GeoIP database cannot be read' },
  SINK_UNAUTHORISED: { cure: 'person', means: 'the destination refuses our credentials or our right to write' },
  SINK_MISCONFIGURED: {
    cure: 'person',
    means: 'the destination refuses the request for a reason that only configuration can mend',
  },
  DEADLETTER_UNWRITABLE: { cure: 'wait', means: 'the dead letter cannot be written' },
  DEADLETTER_FULL: { cure: 'person', means: 'the dead letter reached its size bound' },
  STATE_OWNED: { cure: 'fatal', means: 'another process runs this pipeline with the same state folder' },
  STATE_UNWRITABLE: { cure: 'fatal', means: 'the state folder of a pipeline cannot be used' },
  LAKE_UNWRITABLE: { cure: 'wait', means: 'the lake, or the bucket of the sink s3, cannot be written' },
  LAKE_QUERY: { cure: 'fatal', means: 'the lake query failed' },
  LAKE_COMPACTION: { cure: 'fatal', means: 'the objects of an hour of the lake could not be merged into one' },
  OUTPUT_CLOSED: { cure: 'fatal', means: 'the reader of standard output went away' },
  SOURCE_UNREADABLE: { cure: 'fatal', means: 'the input cannot be read' },
  QUEUE_REFUSED: { cure: 'person', means: 'SQS refuses the queue, our credentials or our right to use it' },
  QUEUE_AWAY: { cure: 'wait', means: 'SQS does not answer' },
  LISTEN_FAILED: { cure: 'fatal', means: 'the address to listen on is taken or not allowed' },
} as const satisfies Readonly<Record<string, { readonly cure: Cure; readonly means: string }>>

export type ErrorCode = keyof typeof errorCodes

/** An error that a person will read: what happened, where, and what to do. */
export class HaetaeError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'HaetaeError'
    this.code = code
  }
}

export function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof HaetaeError && error.code === code
}

/** `wait` for everything that is not ours: a refused connection, a full disk. */
export function cureOf(error: unknown): Cure {
  return error instanceof HaetaeError ? errorCodes[error.code].cure : 'wait'
}

/** The other end refuses until somebody changes something; trying again soon is of no use. */
export function isForAPerson(error: unknown): error is HaetaeError {
  return cureOf(error) === 'person'
}

/** A caught value as an Error, whatever was thrown. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

/** The system's word for what failed, as ENOENT; empty when the error has none. */
export function systemCodeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
}
