// Control files of other agents, editors and hook runners in a workspace: what a program on the host runs by itself, without anybody
// asking for the project to be run. A command that writes one of them would run outside, later.

export interface AgentFile {
  /** Relative to a writable root. A folder stands for all in it. */
  readonly name: string
  /** Who reads it. */
  readonly reader: string
  /** What that reader does with it, outside of any sandbox of ours. */
  readonly does: string
}

/** `protectAgentFiles` keeps these read-only where they exist. Sources: each reader's own documentation. */
export const AGENT_FILES: readonly AgentFile[] = [
  { name: '.claude',                 reader: 'Claude Code',          does: 'settings.json names hooks and permissions; commands, agents and skills run tools' },
  { name: '.mcp.json',               reader: 'Claude Code and other MCP clients', does: 'names servers, which are programs that they start' },
  { name: '.cursor',                 reader: 'Cursor',               does: 'mcp.json, hooks.json and environment.json name programs; rules are obeyed' },
  { name: '.gemini',                 reader: 'Gemini CLI',           does: 'settings.json names servers, hooks and tools to start' },
  { name: '.windsurf',               reader: 'Windsurf',             does: 'hooks and workflows are run' },
  { name: '.continue',               reader: 'Continue',             does: 'names servers to start, and configuration that is code' },
  { name: '.clinerules',             reader: 'Cline',                does: 'holds hooks and workflows' },
  { name: '.roo',                    reader: 'Roo Code',             does: 'mcp.json names servers to start' },
  { name: '.kiro',                   reader: 'Kiro',                 does: 'hooks are run, servers are started' },
  { name: '.amazonq',                reader: 'Amazon Q',             does: 'names servers and hooks to start' },
  { name: '.opencode',               reader: 'opencode',             does: 'plugins are loaded as code' },
  { name: 'opencode.json',           reader: 'opencode',             does: 'names servers, plugins and formatters to start' },
  { name: '.aider.conf.yml',         reader: 'aider',                does: 'names commands for lint and test' },
  { name: '.vscode',                 reader: 'Visual Studio Code',   does: 'tasks.json runs when the folder is opened; settings.json names programs; mcp.json starts servers' },
  { name: '.idea',                   reader: 'JetBrains IDEs',       does: 'run configurations, file watchers and start-up tasks are run' },
  { name: '.zed',                    reader: 'Zed',                  does: 'settings.json names language servers, tasks.json commands' },
  { name: '.devcontainer',           reader: 'dev container tools',  does: 'initializeCommand runs on the host, and the container is made as it says' },
  { name: '.devcontainer.json',      reader: 'dev container tools',  does: 'the same' },
  { name: '.envrc',                  reader: 'direnv',               does: 'is run by the shell that enters the folder (direnv asks again after a change, users allow it again)' },
  { name: '.mise.toml',              reader: 'mise',                 does: 'sets variables and runs hooks in the shell that enters the folder' },
  { name: 'mise.toml',               reader: 'mise',                 does: 'the same' },
  { name: '.mise',                   reader: 'mise',                 does: 'the same, and tasks' },
  { name: '.husky',                  reader: 'git on the host',      does: 'core.hooksPath points there: each commit runs it' },
  { name: '.githooks',               reader: 'git on the host',      does: 'the usual folder for core.hooksPath' },
  { name: 'lefthook.yml',            reader: 'lefthook',             does: 'the hook that it has put in .git runs what this says' },
  { name: '.lefthook.yml',           reader: 'lefthook',             does: 'the same' },
  { name: 'lefthook-local.yml',      reader: 'lefthook',             does: 'the same' },
  { name: '.pre-commit-config.yaml', reader: 'pre-commit',           does: 'the hook that it has put in .git runs what this says' },
  { name: '.overcommit.yml',         reader: 'overcommit',           does: 'the hook that it has put in .git runs what this says' },
]

/**
 * What is left open although somebody outside reads it, so that nobody takes it for forgotten; `protect` closes each of them.
 * Instructions are text of the project, which agents are asked to write and people review; what they make an agent do goes through
 * that agent's own sandbox. What builds and tests run is the very work. CI runs what was pushed, by somebody who saw it.
 */
export const OPEN_AGENT_FILES: readonly AgentFile[] = [
  { name: 'AGENTS.md',                       reader: 'many agents',     does: 'instructions' },
  { name: 'CLAUDE.md',                       reader: 'Claude Code',     does: 'instructions' },
  { name: 'GEMINI.md',                       reader: 'Gemini CLI',      does: 'instructions' },
  { name: '.cursorrules',                    reader: 'Cursor',          does: 'instructions' },
  { name: '.windsurfrules',                  reader: 'Windsurf',        does: 'instructions' },
  { name: '.github/copilot-instructions.md', reader: 'GitHub Copilot',  does: 'instructions' },
  { name: '.github/workflows',               reader: 'GitHub Actions',  does: 'is run elsewhere, after a push' },
  { name: 'package.json',                    reader: 'npm',             does: 'scripts, when somebody runs or installs the project' },
  { name: 'Makefile',                        reader: 'make',            does: 'recipes, when somebody builds the project' },
]
