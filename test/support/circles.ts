/**
 * The circles of a graph: each set of two or more nodes of which every one leads to every other, sorted (Tarjan's strongly
 * connected components).
 */
export function circlesOf(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const circles: string[][] = []

  const visit = (node: string): void => {
    const mine = order.size
    order.set(node, mine)
    let low = mine
    stack.push(node)
    for (const next of edges.get(node) ?? []) {
      if (!order.has(next)) visit(next)
      // What is not on the stack any more belongs to a circle of its own.
      if (stack.includes(next)) low = Math.min(low, lowest.get(next) ?? order.get(next)!)
    }
    lowest.set(node, low)
    if (low < mine) return
    const circle = stack.splice(stack.indexOf(node))
    if (circle.length > 1) circles.push(circle.toSorted())
  }

  for (const node of edges.keys()) if (!order.has(node)) visit(node)
  return circles
}
