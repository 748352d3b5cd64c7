// What a project's file may do with a key: only what lets less happen than without it. Pure.
import { approvalSetting, isNarrowerApproval } from '../approval/approval-setting.js'

/** A root of a policy: one of `writable_roots` by its text, the workspace, or a temporary folder. The same folder may have several of them. */
export type RootName = `listed ${string}` | 'workspace' | '/tmp' | '$TMPDIR'

/** What holds without the project's file, and what it says. Both are of the key's type; `below` is the built-in value where no layer says one. */
export interface Narrowing {
  readonly below: unknown
  readonly said: unknown
  /** Whether a root would still lie in a writable one if it were none itself: its `.git` would open then. */
  readonly liesInOtherRoot: (root: RootName, without: (root: RootName) => boolean) => boolean
}

/** `keeps`: the value from then on. `refused`: why some or all of it is ignored. */
export interface Narrowed {
  readonly keeps: unknown
  readonly refused?: string
}

const WIDER = 'a project may only narrow'
const refuse = ({ below }: Narrowing, because: string = WIDER): Narrowed => ({ keeps: below, refused: because })

const inOrder = (...order: readonly string[]) => (given: Narrowing): Narrowed =>
  order.indexOf(given.said as string) <= order.indexOf(given.below as string) ? { keeps: given.said } : refuse(given)

const onlyIf = (value: boolean) => (given: Narrowing): Narrowed => given.said === value || given.said === given.below ? { keeps: given.said } : refuse(given)

const list = (value: unknown): readonly string[] => (value ?? []) as readonly string[]
const unique = (values: readonly string[]): string[] => [...new Set(values)]

/** One of the temporary folders is no root of its own any more. */
const withoutTemporary = (folder: '/tmp' | '$TMPDIR') => (given: Narrowing): Narrowed => {
  if (given.said !== true) return given.said === given.below ? { keeps: given.said } : refuse(given)
  return given.below !== true && given.liesInOtherRoot(folder, root => root === folder)
    ? refuse(given, `${folder} lies in another writable folder: without a root of its own, its .git would be writable`)
    : { keeps: true }
}

const TABLE = {
  never: given => refuse(given, 'only the user may say it'),
  'only-false': onlyIf(false),
  'lower-sandbox-mode': inOrder('read-only', 'workspace-write', 'danger-full-access'),
  'lower-mode': inOrder('limited', 'full'),
  'lower-inherit': inOrder('none', 'core', 'all'),
  smaller: given => (given.said as number) <= (given.below as number) ? { keeps: given.said } : refuse(given),
  'narrower-approval': given => {
    const [said, below] = [approvalSetting(given.said), approvalSetting(given.below)]
    return said !== undefined && below !== undefined && isNarrowerApproval(said, below) ? { keeps: given.said } : refuse(given)
  },
  /** Adds to what is taken away. */
  more: given => ({ keeps: unique([...list(given.below), ...list(given.said)]) }),
  /** Takes away from what is given: only what is there by the same words, since a pattern or path that is new may mean more. */
  fewer: given => {
    if (given.below === undefined) return refuse(given)
    const added = list(given.said).filter(each => !list(given.below).includes(each))
    const keeps = unique(list(given.said).filter(each => list(given.below).includes(each)))
    return added.length === 0 ? { keeps } : { keeps, refused: `${WIDER}: ${JSON.stringify(added[0])} is not in the list below it` }
  },
  /** The last word on what may be left: an empty list below bounds nothing, and an empty one here would. */
  bound: given => {
    const [below, said] = [list(given.below), list(given.said)]
    if (below.length === 0) return { keeps: said }
    const keeps = said.filter(each => below.includes(each))
    return keeps.length === said.length && keeps.length > 0 ? { keeps } : refuse(given)
  },
  /**
   * A root that is left out stays where it lies in another one: as a root, its `.git` and `.codex` are protected, and deeper down in
   * another they are not.
   */
  'fewer-roots': given => {
    const [below, said] = [list(given.below), list(given.said)]
    const added = said.find(root => !below.includes(root))
    const dropped = (root: string): boolean => below.includes(root) && !said.includes(root)
    const goes = new Set<RootName>(below.filter(dropped).map(root => `listed ${root}` as const))
    const kept = below.filter(root => dropped(root) && given.liesInOtherRoot(`listed ${root}`, name => goes.has(name)))
    const keeps = below.filter(root => said.includes(root) || kept.includes(root))
    if (added !== undefined) return { keeps, refused: `${WIDER}: ${JSON.stringify(added)} is not in the list below it` }
    return kept.length === 0 ? { keeps } : { keeps, refused: `${JSON.stringify(kept[0])} lies in another writable folder: without being a root of its own, its .git would be writable` }
  },
  'without-tmpdir': withoutTemporary('$TMPDIR'),
  'without-slash-tmp': withoutTemporary('/tmp'),
} as const satisfies Record<string, (given: Narrowing) => Narrowed>

export type NarrowingName = keyof typeof TABLE
export const NARROWINGS: Readonly<Record<NarrowingName, (given: Narrowing) => Narrowed>> = TABLE
