// Where names lead, through links. What is not there leads nowhere, and so does what may not be looked at.
import { realpathSync, statSync } from 'node:fs'

/** Undefined where it leads nowhere. */
export function real(file: string): string | undefined {
  try {
    return realpathSync(file)
  } catch {
    return undefined
  }
}

export function isFolder(link: string): boolean {
  try {
    return statSync(link).isDirectory()
  } catch {
    return false
  }
}

/** One folder, by whatever names. */
export const isSameFolder = (one: string, other: string): boolean => one === other || (real(one) ?? one) === (real(other) ?? other)
