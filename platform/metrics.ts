import * as prom from 'prom-client'

type Labels = Readonly<Record<string, string>>
export interface Counter {
  add(labels?: Labels, by?: number): void
}
export interface Gauge {
  set(value: number, labels?: Labels): void
}
interface Histogram {
  observe(value: number, labels?: Labels): void
}

/**
 * Metrics by name; asking twice for one name gives the same metric. Names are `haetae_<what>_<unit>[_total]`.
 * Label values are bounded sets: a component, a reason code, never an address or a path.
 */
export interface Metrics {
  counter(name: string, help: string, labelNames?: readonly string[]): Counter
  gauge(name: string, help: string, labelNames?: readonly string[]): Gauge
  histogram(name: string, help: string, buckets: readonly number[], labelNames?: readonly string[]): Histogram
  /** Prometheus text exposition format. */
  expose(): Promise<string>
}

export function createMetrics(options: { readonly processMetrics?: boolean } = {}): Metrics {
  const registry = new prom.Registry()
  if (options.processMetrics) prom.collectDefaultMetrics({ register: registry })
  const known = new Map<string, Counter | Gauge | Histogram>()
  const once = <M extends Counter | Gauge | Histogram>(name: string, make: () => M): M => {
    const metric = known.get(name) ?? make()
    known.set(name, metric)
    return metric as M
  }
  const common = (name: string, help: string, labelNames: readonly string[]) => {
    return { name, help, labelNames: [...labelNames], registers: [registry] }
  }
  return {
    counter: (name, help, labelNames = []) =>
      once<Counter>(name, () => {
        const counter = new prom.Counter(common(name, help, labelNames))
        return { add: (labels = {}, by = 1) => counter.inc(labels, by) }
      }),
    gauge: (name, help, labelNames = []) =>
      once<Gauge>(name, () => {
        const gauge = new prom.Gauge(common(name, help, labelNames))
        return { set: (value, labels = {}) => gauge.set(labels, value) }
      }),
    histogram: (name, help, buckets, labelNames = []) =>
      once<Histogram>(name, () => {
        const histogram = new prom.Histogram({ ...common(name, help, labelNames), buckets: [...buckets] })
        return { observe: (value, labels = {}) => histogram.observe(labels, value) }
      }),
    expose: () => registry.metrics(),
  }
}
