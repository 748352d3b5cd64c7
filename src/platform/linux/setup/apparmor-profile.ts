// The AppArmor profile that lets the installed launcher, and nothing that it starts, use user namespaces. Pure.
import { INSTALL_FOLDER, LAUNCHER_PROGRAM } from '../native/installed-launcher.js'

export const PROFILE_FOLDER = '/etc/apparmor.d'
export const PROFILE_NAME = 'codex-sandbox-launcher'
/** The first line of every profile of ours: a file without it is somebody else's. */
export const PROFILE_MARK = '# Made by `codex-sandbox setup linux`, which replaces it, and removes it with --uninstall.'

/** What both profiles allow: AppArmor shall say nothing but what follows. The sandbox itself is the launcher's to make. */
const EVERYTHING_ELSE = ['file rwlkm /{**,}', 'network', 'unix', 'signal', 'mqueue', 'io_uring', 'dbus']
/** Only each other: who may trace the launcher can make it do anything. */
const OWN_LABELS = `${PROFILE_NAME.replace('launcher', '{launcher,command}')}{,//&${PROFILE_NAME.replace('launcher', '{launcher,command}')}}`
const TRACING = ['ptrace (read, readby)', `ptrace (trace, tracedby) peer=${OWN_LABELS}`]

/**
 * Not `flags=(unconfined)`, as profiles of this kind mostly are: under that one a program that the launcher starts keeps the permission,
 * and any local program that starts the launcher with a policy of its own has it too. Here what is started gets a second label on top
 * (`no_new_privs` permits no other change), which has neither `userns` nor a capability.
 */
export const LAUNCHER_PROFILE = `${PROFILE_MARK}
abi <abi/4.0>,

profile ${PROFILE_NAME} ${INSTALL_FOLDER}/*/${LAUNCHER_PROGRAM} flags=(attach_disconnected,mediate_deleted) {
${rules([...EVERYTHING_ELSE, ...TRACING, 'capability', 'mount', 'umount', 'pivot_root', 'userns', `px /** -> ${PROFILE_NAME}//&codex-sandbox-command`])}
}

profile codex-sandbox-command flags=(attach_disconnected,mediate_deleted) {
${rules([...EVERYTHING_ELSE, ...TRACING, 'ix /**'])}
}
`

function rules(lines: readonly string[]): string {
  return lines.map(line => `  allow ${line},`).join('\n')
}
