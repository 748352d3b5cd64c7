// What is mounted where, as the kernel tells this process.
import { readFileSync } from 'node:fs'
import type { Mount } from '../policy/host-snapshot.js'

/** Linux only. None where it cannot be read: then there is no /proc, and no sandbox either. */
export function readMounts(file = '/proc/self/mountinfo'): readonly Mount[] {
  try {
    return parseMountInfo(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EACCES')) return []
    throw error
  }
}

/** Lines of proc_pid_mountinfo(5): id, parent, device, root, point, … */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap(line => {
    const [, , device, root, point] = line.split(' ')
    return device === undefined || root === undefined || point === undefined ? [] : [{ device, root: unescapeOctal(root), point: unescapeOctal(point) }]
  })
}

/** Space, tab, newline and backslash are written in octal; bytes, not characters, but these four are both. */
const unescapeOctal = (text: string): string => text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
