import { Refused } from './refusal.ts'

const PERMUTATIONS_MAX = 625
const dashes = ['-', '/', '–', '—', '―'] as const
/** A dash before a word and not behind one, as pySigma finds the flags of a Windows command line. */
const FLAG = /(?<!\w)[-/–—―](?=\w)/g

/** The texts that stand for `text` after one encoding upon the other. Bytes that are no text are written one character each. */
export function encode(text: string, encoders: readonly string[]): string[] {
  let values: (string | Buffer)[] = [text]
  for (const encoder of encoders) values = values.flatMap(value => encodeOnce(value, encoder))
  return values.map(value => (typeof value === 'string' ? value : value.toString('latin1')))
}

function encodeOnce(value: string | Buffer, encoder: string): (string | Buffer)[] {
  const text = typeof value === 'string' ? value : value.toString('latin1')
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
  switch (encoder) {
    case 'windash':
      return dashed(text)
    case 'wide':
    case 'utf16le':
      return [Buffer.from(text, 'utf16le')]
    case 'utf16be':
      return [Buffer.from(text, 'utf16le').swap16()]
    case 'utf16':
      return [Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')])]
    case 'base64':
      return [bytes.toString('base64')]
    case 'base64offset':
      return offsets(bytes)
    default:
      throw new Refused('modifier', `there is no encoding "${encoder}"`)
  }
}

/** Every way to write the flags with another dash. */
function dashed(text: string): string[] {
  let variants = ['']
  let from = 0
  for (const { index } of text.matchAll(FLAG)) {
    const before = text.slice(from, index)
    variants = variants.flatMap(start => dashes.map(dash => start + before + dash))
    if (variants.length > PERMUTATIONS_MAX)
      throw new Refused('bounds', `windash makes more than ${PERMUTATIONS_MAX} values of "${text}"`)
    from = index + 1
  }
  return variants.map(start => start + text.slice(from))
}

/** What is the same of the encoding wherever in a longer text the value stands. */
function offsets(bytes: Buffer): string[] {
  const startAt = [0, 2, 3]
  const endAt = [0, 3, 2]
  const variants = startAt.map((start, shift) => {
    const whole = Buffer.concat([Buffer.alloc(shift, ' '), bytes]).toString('base64')
    return whole.slice(start, whole.length - endAt[(bytes.length + shift) % 3]!)
  })
  return [...new Set(variants)]
}
