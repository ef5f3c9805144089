/**
 * What a failure asks for.
 * again: wait, look again who leads, send again. rejoin: the group goes on without us. unauthorised: pause and say so.
 * large: send less at once. range: the offset is not there. fatal: nobody but a person can mend it.
 */
export type Cure = 'again' | 'rejoin' | 'unauthorised' | 'large' | 'range' | 'fatal'

/** Error codes of the protocol: https://kafka.apache.org/protocol#protocol_error_codes. Not listed: fatal. */
const codes: Readonly<Record<number, readonly [string, Cure]>> = {
  [-1]: ['UNKNOWN_SERVER_ERROR', 'again'],
  1: ['OFFSET_OUT_OF_RANGE', 'range'],
  2: ['CORRUPT_MESSAGE', 'again'],
  3: ['UNKNOWN_TOPIC_OR_PARTITION', 'again'],
  5: ['LEADER_NOT_AVAILABLE', 'again'],
  6: ['NOT_LEADER_OR_FOLLOWER', 'again'],
  7: ['REQUEST_TIMED_OUT', 'again'],
  8: ['BROKER_NOT_AVAILABLE', 'again'],
  9: ['REPLICA_NOT_AVAILABLE', 'again'],
  10: ['MESSAGE_TOO_LARGE', 'large'],
  12: ['OFFSET_METADATA_TOO_LARGE', 'fatal'],
  13: ['NETWORK_EXCEPTION', 'again'],
  14: ['COORDINATOR_LOAD_IN_PROGRESS', 'again'],
  15: ['COORDINATOR_NOT_AVAILABLE', 'again'],
  16: ['NOT_COORDINATOR', 'again'],
  17: ['INVALID_TOPIC_EXCEPTION', 'fatal'],
  18: ['RECORD_LIST_TOO_LARGE', 'large'],
  19: ['NOT_ENOUGH_REPLICAS', 'again'],
  20: ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'again'],
  22: ['ILLEGAL_GENERATION', 'rejoin'],
  23: ['INCONSISTENT_GROUP_PROTOCOL', 'fatal'],
  25: ['UNKNOWN_MEMBER_ID', 'rejoin'],
  26: ['INVALID_SESSION_TIMEOUT', 'fatal'],
  27: ['REBALANCE_IN_PROGRESS', 'rejoin'],
  29: ['TOPIC_AUTHORIZATION_FAILED', 'unauthorised'],
  30: ['GROUP_AUTHORIZATION_FAILED', 'unauthorised'],
  31: ['CLUSTER_AUTHORIZATION_FAILED', 'unauthorised'],
  32: ['INVALID_TIMESTAMP', 'fatal'],
  34: ['ILLEGAL_SASL_STATE', 'unauthorised'],
  35: ['UNSUPPORTED_VERSION', 'fatal'],
  36: ['TOPIC_ALREADY_EXISTS', 'fatal'],
  37: ['INVALID_PARTITIONS', 'fatal'],
  38: ['INVALID_REPLICATION_FACTOR', 'fatal'],
  40: ['INVALID_CONFIG', 'fatal'],
  41: ['NOT_CONTROLLER', 'again'],
  42: ['INVALID_REQUEST', 'fatal'],
  44: ['POLICY_VIOLATION', 'fatal'],
  56: ['KAFKA_STORAGE_ERROR', 'again'],
  58: ['SASL_AUTHENTICATION_FAILED', 'unauthorised'],
  60: ['REASSIGNMENT_IN_PROGRESS', 'again'],
  68: ['NON_EMPTY_GROUP', 'fatal'],
  69: ['GROUP_ID_NOT_FOUND', 'fatal'],
  74: ['FENCED_LEADER_EPOCH', 'again'],
  75: ['UNKNOWN_LEADER_EPOCH', 'again'],
  76: ['UNSUPPORTED_COMPRESSION_TYPE', 'fatal'],
  78: ['OFFSET_NOT_AVAILABLE', 'again'],
  79: ['MEMBER_ID_REQUIRED', 'rejoin'],
  81: ['GROUP_MAX_SIZE_REACHED', 'fatal'],
  82: ['FENCED_INSTANCE_ID', 'fatal'],
  87: ['INVALID_RECORD', 'fatal'],
  89: ['THROTTLING_QUOTA_EXCEEDED', 'again'],
}

/** A request that did not do what it should. `reason` is a word of the protocol, or CONNECTION for a lost connection. */
export class KafkaFailure extends Error {
  readonly reason: string
  readonly cure: Cure

  constructor(reason: string, cure: Cure, detail?: string, options?: ErrorOptions) {
    super(detail ? `${reason}: ${detail}` : reason, options)
    this.name = 'KafkaFailure'
    this.reason = reason
    this.cure = cure
  }
}

/** undefined for code 0, success. */
export function failureOf(code: number, detail?: string | null): KafkaFailure | undefined {
  if (code === 0) return undefined
  const [reason, cure] = codes[code] ?? [`error ${code}`, 'fatal']
  return new KafkaFailure(reason, cure, detail ?? undefined)
}

/** Throws unless the code is 0. */
export function check(code: number, detail?: string | null): void {
  const failure = failureOf(code, detail)
  if (failure) throw failure
}

/** A lost connection, a time-out: whether the request was carried out is not known. */
export function connectionFailure(detail: string, cause?: unknown): KafkaFailure {
  return new KafkaFailure('CONNECTION', 'again', detail, cause === undefined ? {} : { cause })
}

/** Any error as a failure; what is not one of ours is fatal. */
export function asFailure(thrown: unknown): KafkaFailure {
  if (thrown instanceof KafkaFailure) return thrown
  const detail = thrown instanceof Error ? thrown.message : String(thrown)
  return new KafkaFailure('UNEXPECTED', 'fatal', detail, { cause: thrown })
}
