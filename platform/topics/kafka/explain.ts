import { HaetaeError } from '../../errors.ts'
import { asFailure } from './failures.ts'

/** What a person is told of a failure that is not tried again here. `what`: what was being done, `group waf: joining`. */
export function explained(thrown: unknown, what: string): HaetaeError {
  if (thrown instanceof HaetaeError) return thrown
  const failure = asFailure(thrown)
  const { reason, message } = failure
  const options = { cause: failure }
  if (reason === 'INCONSISTENT_GROUP_PROTOCOL') {
    const why =
      'another deployment uses this group for another pipeline or other topics, and each would miss what the other ' +
      'reads: give one of them another group, or stop it'
    return new HaetaeError('TOPIC_MISMATCH', `${what}: ${why}`, options)
  }
  switch (failure.cure) {
    case 'unauthorised':
      return new HaetaeError(
        'TOPIC_UNAUTHORISED',
        `${what}: Kafka refuses it (${message}): check HAETAE_KAFKA_* and the ACLs`,
        options,
      )
    case 'rejoin':
      return new HaetaeError('STREAM_REVOKED', `${what}: another consumer has the partition now (${reason})`, options)
    case 'again':
      return new HaetaeError('TOPIC_UNREACHABLE', `${what}: Kafka does not answer as it should (${message})`, options)
    case 'large':
      return new HaetaeError('TOPIC_OVERSIZE', `${what}: ${message}`, options)
    case 'range':
    case 'fatal':
      return new HaetaeError('TOPIC_MISMATCH', `${what}: Kafka refuses it for good (${message})`, options)
  }
}
