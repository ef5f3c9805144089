import { formatOf, render } from './terminal.ts'

/** What became of one test inside a pipeline or rule file. */
export interface Outcome {
  readonly file: string
  readonly name: string
  /** Empty when it passed. */
  readonly failures: readonly string[]
}

export function failedOf(outcomes: readonly Outcome[]): number {
  return outcomes.filter(({ failures }) => failures.length > 0).length
}

/** As a person reads them, the sum last; or, when a format is asked for, rows on stdout and the sum on stderr. */
export function sayOutcomes(outcomes: readonly Outcome[], output: string | undefined, more = ''): void {
  const failed = failedOf(outcomes)
  const sum = `${outcomes.length - failed} passed, ${failed} failed${more}`
  if (output !== undefined) {
    const rows = outcomes.map(({ file, name, failures }) => {
      return { state: failures.length === 0 ? 'ok' : 'fail', file, name, detail: failures.join('\n') }
    })
    console.log(render(rows, ['state', 'file', 'name', 'detail'], formatOf(output)))
    console.error(sum)
    return
  }
  for (const { file, name, failures } of outcomes) {
    console.log(`${failures.length === 0 ? 'ok  ' : 'FAIL'} ${file}: ${name}`)
    for (const failure of failures) console.log(`       ${failure}`)
  }
  console.log(sum)
}
