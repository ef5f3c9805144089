import { untrusted } from '../untrusted.ts'

/**
 * Text that others wrote, as it may stand in a `plain_text` object or a preformatted element: controls shown, links broken, cut
 * to `charsMax`. Slack reads no markup there; all the same no `<` is left that could begin a mention if it ever did.
 */
export function plain(text: string, charsMax: number): string {
  const shown = untrusted(text)
    .replaceAll('://', '[:]//')
    .replace(/[@<>]/g, character => SHOWN[character] ?? character)
  return cut(shown, charsMax)
}

const SHOWN: Readonly<Record<string, string>> = { '@': '[@]', '<': '‹', '>': '›' }

/**
 * The same for `text` and mrkdwn: what Slack would read as a mention, a link or formatting is only shown. Escaping of & < > is
 * Slack's rule; without `<` there is no special mention.
 */
export function markup(text: string, charsMax: number): string {
  return escapeMarkup(plain(text, charsMax).replace(/[`*_~]/g, character => LOOKALIKES[character] ?? character))
}

export function escapeMarkup(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

const LOOKALIKES: Readonly<Record<string, string>> = { '`': 'ˋ', '*': '∗', _: 'ˍ', '~': '∼' }

/** By code points: an emoji is never cut in two. */
export function cut(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text
  let kept = ''
  for (const character of text) {
    if (kept.length + character.length > charsMax - 1) break
    kept += character
  }
  return `${kept}…`
}

/** The country's flag, for two letters. */
export function flag(country: string): string {
  if (!/^[A-Z]{2}$/.test(country)) return ''
  return String.fromCodePoint(...country.split('').map(letter => 0x1f1e6 + letter.charCodeAt(0) - 0x41))
}

/** What people are called: `kim (U0123456789)`, as audit records have it, without the id. */
export function nameOf(who: string): string {
  return who.replace(PERSON, '')
}

/** The Slack id in it, if it is somebody of Slack. */
export function slackIdOf(who: string): string | undefined {
  return PERSON.exec(who)?.[1]
}

const PERSON = / \(([UW][A-Z0-9]{2,20})\)$/

/** Where the console shows an incident and its evidence; undefined when no console is configured. */
export function evidenceUrl(consoleUrl: string, uid: string): string | undefined {
  return consoleUrl === '' ? undefined : `${consoleUrl.replace(/\/$/, '')}/incidents/${encodeURIComponent(uid)}`
}
