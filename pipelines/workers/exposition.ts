/** The metrics of one process, in Prometheus' text format, and the number of the worker they are of. */
export interface WorkerMetrics {
  readonly worker: number
  readonly text: string
}

/** A metric with its `# HELP` and `# TYPE`, and all its samples: the format wants them together. */
interface Family {
  readonly heads: string[]
  readonly samples: string[]
}

/**
 * The metrics of several processes as those of one, each sample with the label `worker`: a sum over it is the container's, and
 * what must not be added up, such as an age, stays apart.
 */
export function withWorkers(all: readonly WorkerMetrics[]): string {
  const families = new Map<string, Family>()
  for (const { worker, text } of all) {
    let family: Family | undefined
    for (const line of text.split('\n')) {
      const head = /^# (HELP|TYPE) (\S+)/.exec(line)
      if (head) {
        family = families.get(head[2]!) ?? { heads: [], samples: [] }
        families.set(head[2]!, family)
        if (!family.heads.some(each => each.startsWith(`# ${head[1]} `))) family.heads.push(line)
      } else if (line !== '' && !line.startsWith('#')) family?.samples.push(labelled(line, worker))
    }
  }
  return [...families.values()].map(({ heads, samples }) => `${[...heads, ...samples].join('\n')}\n`).join('\n')
}

/** `name 1` or `name{label="x"} 1`. What is in a label's value does not matter: only the name before it is looked at. */
function labelled(line: string, worker: number): string {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0] ?? ''
  const rest = line.slice(name.length)
  const label = `worker="${worker}"`
  return rest.startsWith('{')
    ? `${name}{${label}${rest[1] === '}' ? '' : ','}${rest.slice(1)}`
    : `${name}{${label}}${rest}`
}

/** Of one process: the samples of a metric added up. */
export function sumOf(text: string, name: string): number {
  return text
    .split('\n')
    .filter(line => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
