/**
 * The closed table of error codes. Operators search for a code, so a code is never reused and each one is explained
 * in docs/errors.md (a test compares both ways).
 */
export const errorCodes = {
  CONFIG_INVALID: 'the configuration does not follow its schema',
  CONFIG_UNREADABLE: 'a configuration file could not be read or is not YAML',
  SECRET_MISSING: 'a secret is named in the configuration but neither its variable nor its file has a value',
  USAGE: 'the command line is wrong',
  PIPELINE_STOPPED: 'a delivery failed in a way that retrying cannot mend',
  VERDICT_OUT_OF_RANGE: 'a sink named a position that is not in the batch it was given',
  ACK_TWICE: 'a delivery was settled more than once',
  STREAM_REVOKED: 'the partition belongs to another consumer now',
  TOPIC_UNKNOWN: 'the topic does not exist',
  TOPIC_FULL: 'the topic log reached its size bound or the disk is full',
  TOPIC_OWNED: 'another process owns the topic log in this state folder',
  TOPIC_CORRUPT: 'the topic log holds something that this version cannot read',
  TOPIC_UNWRITABLE: 'the topic log cannot be written for another reason than a full disk',
  TOPIC_MISMATCH: 'the topic, group or position is not as asked for, or cannot be',
  TOPIC_CLOSED: 'the topic log was closed',
  TOPIC_UNREACHABLE: 'no Kafka broker answers, or the partition has no leader',
  TOPIC_UNAUTHORISED: 'Kafka refuses our credentials or the right to do this',
  TOPIC_OVERSIZE: 'a record is larger than its topic takes',
  GEOIP_MISSING: 'a GeoIP database file is missing',
  GEOIP_CORRUPT: 'a GeoIP database cannot be read',
  SINK_UNAUTHORISED: 'the destination refuses our credentials or our right to write',
  SINK_MISCONFIGURED: 'the destination refuses the request for a reason that only configuration can mend',
  DEADLETTER_UNWRITABLE: 'the dead letter cannot be written',
  LAKE_UNWRITABLE: 'the lake cannot be written',
  LAKE_QUERY: 'the lake query failed',
  LAKE_COMPACTION: 'the objects of an hour of the lake could not be merged into one',
  OUTPUT_CLOSED: 'the reader of standard output went away',
  QUEUE_REFUSED: 'SQS refuses the queue, our credentials or our right to use it',
  QUEUE_AWAY: 'SQS does not answer',
  SOURCE_UNREADABLE: 'the input cannot be read',
  LISTEN_FAILED: 'the address to listen on is taken or not allowed',
} as const

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

/** The destination refuses us until somebody changes something there or here; trying again soon is of no use. */
export function isForAPerson(error: unknown): error is HaetaeError {
  return hasCode(error, 'SINK_UNAUTHORISED') || hasCode(error, 'SINK_MISCONFIGURED')
}

/** A caught value as an Error, whatever was thrown. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

/** The system's word for what failed, as ENOENT; empty when the error has none. */
export function systemCodeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
}
