import { isUtf8 } from 'node:buffer'

/** How often a value is decoded: attackers encode twice to pass a filter that decodes once. */
const DECODINGS = 2

/**
 * A value as it came, and as it reads decoded once and twice, without repeats. In the query of a URL `+` is a space too, as forms
 * write it; in a path, or a text that is no URL, it is itself.
 */
export function decodings(text: string, is: 'url' | 'query' | 'text'): readonly string[] {
  if (!text.includes('%') && (is === 'text' || !text.includes('+'))) return [text]
  const mark = is === 'url' ? text.indexOf('?') : is === 'query' ? 0 : -1
  let path = mark < 0 ? text : text.slice(0, mark)
  let query = mark < 0 ? '' : text.slice(mark)
  const variants = [text]
  for (let round = 0; round < DECODINGS; round++) {
    path = percentDecoded(path)
    query = percentDecoded(query.replaceAll('+', ' '))
    const next = path + query
    if (next === variants.at(-1)) break
    variants.push(next)
  }
  return variants
}

function percentDecoded(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    // A percent sign that encodes nothing, or bytes that are not UTF-8, somewhere: run by run.
    return text.replace(/(?:%[0-9a-f]{2})+/gi, decodedRun)
  }
}

/** Bytes that are not UTF-8 stand for themselves (Latin-1), so that nothing of the rest is lost. */
function decodedRun(run: string): string {
  const bytes = Buffer.from(run.replaceAll('%', ''), 'hex')
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1')
}
