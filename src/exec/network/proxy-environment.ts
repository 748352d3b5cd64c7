// The variables by which programs find the sandbox's proxy. Pure. The address is filled in when a command starts: only then is the
// port known, and who the command is.

/** Stand for `USER:PASSWORD@127.0.0.1:PORT` of the HTTP and the SOCKS listener, and for the parts that Java wants apart. */
const HTTP_PLACE = '{codex-sandbox-http}'
const SOCKS_PLACE = '{codex-sandbox-socks}'
const PORT_PLACE = '{codex-sandbox-port}'

const HTTP = `http://${HTTP_PLACE}`
/** Names are resolved by the proxy: nothing resolves them inside. */
const SOCKS = `socks5h://${SOCKS_PLACE}`
/** The loopback is the sandbox's own. What is private is not left out: to be reached it needs a rule, and the proxy. */
const DIRECT = 'localhost,127.0.0.1,::1'

/** One row a group of programs. Names are spelled as each of them reads them. */
const VARIABLES: readonly { readonly names: readonly string[]; readonly value: string; readonly for: string }[] = [
  { names: ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy'], value: HTTP, for: 'curl, wget, git, Go, Python, cargo, gem and most others' },
  // Not SOCKS: httpx (and every SDK on it) fails where that names a protocol for which a package is missing.
  { names: ['ALL_PROXY', 'all_proxy'], value: HTTP, for: 'what has a protocol of its own' },
  { names: ['NO_PROXY', 'no_proxy', 'npm_config_noproxy'], value: DIRECT, for: 'own servers on the loopback' },
  { names: ['WS_PROXY', 'ws_proxy', 'WSS_PROXY', 'wss_proxy'], value: HTTP, for: 'WebSocket clients' },
  { names: ['npm_config_proxy', 'npm_config_https_proxy'], value: HTTP, for: 'npm and pnpm, over a .npmrc' },
  { names: ['YARN_HTTP_PROXY', 'YARN_HTTPS_PROXY'], value: HTTP, for: 'yarn' },
  { names: ['PIP_PROXY'], value: HTTP, for: 'pip, over a pip.conf' },
  { names: ['BUNDLE_HTTP_PROXY', 'BUNDLE_HTTPS_PROXY'], value: HTTP, for: 'bundler' },
  { names: ['DOCKER_HTTP_PROXY', 'DOCKER_HTTPS_PROXY'], value: HTTP, for: 'docker' },
  { names: ['NODE_USE_ENV_PROXY'], value: '1', for: 'node from 22.21 and 24.5 on: fetch and http' },
  { names: ['ELECTRON_GET_USE_PROXY'], value: 'true', for: '@electron/get' },
  { names: ['CODEX_NETWORK_PROXY_ACTIVE'], value: '1', for: 'programs that want to know, as the reference has it' },
  { names: ['CODEX_SANDBOX_SOCKS_PROXY'], value: SOCKS, for: 'the launcher\'s connect helper, and who wants SOCKS' },
]

/** What a JVM says of it on stderr is why it has to be asked for. */
const JAVA = [
  '-Dhttp.proxyHost=127.0.0.1', `-Dhttp.proxyPort=${PORT_PLACE}`, '-Dhttps.proxyHost=127.0.0.1', `-Dhttps.proxyPort=${PORT_PLACE}`, '-Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1]',
].join(' ')

export interface ProxyVariableOptions {
  /** Also `JAVA_TOOL_OPTIONS`. */
  readonly java: boolean
  /** The program whose `--connect` leads ssh through the proxy. Undefined: there is none here. */
  readonly connectHelper: string | undefined
}

export interface ProxyVariables {
  /** In place of the host's own: those lead nowhere from inside. */
  readonly replacing: Readonly<Record<string, string>>
  /** Only where nothing else sets them. */
  readonly otherwise: Readonly<Record<string, string>>
}

export const NO_PROXY_VARIABLES: ProxyVariables = { replacing: {}, otherwise: {} }

export function proxyVariables({ java, connectHelper }: ProxyVariableOptions): ProxyVariables {
  // A word that a shell, ssh's own percent signs and git's quoting all leave as it is.
  const helper = connectHelper !== undefined && /^[\w/.@+-]+$/.test(connectHelper) ? `${connectHelper} --connect` : undefined
  return {
    replacing: {
      ...Object.fromEntries(VARIABLES.flatMap(({ names, value }) => names.map(name => [name, value]))),
      ...(helper === undefined ? {} : { CODEX_SANDBOX_CONNECT: helper }),
      ...(java ? { JAVA_TOOL_OPTIONS: JAVA } : {}),
    },
    otherwise: helper === undefined ? {} : { GIT_SSH_COMMAND: `ssh -o 'ProxyCommand=${helper} %h %p'` },
  }
}

/** Where the proxy listens, and what a client says for itself. */
export interface ProxyEndpoint {
  readonly httpPort: number
  readonly socksPort: number
  /** Names the command, so that a denial is told of the right one. */
  readonly user: string
  readonly password: string
}

/** The environment of one command, with the places filled in. The same array where there are none. */
export function fillProxyPlaces(env: readonly string[], { httpPort, socksPort, user, password }: ProxyEndpoint): readonly string[] {
  if (!env.some(variable => variable.includes('{codex-sandbox-'))) return env
  const at = (port: number): string => `${user}:${password}@127.0.0.1:${port}`
  return env.map(variable => variable.replaceAll(HTTP_PLACE, at(httpPort)).replaceAll(SOCKS_PLACE, at(socksPort)).replaceAll(PORT_PLACE, String(httpPort)))
}
