# Ways to the network that do not lead through the sandbox's proxy. Usage: past-proxy.py ADDRESS ADDRESS6 PORT ABSTRACT PROXYPORT
# ABSTRACT as /proc/net/unix has it: NULs are @.
# Each sends its own name, so that whoever listens can say which one arrived. Prints a line a way: its name, and `sent` or why not.
import ctypes, os, socket, struct, subprocess, sys, threading, time

address, address6, port, abstract, proxy = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
libc = ctypes.CDLL(None, use_errno=True)
FASTOPEN = 0x20000000
ways = []


def way(name):
    return lambda function: ways.append((name, function))


def message(name):
    return f'{name}\n'.encode()


def tcp(name, target, family=socket.AF_INET, protocol=0, prepare=lambda s: None):
    s = socket.socket(family, socket.SOCK_STREAM, protocol)
    s.settimeout(2)
    prepare(s)
    s.connect(target)
    s.sendall(message(name))


def sockaddr(target):
    return struct.pack('=HH4s8x', socket.AF_INET, socket.htons(target[1]), socket.inet_aton(target[0]))


@way('connect')
def _(name): tcp(name, (address, port))
@way('connect to the loopback')
def _(name): tcp(name, ('127.0.0.1', port))
@way('connect to 127.0.0.2')
def _(name): tcp(name, ('127.0.0.2', port))
@way('connect to 0.0.0.0')
def _(name): tcp(name, ('0.0.0.0', port))
@way('connect by IPv6')
def _(name): tcp(name, (address6, port), socket.AF_INET6)
@way('connect to ::1')
def _(name): tcp(name, ('::1', port), socket.AF_INET6)
@way('connect by IPv4 in IPv6')
def _(name): tcp(name, (f'::ffff:{address}', port), socket.AF_INET6)
@way('connect to the proxy by its port on another address')
def _(name): tcp(name, (address, proxy))
@way('MPTCP')
def _(name): tcp(name, (address, port), protocol=262)
@way('SCTP')
def _(name): tcp(name, (address, port), protocol=132)
@way('a source route')
def _(name):
    # Loose: by way of the address that is meant, to the proxy, which may be connected to.
    route = bytes([1, 131, 7, 4]) + socket.inet_aton(address)
    tcp(name, ('127.0.0.1', proxy), prepare=lambda s: s.setsockopt(socket.IPPROTO_IP, 4, route))
@way('a device')
def _(name):
    device = next(each for _, each in socket.if_nameindex() if each != 'lo')
    tcp(name, ('127.0.0.1', proxy), prepare=lambda s: s.setsockopt(socket.SOL_SOCKET, 25, device.encode()))
@way('sendto')
def _(name): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(message(name), (address, port))
@way('sendto by IPv6')
def _(name): socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(message(name), (address6, port))
@way('sendto the loopback')
def _(name): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(message(name), ('127.0.0.1', port))
@way('sendmsg')
def _(name): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([message(name)], [], 0, (address, port))
@way('connected datagrams')
def _(name):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.connect((address, port))
    s.send(message(name))
@way('sendmmsg')
def _(name):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    text, target = ctypes.create_string_buffer(message(name)), ctypes.create_string_buffer(sockaddr((address, port)), 16)
    io = ctypes.create_string_buffer(struct.pack('=QQ', ctypes.addressof(text), len(message(name))))
    header = ctypes.create_string_buffer(struct.pack('=QI4xQQQQi4xI4x', ctypes.addressof(target), 16, ctypes.addressof(io), 1, 0, 0, 0, 0))
    if libc.sendmmsg(s.fileno(), header, 1, 0) != 1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
@way('fast open by sendto')
def _(name): socket.socket().sendto(message(name), FASTOPEN, (address, port))
@way('fast open by sendmsg')
def _(name): socket.socket().sendmsg([message(name)], [], FASTOPEN, (address, port))
@way('fast open by connect')
def _(name): tcp(name, (address, port), prepare=lambda s: s.setsockopt(socket.IPPROTO_TCP, 30, 1))
@way('a raw socket')
def _(name): socket.socket(socket.AF_INET, socket.SOCK_RAW, 253).sendto(message(name), (address, 0))
@way('a packet socket')
def _(name): socket.socket(17, socket.SOCK_RAW, socket.htons(3)).send(message(name))
@way('netlink other than route')
def _(name): socket.socket(16, socket.SOCK_RAW, 16).send(message(name))
@way('vsock')
def _(name): tcp(name, (2, port), 40)
@way('an abstract socket')
def _(name): tcp(name, abstract.replace('@', '\0'), socket.AF_UNIX)
@way('/dev/tcp')
def _(name): subprocess.run(['bash', '-c', f'echo "$0" > /dev/tcp/{address}/{port}', name], check=True, stderr=subprocess.DEVNULL)
@way('nc')
def _(name): subprocess.run(['nc', '-w', '2', '-N', address, str(port)], input=message(name), check=True, stderr=subprocess.DEVNULL)
@way('a name that is looked up')
def _(name): socket.getaddrinfo('past-proxy.example.org', 80)
@way('addresses that change while they are read')
def _(name):
    # One thread connects to what another one writes: the proxy, the target, and so on.
    targets, buffer, over = [sockaddr(('127.0.0.1', proxy)), sockaddr((address, port))], ctypes.create_string_buffer(16), threading.Event()
    def flip():
        while not over.is_set():
            for target in targets:
                ctypes.memmove(buffer, target, 16)
    threading.Thread(target=flip, daemon=True).start()
    until, connected = time.time() + 1.5, 0
    while time.time() < until:
        s = socket.socket()
        if libc.connect(s.fileno(), buffer, 16) == 0:
            connected += 1
            try:
                s.sendall(message(name))
            except OSError:
                pass
        s.close()
    over.set()
    if connected == 0:
        raise OSError(0, 'never connected')


for name, function in ways:
    try:
        function(name)
        print(f'{name}: sent')
    except FileNotFoundError as error:
        print(f'{name}: not installed')
    except (OSError, subprocess.SubprocessError, StopIteration) as error:
        print(f'{name}: {os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__}')
    sys.stdout.flush()
