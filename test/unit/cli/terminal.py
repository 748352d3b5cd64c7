# Runs a program in a terminal of its own and plays a user at it. Used by cli.e2e.test.ts.
# Arguments: steps as JSON, then the program. Prints JSON: what was seen, how the program ended, the terminal's modes when asked.
#   ["expect", text]  waits until the text appears        ["send", text]       types
#   ["size", [r, c]]  resizes                             ["signal", name]     to the program itself
#   ["modes", name]   notes the terminal's modes          ["wait", seconds]
import fcntl, json, os, pty, select, signal, struct, sys, termios, time

DEADLINE = 15
steps, program = json.loads(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(program[0], program)

seen, pending, modes, failure = b'', b'', {}, None


def resize(rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))


def read(seconds):
    global seen, pending
    if not select.select([terminal], [], [], seconds)[0]:
        return True
    try:
        data = os.read(terminal, 65536)
    except OSError:
        return False
    seen += data
    pending += data
    return data != b''


def current_modes():
    _, output, _, local = termios.tcgetattr(terminal)[:4]
    return {'echo': bool(local & termios.ECHO), 'lines': bool(local & termios.ICANON), 'signals': bool(local & termios.ISIG), 'output': bool(output & termios.OPOST)}


resize(30, 100)
for kind, value in steps:
    end = time.time() + (value if kind == 'wait' else DEADLINE)
    if kind == 'expect':
        wanted = value.encode()
        while wanted not in pending and time.time() < end and read(0.05):
            pass
        if wanted not in pending:
            failure = f'not seen: {value!r}'
            break
        pending = pending[pending.index(wanted) + len(wanted):]
    elif kind == 'send':
        os.write(terminal, value.encode())
    elif kind == 'size':
        resize(*value)
    elif kind == 'signal':
        os.kill(pid, getattr(signal, value))
    elif kind == 'modes':
        modes[value] = current_modes()
    elif kind == 'wait':
        while time.time() < end and read(0.05):
            pass

end = time.time() + DEADLINE
status = None
while failure is None and time.time() < end:
    read(0.05)
    done, code = os.waitpid(pid, os.WNOHANG)
    if done:
        status = os.waitstatus_to_exitcode(code)
        break
if status is None:
    os.kill(pid, signal.SIGKILL)
try:
    modes['end'] = current_modes()
except termios.error:
    pass
print(json.dumps({'seen': seen.decode('utf8', 'replace'), 'status': status, 'modes': modes, 'failure': failure}))
