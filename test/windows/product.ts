// What of the package the tests under Wine use: bundled for a Node that knows no TypeScript.
export { commandEnvironment, environmentPlan } from '../../src/platform/windows/environment.js'
export { windowsCommand } from '../../src/platform/windows/command-line.js'
export { refuseUnproven, tokenPlan } from '../../src/platform/windows/token.js'
export { machineFacts, readMachine, windowsFiles } from '../../src/host/windows.js'
export { parseDescriptor } from '../../src/platform/windows/sddl.js'
