import { DocumentReader } from './json/document.ts'
import { redactDocument } from './redaction/document.ts'
import { redactLoose } from './redaction/loose.ts'
import { SecretNames } from './redaction/names.ts'

const defaults = new SecretNames()

/**
 * Text from outside with its secrets replaced by `[redacted]`, for people to see: a record as received, also one that is
 * not JSON or was cut off, or a message about one. JSON comes back without white space between its parts.
 */
export function redactText(text: string): string {
  const document = new DocumentReader().read(Buffer.from(text))
  if (typeof document === 'string') return redactLoose(text, defaults)
  redactDocument(document, defaults)
  const { root } = document
  return Buffer.from(document.json(document.from(root), document.to(root)), 'latin1').toString()
}
