const tasks = new Set<() => void>()
process.once('exit', () => {
  for (const task of tasks) task()
})

/** A run that is broken off leaves nothing behind. Gives what takes the task back. */
export function atExit(task: () => void): () => void {
  tasks.add(task)
  return () => void tasks.delete(task)
}
