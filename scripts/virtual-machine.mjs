// Virtual machines with Debian's kernels, for scripts that try this package on other hosts than this one. What a machine is made of comes
// from Debian's archive and from npm and is kept in build/virtual-machine; nothing of this machine's apt is read or changed, and no root is
// needed. A machine's root is an initramfs: archives that the kernel unpacks one after another, so that what rarely changes is packed once.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, chmodSync, constants, cpSync, createReadStream, createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { installNode } from './nodes.mjs'
import { ROOT, say, SetUpError } from './setup.mjs'

const KEPT = join(ROOT, 'build/virtual-machine')
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
/** Programs are the first suite's; backports are taken only where a package is named that exists nowhere else, such as a kernel. */
const SUITES = ['debian bookworm', 'debian-security bookworm-security', 'debian bookworm-backports', 'debian trixie-backports']
/** `unix_diag` tells whose a unix socket is. */
const MODULES = ['unix_diag']
const LISTS_KEPT_MS = 24 * 3600 * 1000

/** By Node's names of architectures. `console`: where a kernel finds the first serial port; on a busy host an emulated timer may be
 * too late for the kernel's look at it. `kvm`: a processor of this architecture runs it itself. */
const ARCHITECTURES = {
  x64:   { debian: 'amd64', qemu: 'qemu-system-x86_64',  package: 'qemu-system-x86', console: 'ttyS0 no_timer_check', machine: ['-M', 'pc'],   tcg: ['-cpu', 'max'] },
  arm64: { debian: 'arm64', qemu: 'qemu-system-aarch64', package: 'qemu-system-arm', console: 'ttyAMA0',              machine: ['-M', 'virt'], tcg: ['-cpu', 'max,pauth-impdef=on'] },
}


/** What every machine has: a shell, the programs that tests start, and the libraries of Node. */
const BASE_PACKAGES = ['libc6', 'libc-bin', 'dash', 'bash', 'coreutils', 'util-linux', 'util-linux-extra', 'mount', 'findutils', 'grep', 'sed', 'mawk', 'diffutils', 'hostname', 'procps', 'iproute2', 'kmod', 'libstdc++6', 'libatomic1']
/** Depended on by packages above, and used by none of their programs that are started. */
const LEFT_OUT = /^(?:perl|libperl|perl-modules|debconf|base-files|init-system-helpers|libpam-modules|libpam-runtime|libdb5|git-man|liberror-perl|tzdata|media-types)/

/** Moves the root from the kernel's rootfs, which no sandbox could leave, to a mount of its own, with what a host mounts. */
const INIT = `#!/bin/sh
export PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root LANG=C.UTF-8
if [ "$1" != moved ]; then
  mkdir -p /run/root
  mount --bind / /run/root && cd /run/root && mount --move . / && exec chroot . /init moved
fi
cd /
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts; mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp; mount -t tmpfs -o mode=1777 tmp /var/tmp; mount -t tmpfs -o mode=755 run /run
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
ip link set lo up 2>/dev/null
dmesg -n 1
for module in /modules/*.ko; do [ "$NO_MODULES" = 1 ] || insmod "$module"; done
sh /start
echo "machine ended with $?"
echo o > /proc/sysrq-trigger
sleep 60
`

/** Why no machine of `arch` can be made here, with what to do; undefined where one can. */
export function whyNoMachine(arch = process.arch) {
  if (process.platform !== 'linux') return 'virtual machines are made on Linux'
  const { qemu, package: qemuPackage } = ARCHITECTURES[arch]
  const needed = [[qemu, qemuPackage], ['cpio', 'cpio'], ['xz', 'xz-utils'], ['apt-get', 'apt'], ['dpkg-deb', 'dpkg']]
  const missing = needed.filter(([program]) => spawnSync('sh', ['-c', 'command -v "$0"', program]).status !== 0)
  if (missing.length > 0) return `${missing.map(([program]) => program).join(', ')} missing (Debian: apt-get install --no-install-recommends ${missing.map(([, name]) => name).join(' ')})`
  if (!existsSync(KEYRING)) return `${KEYRING} is missing (Debian and Ubuntu: apt-get install debian-archive-keyring)`
  return undefined
}

/**
 * The newest kernel of Debian's archive for clouds whose version begins with `series`, such as `6.1` or `7`.
 *
 * @returns  its release, as `uname -r` says it, the file to boot, and an archive of those of its modules that a host has loaded when they are asked for
 */
