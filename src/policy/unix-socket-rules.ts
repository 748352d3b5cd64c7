// `allowUnixSockets` on one machine: canonical paths of sockets, or of folders of them.
import { SandboxError } from '../errors.js'
import { followLinks } from './follow-links.js'
import type { HostSnapshot } from './host-snapshot.js'
import { absolutePath } from './named-rules.js'
import type { NetworkRules } from './domains.js'
import { lastName, parentOf } from './path-syntax.js'
import type { IgnoredRule, UnixSocketRule } from './resolved-policy.js'
import type { Layer } from './rule-order.js'

/** Whoever may speak to one of these is root on this machine, or as good as. Compared with the last name of a socket's real path: native/linux/socket-files.c has the same list. */
export const ROOT_SOCKETS = ['docker.sock', 'podman.sock', 'containerd.sock', 'crio.sock', 'dockershim.sock', 'buildkitd.sock', 'docker-containerd.sock'] as const

const FIELD = 'network.allowUnixSockets'

/**
 * A link is judged by what it leads to. Nothing is opened that the policy denies as a file.
 *
 * @param rules  the policy's rules for files
 * @throws       SandboxError `path_*`; `policy_invalid_value` for a socket that needs a word of its own, and for a link that commands may have made
 */
export function unixSocketRules(host: HostSnapshot, cwd: string, { allowUnixSockets, dangerouslyAllowDockerSocket }: NetworkRules, rules: Layer, ignored: IgnoredRule[]): UnixSocketRule[] {
  return allowUnixSockets.flatMap((value, index) => {
    const field = `${FIELD}[${index}]`
    const isWritable = (path: string): boolean => rules.effectAt(path) === 'write'
    const { path, entry } = followLinks(host, absolutePath(host, cwd, value, field), field, link => {
      if (!isWritable(parentOf(host.platform, link))) return
      throw new SandboxError('policy_invalid_value', { field, value }, { detail: `it leads through ${JSON.stringify(link)}, a link that commands may have made`, remedy: 'Name the socket itself.' })
    })
    if (path === '/') throw new SandboxError('policy_invalid_value', { field, value }, { detail: 'it would be every socket', remedy: 'Name single sockets, or say dangerouslyAllowAllUnixSockets.' })
    if (!dangerouslyAllowDockerSocket && (ROOT_SOCKETS as readonly string[]).includes(lastName(host.platform, path))) {
      throw new SandboxError('policy_invalid_value', { field, value }, {
        detail: `through ${JSON.stringify(path)} a command gets the whole machine, outside of every sandbox`, remedy: 'If that is what you want, say so by name: network.dangerouslyAllowDockerSocket.',
      })
    }
    if (rules.effectAt(path) === 'deny') {
      ignored.push({ field, value, reason: 'covered' })
      return []
    }
    if (!isWritable(path)) return [{ path, field }]
    // Where commands may make and move names, the path alone says nothing: it has to be the very socket that is there now.
    if (entry?.kind === 'socket') return [{ path, field, identity: { device: entry.device, inode: entry.inode } }]
    ignored.push({ field, value, reason: 'missing' })
    return []
  })
}
