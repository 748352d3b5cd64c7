// Windows paths as text: the one place where their many spellings become one, and where a spelling that cannot be judged is
// refused. Pure. Sources: "Naming Files, Paths, and Namespaces" and "File path formats on Windows systems" of Microsoft's documents.
import { SandboxError } from '../errors.js'

/**
 * `C:\a\b` or `\\server\share\a`: backslashes, an upper-case drive letter, no `.`, no doubled and no trailing separator. `\\?\C:\a` and
 * `\\?\UNC\server\share\a` are the same paths without their prefix, since no name is left in which the prefix would matter.
 *
 * Refused is every form that Win32 takes for another file than the one written, or that this text alone does not say the file of:
 * `..`, alternate streams (`a:b`, `a::$DATA`), a dot or a space at the end of a name, devices (`nul`, `com1.txt`, `\\.\`), volumes by
 * number, shares that lead back to this machine's own drives (`\\localhost`, `C$`), and wildcards. Short names (`GIT~1`) are names like
 * others here; `followLinks` asks the host what they stand for.
 *
 * @throws  SandboxError `path_not_absolute`, `path_invalid`, `field` = the given one
 */
export function normalizeWindowsPath(path: string, field: string): string {
  const refuse = (detail: string) => new SandboxError('path_invalid', { field, value: path }, { detail })
  const text = withoutPrefix(path, refuse).replaceAll('/', '\\')
  const [, drive, server, share] = /^(?:([A-Za-z]:)\\|\\\\([^\\]+)\\([^\\]+)(?:\\|$))/.exec(text) ?? []
  if (drive === undefined && (server === undefined || share === undefined)) throw new SandboxError('path_not_absolute', { field, value: path })
  if (server !== undefined && share !== undefined) refuseShare(server, share, refuse)
  const start = drive ?? `\\\\${server}\\${share}`
  const names = text.slice(start.length).split('\\').filter(name => name !== '' && name !== '.')
  for (const name of names) refuseName(name, refuse)
  return `${drive === undefined ? start : drive.toUpperCase()}\\${names.join('\\')}`
}

type Refuse = (detail: string) => SandboxError

/** With `\\?\` Win32 passes the rest on as it stands: there a slash is no separator, `.` and nothing are names, and a name may end in a dot. */
function withoutPrefix(path: string, refuse: Refuse): string {
  const [prefix] = /^[\\/]{2}[?.](?=[\\/]|$)[\\/]?|^\\\?\?\\/.exec(path) ?? []
  if (prefix === undefined) return path
  const rest = path.slice(prefix.length)
  if (prefix === '\\\\?\\' && !/\/|\\\\|\\\.(?:\\|$)/.test(rest)) {
    if (/^[A-Za-z]:\\/.test(rest)) return rest
    const [, share] = /^UNC\\(.*)$/i.exec(rest) ?? []
    if (share !== undefined) return `\\\\${share}`
  }
  throw refuse('it names a device or bypasses the path rules')
}

const THIS_MACHINE = /^(?:localhost|127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[?::1\]?|(?:0-){7}1\.ipv6-literal\.net|--1\.ipv6-literal\.net)$/i

function refuseShare(server: string, share: string, refuse: Refuse): void {
  for (const name of [server, share]) {
    if (name === '.' || name === '..' || /[<>:"|?*]/.test(name) || /[. ]$/.test(name)) throw refuse(`${JSON.stringify(name)} is no name of a server or share`)
  }
  if (THIS_MACHINE.test(server)) throw refuse('it is a share of this machine, so the same file has another path')
  if (share.endsWith('$')) throw refuse(`${JSON.stringify(share)} is a share for administrators, which shows a whole drive`)
}

/** Device names, with whatever ending, and with spaces before it. */
const DEVICE = /^(?:con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3]|conin\$|conout\$|clock\$) *(?:\.|$)/i

function refuseName(name: string, refuse: Refuse): void {
  if (name === '..') throw refuse('it contains ".."')
  if (/[\u0000-\u001f]/.test(name)) throw refuse('it contains a control character')
  if (name.includes(':')) throw refuse(`${JSON.stringify(name)} names a stream of a file, or a drive`)
  if (/[<>"|?*]/.test(name)) throw refuse(`${JSON.stringify(name)} holds a character that Windows does not allow in names`)
  if (/[. ]$/.test(name)) throw refuse(`${JSON.stringify(name)} ends in a dot or a space, which Windows drops`)
  if (DEVICE.test(name)) throw refuse(`${JSON.stringify(name)} is the name of a device`)
  if (name.length > LONGEST_NAME) throw refuse(`${JSON.stringify(name.slice(0, 20))}… has more than ${LONGEST_NAME} characters`)
}

/** Of NTFS and ReFS, in UTF-16. */
const LONGEST_NAME = 255

/**
 * Has the form of a name that Windows makes itself for a longer one (`GIT~1` for `.git`, `PROGRA~2`, `A1B2~1.TXT`). A file may have it
 * as its own name as well: only the folder's list tells.
 */
export const looksShort = (name: string): boolean => /^(?=.{1,8}(?:\.|$))[^.~ ]{1,6}~\d{1,6}(?:\.[^. ]{0,3})?$/.test(name)

/** Where the target of a junction or symbolic link begins, and the names from there. `start`: empty for the folder of the link. */
export interface WindowsTarget {
  readonly start: string
  /** As they are written: `..` included. */
  readonly names: readonly string[]
}

/**
 * Reads the target of a junction or symbolic link as Windows does: absolute, from the root of the link's own drive (`\a`), or from the
 * link's folder. What leads to a volume without a letter, or is relative to another drive's current folder, is refused.
 *
 * @param linkRoot  `C:\` or `\\server\share\` of the link itself
 * @throws          SandboxError `path_invalid`
 */
export function windowsTarget(target: string, linkRoot: string, field: string): WindowsTarget {
  const refuse = (detail: string) => new SandboxError('path_invalid', { field, value: target }, { detail: `a link on its way ${detail}` })
  const text = target.replace(/^\\\?\?\\/, '\\\\?\\').replaceAll('/', '\\')
  const split = (rest: string) => rest.split('\\').filter(name => name !== '')
  if (/^\\\\/.test(text) || /^[A-Za-z]:\\/.test(text)) {
    let plain: string
    try {
      plain = normalizeWindowsPath(text, field)
    } catch {
      throw refuse(`leads to ${JSON.stringify(target)}, which is not a path of a drive or share`)
    }
    const start = /^(?:[A-Z]:|\\\\[^\\]+\\[^\\]+)\\/.exec(plain)?.[0] ?? plain
    return { start, names: split(plain.slice(start.length)) }
  }
  if (/^[A-Za-z]:/.test(text)) throw refuse(`leads to ${JSON.stringify(target)}, which depends on the current folder of a drive`)
  const names = split(text)
  for (const name of names) if (name !== '.' && name !== '..') refuseName(name, refuse)
  return { start: text.startsWith('\\') ? linkRoot : '', names }
}