export function fetchKernel(series, arch = process.arch) {
  const { debian } = ARCHITECTURES[arch]
  const pattern = new RegExp(`^linux-(?:image|binary)-(${series.replaceAll('.', '\\.')}[.-].*-cloud-${debian})$`)
  const names = apt('apt-cache', arch, ['search', '--names-only', `^linux-(image|binary)-.*-cloud-${debian}$`]).split('\n').map(line => line.split(' ')[0])
  const releases = [...new Set(names.map(name => pattern.exec(name)?.[1]).filter(release => release !== undefined))].sort(byVersion)
  const release = releases.at(-1)
  if (release === undefined) throw new SetUpError(`Debian's archive has no kernel ${series} for ${debian} (${SUITES.join(', ')}).`)
  const folder = join(KEPT, `kernel-${release}`)
  if (!existsSync(folder)) {
    // Newer kernels lie in a package beside the image's, which only depends on it.
    const own = names.includes(`linux-binary-${release}`) ? [`linux-binary-${release}`, `linux-modules-${release}`] : [`linux-image-${release}`]
    say(`fetching ${own.join(', ')}…`)
    unpack(download(arch, own), folder)
  }
  const path = [`boot/vmlinuz-${release}`, `usr/lib/modules/${release}/vmlinuz`].map(file => join(folder, file)).find(file => existsSync(file))
  if (path === undefined) throw new SetUpError(`linux-image-${release} has no vmlinuz where it is looked for.`)
  return { release, path, modules: packModules(release, folder) }
}

/** There is no modprobe in a machine that the kernel could call: what it would get lies in /modules. */
function packModules(release, folder) {
  const archive = join(KEPT, `modules-${release}.cpio`)
  if (existsSync(archive)) return archive
  const laid = join(folder, 'laid-out')
  mkdirSync(join(laid, 'modules'), { recursive: true })
  const files = readdirSync(folder, { recursive: true })
  for (const name of MODULES) {
    const file = files.find(each => new RegExp(`/${name}\\.ko(?:\\.xz)?$`).test(each))
    if (file === undefined) continue // built in
    const { status, stderr } = spawnSync('sh', ['-c', `${file.endsWith('.xz') ? 'xz -dc' : 'cat'} "$0" > "$1"`, join(folder, file), join(laid, 'modules', `${name}.ko`)], { encoding: 'utf8' })
    if (status !== 0) throw new SetUpError(`${file}: ${stderr.trim()}`)
  }
  packFolder(laid, archive)
  return archive
}

/** The archive of a machine's programs: Node, what every machine has, and `packages` of Debian's with what they depend on. */
export async function fetchPrograms(arch = process.arch, packages = [], node = '20') {
  const wanted = [...BASE_PACKAGES, ...packages].sort()
  const key = createHash('sha256').update(JSON.stringify([wanted, node, INIT, LEFT_OUT.source])).digest('hex').slice(0, 16)
  const archive = join(KEPT, `programs-${arch}-${key}.cpio`)
  if (existsSync(archive)) return archive
  const binary = installNode(node, arch)
  refresh(arch)
  const plan = apt('apt-get', arch, ['install', '-s', '-qq', '--no-install-recommends', ...wanted])
  const names = [...plan.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name).filter(name => !LEFT_OUT.test(name))
  say(`fetching ${names.length} of Debian's packages for ${arch}…`)
  const root = `${archive}.${process.pid}.root`
  try {
    // Debian's are made for a root whose /bin is a link to /usr/bin.
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
      mkdirSync(join(root, 'usr', name), { recursive: true })
      spawnSync('ln', ['-s', `usr/${name}`, join(root, name)])
    }
    for (const name of ['proc', 'sys', 'dev', 'tmp', 'run', 'root', 'home', 'etc', 'var/tmp', 'usr/local/bin']) mkdirSync(join(root, name), { recursive: true })
    unpack(download(arch, names), root)
    for (const name of ['doc', 'man', 'info', 'locale', 'i18n', 'bug', 'lintian', 'bash-completion', 'zoneinfo']) rmSync(join(root, 'usr/share', name), { recursive: true, force: true })
    if (existsSync(join(root, 'usr/bin/mawk'))) spawnSync('ln', ['-sf', 'mawk', join(root, 'usr/bin/awk')])
    cpSync(binary, join(root, 'usr/local/bin/node'))
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\nuser:x:1000:1000:user:/home/user:/bin/bash\n')
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\ntty:x:5:\nnogroup:x:65534:\nuser:x:1000:\n')
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n')
    writeFileSync(join(root, 'init'), INIT, { mode: 0o755 })
    for (const name of ['tmp', 'var/tmp']) chmodSync(join(root, name), 0o1777)
    packFolder(root, `${archive}.${process.pid}`)
    renameSync(`${archive}.${process.pid}`, archive)
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
  return archive
}

/** Packs all that lies in `folder`, as root's, into the archive `out`. */
export function packFolder(folder, out) {
  const { status, stderr } = spawnSync('sh', ['-c', 'find . | cpio --quiet -o -H newc -R 0:0 > "$0"', out], { cwd: folder, encoding: 'utf8' })
  if (status !== 0) throw new SetUpError(`cpio: ${stderr.trim()}`)
}

