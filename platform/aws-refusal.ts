import { asError } from './errors.ts'

/** Of any AWS service: credentials, or the right to do this. */
const COMMON = /AccessDenied|UnrecognizedClient|InvalidClientTokenId|SignatureDoesNotMatch|CredentialsProviderError/

/** Whether only a person can mend what an AWS client threw; `own` are names of errors that say so of one service. */
export function isAwsRefusal(thrown: unknown, own: RegExp): boolean {
  const { name, message } = asError(thrown)
  return COMMON.test(name) || own.test(name) || /region is missing/i.test(message)
}
