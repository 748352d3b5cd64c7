// Everything that must succeed inside a workspace-write sandbox with the library's defaults and the network off.
import { COMPILERS } from './compilers.js'
import { GIT } from './git.js'
import { NODE } from './node.js'
import { PYTHON } from './python.js'
import { SHELL } from './shell.js'
import type { Workload } from './workload.js'

export const WORKLOADS: readonly Workload[] = [...GIT, ...NODE, ...PYTHON, ...COMPILERS, ...SHELL]
