/** Just enough of TypeScript's grammar to look at its shape: no parser with an API exists for version 7. */

/** The same text with the content of comments, strings, templates and regular expressions blanked; lines keep their places. */
export function codeOnly(source: string): string {
  return new Masker(source).run()
}

/** What may stand before a slash that begins a regular expression; after anything else it divides. */
const BEFORE_PATTERN = /(^|[=(,:[!&|?{};+\-*%<>~^]|\b(return|typeof|case|in|of|await|yield|void))\s*$/

class Masker {
  readonly #source: string
  readonly #out: string[]
  #at = 0

  constructor(source: string) {
    this.#source = source
    this.#out = [...Array(source.length).keys()].map(at => source[at]!)
  }

  run(): string {
    this.#code(() => false)
    return this.#out.join('')
  }

  /** Reads code until `ends` says so or the text is over. */
  #code(ends: (char: string) => boolean): void {
    while (this.#at < this.#source.length) {
      const char = this.#source[this.#at]!
      if (ends(char)) return
      const two = this.#source.slice(this.#at, this.#at + 2)
      if (two === '//') this.#blankTo(this.#indexOf('\n', this.#at))
      else if (two === '/*') this.#blankTo(this.#indexOf('*/', this.#at + 2) + 2)
      else if (char === "'" || char === '"') this.#blankTo(this.#endOfString(char))
      else if (char === '`') this.#template()
      else if (char === '/' && BEFORE_PATTERN.test(this.#out.slice(Math.max(0, this.#at - 60), this.#at).join(''))) {
        this.#blankTo(this.#endOfPattern())
      } else this.#at++
    }
  }

  #template(): void {
    this.#blankTo(this.#at + 1)
    while (this.#at < this.#source.length) {
      const char = this.#source[this.#at]!
      if (char === '\\') this.#blankTo(this.#at + 2)
      else if (this.#source.startsWith('${', this.#at)) this.#substitution()
      else {
        this.#blankTo(this.#at + 1)
        if (char === '`') return
      }
    }
  }

  #substitution(): void {
    this.#blankTo(this.#at + 2)
    let depth = 0
    this.#code(char => {
      if (char === '{') depth++
      return char === '}' && depth-- === 0
    })
    this.#blankTo(this.#at + 1)
  }

  #endOfString(quote: string): number {
    let at = this.#at + 1
    while (at < this.#source.length && this.#source[at] !== quote) at += this.#source[at] === '\\' ? 2 : 1
    return at + 1
  }

  #endOfPattern(): number {
    let inClass = false
    let at = this.#at + 1
    for (; at < this.#source.length; at++) {
      const char = this.#source[at]
      if (char === '\\') at++
      else if (char === '[') inClass = true
      else if (char === ']') inClass = false
      else if ((char === '/' && !inClass) || char === '\n') break
    }
    return at + 1
  }

  #indexOf(text: string, from: number): number {
    const at = this.#source.indexOf(text, from)
    return at < 0 ? this.#source.length : at
  }

  #blankTo(end: number): void {
    for (; this.#at < Math.min(end, this.#source.length); this.#at++) {
      if (this.#source[this.#at] !== '\n') this.#out[this.#at] = ' '
    }
  }
}

export interface FunctionSpan {
  readonly firstLine: number
  readonly lines: number
  readonly header: string
}

const CONTROL = /^(class|interface|if|for|while|switch|catch|with|else|do|try)\b/
const FUNCTION_HEADER = /(=>|\))\s*(:\s*[^{}()]+(\([^{}()]*\))?[^{}()]*)?$/

interface Open {
  readonly line: number
  readonly header: string
  /** Of the statement around the brace. */
  readonly statement: number
  readonly parens: number
}

/** Function bodies in braces, the callbacks of `describe` left out: those are chapters, not functions. */
export function functionsIn(source: string): readonly FunctionSpan[] {
  const code = codeOnly(source)
  const spans: FunctionSpan[] = []
  const open: Open[] = []
  let [line, statement, parens] = [1, 0, 0]
  for (let at = 0; at < code.length; at++) {
    const char = code[at]
    if (char === '\n') line++
    if (char === '(') parens++
    else if (char === ')') parens--
    else if (char === '{') {
      open.push({ line, header: code.slice(statement, at).trim().replace(/\s+/g, ' '), statement, parens })
      parens = 0
      statement = at + 1
    } else if (char === '}') {
      const opened = open.pop() ?? { line, header: '', statement: at, parens: 0 }
      if (isFunction(opened.header)) {
        spans.push({ firstLine: opened.line, lines: line - opened.line + 1, header: opened.header })
      }
      parens = opened.parens
      // Inside parentheses the statement goes on behind the brace: a callback, a destructured parameter.
      statement = parens > 0 ? opened.statement : at + 1
    } else if (parens === 0 && (char === ';' || endsStatement(code, at))) statement = at + 1
  }
  return spans
}

/** Without semicolons, a statement ends at an empty line or before a line that begins like a new one. */
function endsStatement(code: string, at: number): boolean {
  return (
    code[at] === '\n' &&
    /^\n\s*(\n|(const|let|return|await|test|describe|export|function|async|if|for|expect)\b)/.test(
      code.slice(at, at + 200),
    )
  )
}

function isFunction(header: string): boolean {
  return !CONTROL.test(header.replace(/^\}?\s*/, '')) && !/^describe\b/.test(header) && FUNCTION_HEADER.test(header)
}
