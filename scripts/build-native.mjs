// Builds the launcher from native/linux/*.c with the best tool chain that this machine has.
// Run: node scripts/build-native.mjs [--variant release|fault-injection|sanitizers] [--arch x64|arm64]
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { checkNode, hashFiles, main, readStamps, ROOT, say, SetUpError, writeStamp } from './setup.mjs'

const PROGRAM = 'codex-sandbox-launcher'
const SOURCES = ['native/linux', 'scripts/build-native.mjs']

/** What is built from the same sources, and where it goes: `<out>/linux-<arch>/codex-sandbox-launcher`. */
const VARIANTS = {
  release:           { out: 'dist/launcher',                  flags: ['-O2', '-D_FORTIFY_SOURCE=2', '-s'], static: true },
  'fault-injection': { out: 'build/launcher-fault-injection', flags: ['-O2', '-D_FORTIFY_SOURCE=2', '-DFAULT_INJECTION'], static: true },
  sanitizers:        { out: 'build/launcher-sanitizers',      flags: ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'], static: false },
}

const LANGUAGE = ['-std=c11', '-D_GNU_SOURCE', '-pthread', '-Wall', '-Wextra']
const HARDENING = ['-fstack-protector-strong', '-Wl,-z,relro', '-Wl,-z,now', '-Wl,-z,noexecstack']

/**
 * The tool chains, best first. Static, because a command must not choose what the launcher loads, and because it starts faster;
 * musl, because it stays small.
 */
const TOOL_CHAINS = [
  { name: 'musl, static PIE',  compilers: ['musl-gcc'],           static: true,  flags: muslStaticPie() },
  { name: 'musl, static',      compilers: ['musl-gcc'],           static: true,  flags: ['-fno-pie', '-static'] },
  { name: 'glibc, static PIE', compilers: ['cc', 'gcc', 'clang'], static: true,  flags: ['-fPIE', '-static-pie'] },
  { name: 'glibc, static',     compilers: ['cc', 'gcc', 'clang'], static: true,  flags: ['-fno-pie', '-static'] },
  { name: 'glibc, dynamic',    compilers: ['cc', 'gcc', 'clang'], static: false, flags: ['-fPIE', '-pie'] },
].filter(({ flags }) => flags !== undefined)
export const CROSS_COMPILERS = { x64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' }

export const launcherPath = (variant = 'release', arch = process.arch) => `${VARIANTS[variant].out}/linux-${arch}/${PROGRAM}`

/** The step that builds a launcher, or none where it is there and as new as its sources. */
export function launcherSteps(variant = 'release', arch = process.arch, options = {}) {
  if (process.platform !== 'linux') return []
  const hash = hashFiles(SOURCES)
  const { out } = VARIANTS[variant]
  if (existsSync(join(ROOT, launcherPath(variant, arch))) && readStamps(out)[arch] === hash) return []
  const title = `building the launcher (C${variant === 'release' ? '' : `, ${variant}`}${arch === process.arch ? '' : `, ${arch}`})`
  return [{
    title,
    run() {
      const { toolChain, warnings } = buildLauncher(variant, arch, options)
      if (VARIANTS[variant].static && !toolChain.static) say('      note: no static C library here, so the launcher is linked dynamically (Debian: musl-tools or libc6-dev)')
      if (warnings) say(`      note: ${toolChain.compiler} warns about the launcher; it is built all the same`)
      writeStamp(out, arch, hash)
    },
  }]
}

/** Whether this machine can build for `arch`; else why not. */
export function missingCompiler(arch) {
  if (arch === process.arch) return undefined
  const compiler = CROSS_COMPILERS[arch]
  return onPath(compiler) ? undefined : `${compiler} is not installed`
}

/** @throws SetUpError one line; the compiler's own messages have been printed above it */
function buildLauncher(variant, arch, { strict = false }) {
  const { out, flags, static: wantsStatic } = VARIANTS[variant]
  const sources = readdirSync(join(ROOT, 'native/linux')).filter(name => name.endsWith('.c')).sort()
  if (sources.length === 0) throw new SetUpError('native/linux has no C sources.')
  const scratch = mkdtempSync(join(tmpdir(), 'codex-sandbox-build-'))
  try {
    const toolChain = chooseToolChain(arch, wantsStatic, scratch)
    const built = join(scratch, PROGRAM)
    const words = [...LANGUAGE, ...flags, ...HARDENING, ...toolChain.flags, '-o', built, ...sources.map(name => join(ROOT, 'native/linux', name))]
    const compile = extra => spawnSync(toolChain.compiler, [...extra, ...words], { encoding: 'utf8' })
    let result = compile(['-Werror'])
    // A stranger's newer compiler may know warnings that ours does not: there they are a note, in the tests a failure.
    const warnings = result.status !== 0 && !strict
    const complaint = result.stderr
    if (warnings) result = compile([])
    if (result.status !== 0) {
      process.stderr.write(warnings ? result.stderr : complaint)
      throw new SetUpError(`${toolChain.compiler} could not build the launcher; its messages are above.`)
    }
    const target = join(ROOT, out, `linux-${arch}`)
    mkdirSync(target, { recursive: true })
    moveWhole(built, join(target, PROGRAM))
    return { toolChain, warnings }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** The first tool chain with which a small program can be built and, where it is for this machine, runs. */
function chooseToolChain(arch, wantsStatic, scratch) {
  const candidates = TOOL_CHAINS.flatMap(chain => compilersOf(chain, arch).map(compiler => ({ ...chain, compiler })))
    .filter(({ compiler, static: isStatic }) => onPath(compiler) && (wantsStatic || !isStatic))
  if (candidates.length === 0) {
    throw new SetUpError(arch === process.arch
      ? 'no C compiler (cc, gcc, clang or musl-gcc) was found, and the launcher is built from C. On Debian or Ubuntu: apt-get install gcc libc6-dev'
      : `${CROSS_COMPILERS[arch]} is not installed. On Debian or Ubuntu: apt-get install gcc-${CROSS_COMPILERS[arch].replace(/-linux-gnu-gcc$/, '-linux-gnu')}`)
  }
  const source = join(scratch, 'probe.c')
  const probe = join(scratch, 'probe')
  writeFileSync(source, '#include <stdio.h>\n#include <linux/seccomp.h>\nint main(void) { return puts("") < 0 || SECCOMP_MODE_FILTER != 2; }\n')
  let complaint = ''
  for (const candidate of candidates) {
    const flags = [...candidate.flags, ...(candidate.compiler === 'musl-gcc' ? kernelHeaders(scratch) : [])]
    const built = spawnSync(candidate.compiler, [...flags, '-o', probe, source], { encoding: 'utf8' })
    const works = built.status === 0 && namesInterpreter(probe) !== candidate.static && (arch !== process.arch || spawnSync(probe).status === 0)
    if (works) return { ...candidate, flags }
    complaint = built.stderr?.split('\n').find(line => line.includes('error')) ?? 'the program that it builds does not run'
  }
  throw new SetUpError(`${candidates.at(-1).compiler} cannot build a C program here: ${complaint.trim()}. On Debian or Ubuntu: apt-get install gcc libc6-dev`)
}

function compilersOf({ compilers }, arch) {
  if (arch !== process.arch) return compilers.includes('gcc') ? [CROSS_COMPILERS[arch]] : []
  return process.env.CC !== undefined && compilers.includes('cc') ? [process.env.CC, ...compilers] : compilers
}

/**
 * musl-gcc quietly makes a dynamic program of `-static-pie`, so the start file and the linker's options are named here.
 * None where musl's start file for such programs is not found.
 */
function muslStaticPie() {
  const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch]
  const folder = [`/usr/lib/${machine}-linux-musl`, '/usr/lib/musl/lib', '/usr/local/musl/lib'].find(path => existsSync(`${path}/rcrt1.o`))
  if (folder === undefined) return undefined
  const startFiles = ['rcrt1.o', 'crti.o', 'crtn.o'].map(name => `${folder}/${name}`)
  return ['-fPIE', '-static', '-nostartfiles', ...startFiles, '-Wl,-pie,--no-dynamic-linker,-z,text']
}

/** Whether an ELF program asks for a dynamic linker (PT_INTERP among its 64-bit little-endian program headers). */
function namesInterpreter(path) {
  const elf = readFileSync(path)
  const table = Number(elf.readBigUInt64LE(32))
  const [size, count] = [elf.readUInt16LE(54), elf.readUInt16LE(56)]
  return Array.from({ length: count }, (_, index) => elf.readUInt32LE(table + index * size)).includes(3)
}

/** musl-gcc looks into its own folder only, which lacks the kernel's headers: a folder with nothing but those. */
function kernelHeaders(scratch) {
  const folder = join(scratch, 'kernel-headers')
  const multiarch = spawnSync('gcc', ['-print-multiarch'], { encoding: 'utf8' }).stdout?.trim()
  if (!existsSync(folder)) {
    mkdirSync(folder)
    for (const name of ['linux', 'asm', 'asm-generic']) {
      const found = [`/usr/include/${multiarch}/${name}`, `/usr/include/${name}`].find(path => existsSync(path))
      if (found !== undefined) symlinkSync(found, join(folder, name))
    }
  }
  return ['-idirafter', folder]
}

const onPath = program => program.includes('/') ? existsSync(program) : (process.env.PATH ?? '').split(':').some(folder => existsSync(join(folder, program)))

/** `to` may be running and may lie on another file system: it gets a new inode beside it, then its name. */
function moveWhole(from, to) {
  const beside = `${to}.${process.pid}.tmp`
  const copied = spawnSync('cp', [from, beside])
  if (copied.status !== 0) throw new SetUpError(`cannot write ${beside}: ${copied.stderr}`)
  renameSync(beside, to)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(() => {
    checkNode()
    const { values } = parseArgs({ options: { variant: { type: 'string', default: 'release' }, arch: { type: 'string', default: process.arch } } })
    if (!Object.hasOwn(VARIANTS, values.variant)) throw new SetUpError(`there is no variant ${JSON.stringify(values.variant)}, only ${Object.keys(VARIANTS).join(', ')}.`)
    if (!Object.hasOwn(CROSS_COMPILERS, values.arch)) throw new SetUpError(`there is no architecture ${JSON.stringify(values.arch)}, only ${Object.keys(CROSS_COMPILERS).join(', ')}.`)
    if (process.platform !== 'linux') throw new SetUpError('the launcher is for Linux and is built there.')
    const { toolChain } = buildLauncher(values.variant, values.arch, { strict: true })
    writeStamp(VARIANTS[values.variant].out, values.arch, hashFiles(SOURCES))
    say(`${launcherPath(values.variant, values.arch)}: ${toolChain.compiler} (${toolChain.name})`)
  })
}
