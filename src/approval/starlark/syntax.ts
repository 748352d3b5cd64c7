// The trees that the parser makes: one shape a construct, each with its place in the text.
import type { Span } from './source.js'

export type BinaryOperator = '+' | '-' | '*' | '//' | '%' | '|' | '&' | '^' | '<<' | '>>' | '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in'

export type Expression = Span & (
  | { readonly kind: 'constant'; readonly value: null | boolean | number | string }
  | { readonly kind: 'template'; readonly parts: readonly (string | { readonly value: Expression; readonly repr: boolean })[] }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'list-comprehension'; readonly item: Expression; readonly clauses: readonly Clause[] }
  | { readonly kind: 'dict-comprehension'; readonly key: Expression; readonly value: Expression; readonly clauses: readonly Clause[] }
  | { readonly kind: 'unary'; readonly operator: '+' | '-' | '~' | 'not'; readonly operand: Expression }
  | { readonly kind: 'binary'; readonly operator: BinaryOperator; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'logical'; readonly operator: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'conditional'; readonly test: Expression; readonly chosen: Expression; readonly otherwise: Expression }
  | { readonly kind: 'attribute'; readonly object: Expression; readonly name: string }
  | { readonly kind: 'index'; readonly object: Expression; readonly index: Expression }
  | { readonly kind: 'slice'; readonly object: Expression; readonly from: Expression | undefined; readonly to: Expression | undefined; readonly step: Expression | undefined }
  | { readonly kind: 'call'; readonly callee: Expression; readonly arguments: readonly Argument[] }
  | FunctionBody & { readonly kind: 'lambda' }
)

/** Of a comprehension; the first is always `for`. */
export type Clause =
  | { readonly kind: 'for'; readonly target: Target; readonly items: Expression }
  | { readonly kind: 'if'; readonly test: Expression }

export type Argument = Span & { readonly kind: 'positional' | 'spread' | 'spread-named'; readonly value: Expression } | Span & { readonly kind: 'named'; readonly name: string; readonly value: Expression }

export type Parameter = Span & { readonly kind: 'plain'; readonly name: string; readonly fallback: Expression | undefined } | Span & { readonly kind: 'rest' | 'named-rest'; readonly name: string } | Span & { readonly kind: 'named-only' }

/** `locals`: the names that the function binds; all others are looked up outside. */
export interface FunctionBody {
  readonly name: string
  readonly parameters: readonly Parameter[]
  readonly body: readonly Statement[]
  readonly locals: ReadonlySet<string>
}

export type Target = Span & (
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'index'; readonly object: Expression; readonly index: Expression }
  | { readonly kind: 'several'; readonly targets: readonly Target[] }
)

export type Statement = Span & (
  | { readonly kind: 'expression'; readonly value: Expression }
  | { readonly kind: 'assign'; readonly target: Target; readonly value: Expression }
  | { readonly kind: 'augment'; readonly target: Target; readonly operator: BinaryOperator; readonly value: Expression }
  | { readonly kind: 'if'; readonly branches: readonly { readonly test: Expression; readonly body: readonly Statement[] }[]; readonly otherwise: readonly Statement[] }
  | { readonly kind: 'for'; readonly target: Target; readonly items: Expression; readonly body: readonly Statement[] }
  | { readonly kind: 'def'; readonly function: FunctionBody }
  | { readonly kind: 'return'; readonly value: Expression | undefined }
  | { readonly kind: 'break' | 'continue' | 'pass' }
)
