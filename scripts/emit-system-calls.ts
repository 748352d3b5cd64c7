// Writes src/platform/linux/seccomp/system-calls.*.generated.ts from the kernel headers of the installed compilers.
// Needs gcc and aarch64-linux-gnu-gcc. Run: npx esbuild scripts/emit-system-calls.ts --format=esm | node --input-type=module -
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'

const TARGETS = [
  { arch: 'x64', constant: 'X64_SYSTEM_CALLS', compiler: 'gcc' },
  { arch: 'arm64', constant: 'ARM64_SYSTEM_CALLS', compiler: 'aarch64-linux-gnu-gcc' },
] as const

/** The kernel up to which `LATER_CALLS` is complete. */
const LAST_KERNEL = '6.18'

/**
 * Calls that are younger than the headers of a stable distribution, up to `LAST_KERNEL`.
 * Source: scripts/syscall.tbl and arch/x86/entry/syscalls/syscall_64.tbl of Linux 6.18. A header that has them must agree.
 */
const LATER_CALLS = {
  common: {
    cachestat: 451, fchmodat2: 452, map_shadow_stack: 453, futex_wake: 454, futex_wait: 455, futex_requeue: 456,
    statmount: 457, listmount: 458, lsm_get_self_attr: 459, lsm_set_self_attr: 460, lsm_list_modules: 461, mseal: 462,
    setxattrat: 463, getxattrat: 464, listxattrat: 465, removexattrat: 466, open_tree_attr: 467, file_getattr: 468,
    file_setattr: 469,
  },
  x64: { uretprobe: 335, uprobe: 336 },
  arm64: {},
} as const

/** Macros of the header that look like a call and are none: the count, and where an architecture's own calls begin. */
const NO_CALLS = new Set(['syscalls', 'arch_specific_syscall'])

for (const { arch, constant, compiler } of TARGETS) {
  const macros = readMacros(compiler)
  const calls = { ...readSystemCalls(macros) }
  for (const [name, number] of Object.entries({ ...LATER_CALLS.common, ...LATER_CALLS[arch] })) {
    if (calls[name] !== undefined && calls[name] !== number) throw new Error(`${arch}: the header has ${name} as ${calls[name]}, not ${number}`)
    calls[name] = number
  }
  const rows = Object.entries(calls).filter(([, number]) => number <= LATER_CALLS.common.file_setattr).sort(([, a], [, b]) => a - b)
  const version = ['MAJOR', 'PATCHLEVEL', 'SUBLEVEL'].map(part => macros.get(`LINUX_VERSION_${part}`)).join('.')
  writeFileSync(`src/platform/linux/seccomp/system-calls.${arch}.generated.ts`, [
    `// Written by scripts/emit-system-calls.ts from the headers of Linux ${version} (${compiler}), later calls up to ${LAST_KERNEL} added.`,
    `export const ${constant} = {`,
    ...rows.map(([name, number]) => `  ${name}: ${number},`),
    '} as const',
    '',
  ].join('\n'))
}

/** Every macro that a translation unit sees after the two headers. */
function readMacros(compiler: string): Map<string, string> {
  const text = execFileSync(compiler, ['-E', '-dM', '-'], { input: '#include <asm/unistd.h>\n#include <linux/version.h>\n', encoding: 'utf8' })
  return new Map([...text.matchAll(/^#define (\w+) (.+)$/gm)].map(([, name, value]) => [name!, value!]))
}

function readSystemCalls(macros: Map<string, string>): Record<string, number> {
  const calls: Record<string, number> = {}
  for (const [macro, value] of macros) {
    const name = /^__NR_(\w+)$/.exec(macro)?.[1]
    if (name === undefined || NO_CALLS.has(name)) continue
    // asm-generic names some calls through __NR3264_…: one number, two names by word size.
    const number = Number(macros.get(value) ?? value)
    if (!Number.isInteger(number)) throw new Error(`${macro} is not a number: ${value}`)
    calls[name] = number
  }
  return calls
}
