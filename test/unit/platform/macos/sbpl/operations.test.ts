import { expect, test } from 'vitest'
import { decidingOperations, OPERATION_ALIASES, OPERATIONS, operationNamed } from '../../../../../src/platform/macos/sbpl/operations.js'

test('each operation has one row, and either a parent in the table or an outcome of its own', () => {
  const names = OPERATIONS.map(({ operation }) => operation)
  expect(new Set(names).size).toBe(names.length)
  for (const row of OPERATIONS) expect(('parent' in row && names.includes(row.parent)) !== ('byDefault' in row), row.operation).toBe(true)
})

test('aliases are other names, for operations that exist', () => {
  for (const [alias, operation] of Object.entries(OPERATION_ALIASES)) {
    expect(OPERATIONS.map(row => row.operation as string)).not.toContain(alias)
    expect(operationNamed(alias)).toBe(operation)
    expect(operationNamed(operation)).toBe(operation)
  }
})

test.each([
  { operation: 'file-read-data',         operations: ['file-read-data', 'file-read*', 'file*', 'default'],              byDefault: 'deny' },
  { operation: 'file-write-unlink',      operations: ['file-write-unlink', 'file-write*', 'file*', 'default'],          byDefault: 'deny' },
  { operation: 'file-unlink',            operations: ['file-write-unlink', 'file-write*', 'file*', 'default'],          byDefault: 'deny' },
  { operation: 'file-ioctl',             operations: ['file-ioctl', 'file*', 'default'],                                byDefault: 'deny' },
  { operation: 'network-bind',           operations: ['network-bind', 'network-inbound', 'network*', 'default'],        byDefault: 'deny' },
  { operation: 'mach-lookup',            operations: ['mach-lookup', 'mach*', 'default'],                               byDefault: 'deny' },
  { operation: 'process-exec',           operations: ['process-exec*', 'process*', 'default'],                          byDefault: 'deny' },
  { operation: 'default',                operations: ['default'],                                                       byDefault: 'deny' },
  { operation: 'file-link',              operations: ['file-link'],                                                     byDefault: 'allow' },
  { operation: 'process-info-pidinfo',   operations: ['process-info-pidinfo', 'process-info*'],                         byDefault: 'allow' },
  { operation: 'job-creation',           operations: ['job-creation'],                                                  byDefault: 'deny' },
])('$operation is decided by $operations', ({ operation, operations, byDefault }) => {
  expect(decidingOperations(operation)).toEqual({ operations, byDefault })
})

test('what (deny default) leaves open', () => {
  expect(OPERATIONS.filter(row => 'byDefault' in row && row.byDefault === 'allow').map(({ operation }) => operation)).toEqual([
    'darwin-notification-post', 'dynamic-code-generation', 'file-clone', 'file-link', 'file-lock', 'file-map-executable', 'file-test-existence',
    'fs-quota*', 'fs-snapshot-mount', 'iokit-get-properties', 'iokit-open-service', 'mach-bootstrap', 'mach-cross-domain-lookup', 'mach-derive-port',
    'mach-kernel-endpoint', 'mach-task-special-port*', 'necp-client-open', 'nvram*', 'process-codesigning', 'process-exec-update-label',
    'process-info*', 'process-info-codesignature', 'socket-ioctl', 'socket-option-get', 'socket-option-set', 'syscall-mach', 'syscall-mig',
    'syscall-unix', 'system-fcntl', 'system-mac-syscall', 'system-memorystatus-control', 'system-necp-client-action', 'system-privilege',
  ])
})

test.each(['file-frobnicate', 'File-read*', '', 'constructor', '__proto__'])('refused: the operation %j', operation => {
  expect(operationNamed(operation)).toBeUndefined()
  expect(() => decidingOperations(operation)).toThrow(expect.objectContaining({ code: 'profile_invalid' }))
})