/**
 * Boots a machine, which unpacks `archives` one over another, runs the shell script /start of them as its process 1's only child, and ends.
 *
 * @param kernel   as `fetchKernel` returns it
 * @param onLine   gets each line of its console while it runs
 * @param append   more words for the kernel's command line; `NO_MODULES=1` among them: as where no module can be loaded
 * @returns        the status of /start, or why there is none; `late` where it was ended for its time
 */
export async function boot({ arch = process.arch, kernel, archives, append = '', memoryMb = 2048, timeoutMs = 600_000, onLine = line => console.log(line) }) {
  const { qemu, machine, tcg, console: port } = ARCHITECTURES[arch]
  const initrd = join(KEPT, `initrd-${process.pid}`)
  mkdirSync(KEPT, { recursive: true })
  try {
    for (const [index, archive] of [kernel.modules, ...archives].entries()) await pipeline(createReadStream(archive), createWriteStream(initrd, { flags: index === 0 ? 'w' : 'a' }))
    const child = spawn(qemu, [
      ...machine, ...(whyNoKvm(arch) === undefined ? ['-accel', 'kvm', '-cpu', 'host'] : ['-accel', 'tcg,thread=multi', ...tcg]), '-smp', '2', '-m', String(memoryMb),
      '-kernel', kernel.path, '-initrd', initrd, '-append', `console=${port} quiet panic=-1 mitigations=off ${append}`,
      '-display', 'none', '-no-reboot', '-nodefaults', '-net', 'none', '-serial', 'stdio',
    ], { stdio: ['ignore', 'pipe', 'pipe'] })
    let status
    let complaint = ''
    child.stderr.setEncoding('utf8').on('data', text => { complaint += text })
    createInterface({ input: child.stdout }).on('line', raw => {
      const line = raw.replace(/\r$/, '')
      const end = /^machine ended with (\d+)$/.exec(line)
      if (end === null) onLine(line)
      else status = Number(end[1])
    })
    let late = false
    const timer = setTimeout(() => { late = true; child.kill('SIGKILL') }, timeoutMs)
    const stop = () => child.kill('SIGKILL')
    process.once('exit', stop)
    await new Promise((done, fail) => child.once('error', fail).once('close', done))
    process.off('exit', stop)
    clearTimeout(timer)
    const failure = status !== undefined ? undefined : late ? `the machine took longer than ${timeoutMs / 1000} s` : `the machine ended without a word${complaint === '' ? '' : `: ${complaint.trim()}`}`
    return { status, failure, late }
  } finally {
    rmSync(initrd, { force: true })
  }
}

