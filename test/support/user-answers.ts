// What a process that runs as another user answers: a line of JSON for each of its tasks, waited for by the task's key.
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { OrdinaryUser } from './ordinary-user.js'

/**
 * Starts `entry` as the user. It prints one `{ "key": …, "answer": … }` a line, in any order.
 *
 * @returns  the answer to a key; rejects where the process ended without it
 */
export async function answersAsUser<Answer>(user: OrdinaryUser, entry: string, env: Readonly<Record<string, string>>): Promise<(key: string) => Promise<Answer>> {
  return answersOf(await user.run(entry, env))
}

/** The same of a process that runs already, with its stdout in a pipe. */
export function answersOf<Answer>(child: ChildProcess): (key: string) => Promise<Answer> {
  const answers = new Map<string, Answer>()
  const waiting = new Map<string, { settle: (answer: Answer) => void; fail: (error: Error) => void }>()
  let ended: Error | undefined
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', line => {
    const { key, answer } = JSON.parse(line) as { key: string; answer: Answer }
    answers.set(key, answer)
    waiting.get(key)?.settle(answer)
  })
  child.on('close', code => {
    ended = new Error(`its process ended early, with ${code}`)
    for (const { fail } of waiting.values()) fail(ended)
  })
  return key => new Promise((settle, fail) => {
    const answer = answers.get(key)
    if (answer !== undefined) settle(answer)
    else if (ended !== undefined) fail(ended)
    else waiting.set(key, { settle, fail })
  })
}

/** In the process: what `answersAsUser` reads. */
export const answer = (key: string, value: unknown): void => { process.stdout.write(`${JSON.stringify({ key, answer: value })}\n`) }
