/** White space as JSON has it (RFC 8259): space, line feed, carriage return, tab. False past the end of the bytes. */
export function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
