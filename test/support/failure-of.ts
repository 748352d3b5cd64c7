// What a step throws, so that a test can look at all of it.

/** Throws where the step succeeds. */
export async function failureOf(step: () => Promise<unknown>): Promise<unknown> {
  try {
    await step()
  } catch (error) {
    return error
  }
  throw new Error('it succeeded')
}
