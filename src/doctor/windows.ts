// What `doctor` says of a Windows machine beside its layers: whether it is set up, whether its accounts log on, what everybody may write, and
// what no set-up closes.
import type { WindowsSetup } from '../exec/windows-setup.js'
import type { Finding } from './doctor.js'

const SETUP = 'codex-sandbox windows setup --mode elevated --root DIR'
const MOST_SHOWN = 3

/** Changes nothing. The scan takes up to ten seconds. */
export async function windowsFindings(setup: WindowsSetup): Promise<Finding[]> {
  return [...await setUpFindings(setup), ...await logonFindings(setup), ...await worldWritableFindings(setup), OPEN]
}

async function setUpFindings(setup: WindowsSetup): Promise<Finding[]> {
  const { status, reason, modes, roots, holder, lastError } = await setup.status()
  const state: Finding = status === 'ready'
    ? { name: 'set-up', ok: true, detail: `${modes.join(' and ')}, for ${listed(roots, 'no root')}` }
    : { name: 'set-up', ok: false, detail: reason ?? 'nothing was set up yet', remedy: `Run \`${SETUP}\`.` }
  return [
    state,
    ...(holder === undefined ? [] : [{ name: 'set-up now', ok: true, detail: `process ${holder.pid} has been at its ${holder.what} since ${holder.since}` }]),
    ...(lastError === undefined ? [] : [{ name: 'last set-up', ok: false, detail: `failed at ${lastError.step} (${lastError.at}): ${lastError.message}`, remedy: `Run \`${SETUP}\` again; what it had made was undone.` }]),
  ]
}

const logonFindings = async (setup: WindowsSetup): Promise<Finding[]> =>
  (await setup.logons()).map(check => ({ name: `logon ${check.account}`, ok: check.ok, ...(check.ok ? { detail: 'works' } : { detail: check.reason, remedy: check.remedy }) }))

async function worldWritableFindings(setup: WindowsSetup): Promise<Finding[]> {
  const looked = await setup.worldWritable()
  if (looked === undefined) return []
  const { open, scan } = looked
  const missed = [
    ...(scan.unseen.length === 0 ? [] : [`${listed(scan.unseen, '')} could not be looked at`]),
    ...(scan.stopped === undefined ? [] : [`the scan ended by its ${scan.stopped === 'time' ? 'time' : 'number'} before ${listed(scan.left, '')}`]),
  ]
  const detail = [open.length === 0 ? `none open among ${scan.looked} folders` : `everybody may write ${listed(open, '')}, and so may every sandbox`, ...missed].join('; ')
  return [{ name: 'world-writable', ok: open.length === 0 && scan.stopped === undefined, detail, ...(open.length === 0 ? {} : { remedy: `Take Everyone out of their access lists, or run \`${SETUP}\`: it closes them to sandboxes.` }) }]
}

/** No finding can be missing here: it is what there is to know. */
const OPEN: Finding = {
  name: 'stays open', ok: true,
  detail: 'services that start programs for a user (WMI, the Task Scheduler, COM surrogates): what they start for a command is not confined',
}

const listed = (paths: readonly string[], none: string): string =>
  paths.length === 0 ? none : `${paths.slice(0, MOST_SHOWN).join(', ')}${paths.length > MOST_SHOWN ? ` and ${paths.length - MOST_SHOWN} more` : ''}`