/** Why a machine of `arch` is emulated here rather than run by the processor; undefined where it is run. */
export function whyNoKvm(arch = process.arch) {
  if (arch !== process.arch) return `this machine is no ${arch}`
  // A hypervisor may pass the device on where its own way of running guests cannot boot other kernels than its own.
  if (arch === 'x64' && !/^flags\s*:.*\b(?:vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'))) return 'the processor shows neither vmx nor svm'
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    return undefined
  } catch (error) {
    return `/dev/kvm: ${error.code}`
  }
}

/** One program of apt's, with a state of its own for `arch`, in which nothing is installed. */
function apt(program, arch, words, cwd = KEPT) {
  const folder = aptFolder(arch)
  refresh(arch)
  const { status, stdout, stderr } = spawnSync(program, [...aptOptions(folder, arch), ...words], { cwd, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status !== 0) throw new SetUpError(`${program} ${words.slice(0, 3).join(' ')}: ${stderr.trim().split('\n').at(-1)}`)
  return stdout
}

const aptFolder = arch => join(KEPT, `apt-${arch}`)
const aptOptions = (folder, arch) => [
  ['Dir::Etc', folder], ['Dir::Etc::sourcelist', `${folder}/sources.list`], ['Dir::Etc::sourceparts', '/dev/null'], ['Dir::State', folder], ['Dir::State::status', `${folder}/status`],
  ['Dir::Cache', `${folder}/cache`], ['Dir::Log', folder], ['APT::Architecture', ARCHITECTURES[arch].debian], ['APT::Architectures', ARCHITECTURES[arch].debian],
  ['APT::Sandbox::User', ''], ['Acquire::Languages', 'none'],
].flatMap(([name, value]) => ['-o', `${name}=${value}`])

/** Gets the archive's lists, where they are not there or of another day. */
function refresh(arch) {
  const folder = aptFolder(arch)
  const sources = join(folder, 'sources.list')
  if (existsSync(sources) && Date.now() - statSync(sources).mtimeMs < LISTS_KEPT_MS) return
  say(`fetching the lists of Debian's archive (${ARCHITECTURES[arch].debian})…`)
  for (const name of ['lists/partial', 'cache/archives/partial', 'preferences.d', 'apt.conf.d', 'trusted.gpg.d']) mkdirSync(join(folder, name), { recursive: true })
  writeFileSync(join(folder, 'status'), '')
  const unfinished = `${sources}.new`
  writeFileSync(unfinished, SUITES.map(suite => `deb [signed-by=${KEYRING}] http://deb.debian.org/${suite} main\n`).join(''))
  const { status, stderr } = spawnSync('apt-get', [...aptOptions(folder, arch), '-o', `Dir::Etc::sourcelist=${unfinished}`, '-o', 'APT::Update::Error-Mode=any', '-qq', 'update'], { encoding: 'utf8' })
  if (status !== 0) throw new SetUpError(`the lists of Debian's archive could not be fetched: ${stderr.trim().split('\n').at(-1)}`)
  renameSync(unfinished, sources)
}

/** The packages' files. */
function download(arch, names) {
  const folder = join(KEPT, `packages-${arch}`)
  mkdirSync(folder, { recursive: true })
  // Those that are there already are looked at by apt and kept.
  apt('apt-get', arch, ['download', '-qq', ...names], folder)
  return names.map(name => {
    const files = readdirSync(folder).filter(file => file.startsWith(`${name}_`)).sort(byVersion)
    return join(folder, files.at(-1))
  })
}

function unpack(packages, folder) {
  const unfinished = existsSync(folder) ? folder : `${folder}.${process.pid}`
  mkdirSync(unfinished, { recursive: true })
  for (const path of packages) {
    const { status, stderr } = spawnSync('sh', ['-c', 'dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink --no-same-owner -p -f - -C "$1"', path, unfinished], { encoding: 'utf8' })
    if (status !== 0) throw new SetUpError(`${path}: ${stderr.trim()}`)
  }
  if (unfinished !== folder) renameSync(unfinished, folder)
}

/** A package's, and theirs: npm lays each beside the others. */
function withDependencies(name, known) {
  if (known.has(name)) return known
  known.add(name)
  return dependenciesOf(join(ROOT, 'node_modules', name)).reduce((all, each) => withDependencies(each, all), known)
}

const dependenciesOf = folder => Object.keys(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).dependencies ?? {})

/** The built package, with what it depends on: what a script lays out to have it in a machine. */
export const PRODUCT = ['dist', 'package.json', ...[...dependenciesOf(ROOT).reduce((known, name) => withDependencies(name, known), new Set())].map(name => `node_modules/${name}`)]

/** As Debian's versions of kernels are ordered: number by number. */
const byVersion = (a, b) => a.localeCompare(b, 'en', { numeric: true })

/**
 * Lays TypeScript into such a folder as the JavaScript that it is, file by file, at `guest/` with the names that it has here: so it runs without
 * a bundler, and each file finds what lies beside it.
 *
 * @param folders  of this checkout; what in them is no TypeScript is laid there as it is
 * @param entries  files in them that will be run: the packages that they import are laid there too, but for `without`
 */
export async function layOutSources(folder, folders, entries, without = []) {
  const { build } = await import('esbuild')
  const options = { absWorkingDir: ROOT, outdir: join(folder, 'guest'), outbase: '.', format: 'esm', platform: 'node', target: 'node20.19', logLevel: 'error' }
  const files = folders.flatMap(name => readdirSync(join(ROOT, name), { recursive: true, withFileTypes: true }).filter(entry => entry.isFile()).map(entry => relative(ROOT, join(entry.parentPath, entry.name))))
  const isSource = file => file.endsWith('.ts') && !file.endsWith('.d.ts')
  await build({ ...options, entryPoints: files.filter(isSource) })
  const { metafile } = await build({ ...options, entryPoints: entries, bundle: true, packages: 'external', write: false, metafile: true })
  const imported = Object.values(metafile.outputs).flatMap(({ imports }) => imports).filter(({ external, path }) => external && !isBuiltin(path)).map(({ path }) => path.split('/').slice(0, path.startsWith('@') ? 2 : 1).join('/'))
  const packages = [...new Set(imported)].filter(name => !without.includes(name)).reduce((known, name) => withDependencies(name, known), new Set())
  layOut(folder, Object.fromEntries([...files.filter(file => !isSource(file)), ...[...packages].map(name => `node_modules/${name}`)].map(file => [`guest/${file}`, file])))
}

/** Lays files into a folder that will be packed: by their place in the machine, where each lies in this checkout. */
export function layOut(folder, files) {
  for (const [place, path] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, place)), { recursive: true })
    cpSync(join(ROOT, path), join(folder, place), { recursive: true, dereference: true })
  }
}
