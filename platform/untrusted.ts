/**
 * What a terminal or a reader would act on instead of show: C0 and C1 controls (ANSI sequences begin with one), line and
 * paragraph separators, marks that reorder or hide text (Unicode TR #36 and #39: bidirectional controls, zero width characters,
 * tags), and half surrogate pairs.
 */
const ACTS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\p{Cs}]/gu

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/**
 * Text from outside made harmless for a terminal or a log: one line, shown as it is, with what would act on the reader
 * written as `\n`, `\x1b`, `\u202e` or `\u{e0041}`. For people; programs get JSON.
 */
export function untrusted(text: string): string {
  return text.replace(ACTS, character => SHORT[character] ?? escaped(character.codePointAt(0)!))
}

function escaped(code: number): string {
  const hex = code.toString(16)
  if (code <= 0xff) return `\\x${hex.padStart(2, '0')}`
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\u{${hex}}`
}
