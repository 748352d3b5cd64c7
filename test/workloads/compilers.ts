// Compilers, build tools, debuggers and the runtimes of other languages.
import { expect } from 'vitest'
import { lines, type Place, withoutLoopback, type Workload } from './workload.js'

const HELLO = '#include <stdio.h>\nint main(void) { puts("ok"); return 0; }\n'
const c = (text: string) => (place: Place): void => place.write('a.c', text)

/** Whether a cargo of rustup's can work without asking the network for its toolchain. */
const hasToolchain = (place: Place): string | undefined => {
  try {
    place.host('cargo', '--version')
    return undefined
  } catch {
    return 'cargo has no toolchain here'
  }
}

export const COMPILERS: readonly Workload[] = [
  { name: 'gcc compiles, links and runs', needs: ['gcc'], given: c(HELLO), run: 'gcc -O2 -pipe -o a a.c; ./a', prints: 'ok\n', seen: place => expect(place.host(place.path('a'))).toBe('ok\n') },
  { name: 'gcc with temporary files, a static library and a shared one', needs: ['gcc', 'ar'],
    given: place => {
      place.write('part.c', 'const char *word(void) { return "ok"; }\n')
      place.write('a.c', '#include <stdio.h>\nconst char *word(void);\nint main(void) { puts(word()); }\n')
    },
    run: 'gcc -c -fPIC part.c; ar rcs libpart.a part.o; gcc a.c -L. -lpart -o static; gcc -shared part.o -o libshared.so; gcc a.c ./libshared.so -o shared; ./static; ./shared', prints: 'ok\nok\n' },
  { name: 'g++ with threads, exceptions and the filesystem library', needs: ['g++'],
    given: place => place.write('a.cc', '#include <thread>\n#include <filesystem>\n#include <iostream>\nint main() { std::string s; std::thread t([&] { try { throw 1; } catch (int) { s = "ok"; } }); t.join(); std::filesystem::create_directories("x/y"); std::cout << s << std::endl; }\n'),
    run: 'g++ -std=c++17 -pthread -o a a.cc; ./a', prints: 'ok\n', seen: place => expect(place.exists('x/y')).toBe(true) },
  { name: 'gcc -fsanitize=address,undefined finds an overflow and a leak', needs: ['gcc'],
    unless: place => {
      try {
        place.write('probe.c', HELLO)
        place.host('gcc', '-fsanitize=address,undefined', '-o', place.path('probe'), place.path('probe.c'))
        return undefined
      } catch {
        return 'gcc has no sanitizers here'
      }
    },
    given: c('#include <stdlib.h>\nint main(int n, char **v) { if (n > 1) { char *p = malloc(4); return p[n + 3]; } return malloc(8) == 0; }\n'),
    run: 'gcc -g -fsanitize=address,undefined -o a a.c; ./a 2>leak || grep -c "LeakSanitizer: detected memory leaks" leak; ./a x 2>overflow || grep -c heap-buffer-overflow overflow', prints: /^1\n[1-9]\n$/ },
  { name: 'make -j4', needs: ['make', 'gcc'],
    given: place => {
      for (let i = 0; i < 8; i++) place.write(`f${i}.c`, `int f${i}(void) { return ${i}; }\n`)
      place.write('Makefile', 'all: $(patsubst %.c,%.o,$(wildcard f*.c))\n%.o: %.c\n\t@$(CC) -c $<\n')
    },
    run: ['make', '-s', '-j4'], seen: place => expect(Array.from({ length: 8 }, (_, i) => place.exists(`f${i}.o`))).not.toContain(false) },
  { name: 'make with a jobserver that a recursive make shares', needs: ['make'],
    given: place => {
      place.write('Makefile', 'all: a b c\na b c:\n\t@+$(MAKE) -s -C sub NAME=$@\n')
      place.write('sub/Makefile', 'all: $(NAME)1 $(NAME)2\n%:\n\t@sleep 0.05; echo $@ > $@\n')
    },
    run: ['make', '-s', '-j3'], seen: place => expect(['a1', 'a2', 'b1', 'b2', 'c1', 'c2'].filter(name => !place.exists(`sub/${name}`))).toEqual([]) },
  { name: 'cmake configures, builds and tests', needs: ['cmake', 'gcc', 'make'],
    given: place => {
      place.write('a.c', HELLO)
      place.write('CMakeLists.txt', 'cmake_minimum_required(VERSION 3.10)\nproject(a C)\nadd_executable(a a.c)\nenable_testing()\nadd_test(NAME runs COMMAND a)\n')
    },
    run: 'cmake -S . -B build -G "Unix Makefiles" >log 2>&1; cmake --build build -j2 >>log 2>&1; cd build; ctest >log 2>&1; ./a', prints: 'ok\n' },
  { name: 'gdb on its own child: breakpoint, backtrace, continue', tolerates: /^create \/usr\/share\/gdb\/.*__pycache__$/, needs: ['gdb', 'gcc'],
    given: c('int answer(void) { return 42; }\nint main(void) { return answer() - 42; }\n'),
    run: `gcc -g -O0 -o a a.c; gdb -nx -batch -ex 'break answer' -ex run -ex bt -ex continue ./a 2>gdb.log | grep -E '^#0 +answer|exited normally' | wc -l`, prints: '2\n' },
  { name: 'gdb attaches to a sibling', tolerates: /^create \/usr\/share\/gdb\/.*__pycache__$/, needs: ['gdb'],
    run: `sleep 100 & gdb -nx -batch -p $! -ex 'info inferiors' 2>gdb.log | grep -c "process $!"; kill $!`, prints: /^[1-9]\n$/,
    unless: place => place.host('sh', '-c', 'cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0').trim() === '0' ? undefined : 'this kernel lets no sibling be traced (ptrace_scope)' },
  { name: 'strace -f of its own child', needs: ['strace'], run: `strace -f -o log sh -c '/bin/true; exec /bin/true'; grep -c execve log`, prints: /^[3-9]\n$/ },
  { name: 'valgrind', needs: ['valgrind', 'gcc'], given: c(HELLO), run: 'gcc -g -o a a.c; valgrind -q ./a', prints: 'ok\n' },
  { name: 'cargo build and run of a crate without dependencies', tolerates: /^(?:create|write) .*\/\.cargo\/\.(?:package-cache|global-cache|package-cache-mutate)$/, needs: ['cargo', 'cc'], unless: hasToolchain,
    given: place => {
      place.write('Cargo.toml', '[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n')
      place.write('src/main.rs', 'use std::{thread, net::TcpListener}; fn main() { let l = TcpListener::bind("127.0.0.1:0").unwrap(); thread::spawn(move || drop(l)).join().unwrap(); println!("ok"); }\n#[test] fn works() {}\n')
    },
    run: 'cargo build --offline --quiet; ./target/debug/tiny; cargo test --offline --quiet 2>&1 | grep -c "1 passed"', prints: 'ok\n1\n',
    ...withoutLoopback({ exits: 101, complains: /PermissionDenied/ }) },
  { name: 'rustc', needs: ['rustc', 'cc'], unless: hasToolchain, given: place => place.write('a.rs', 'fn main() { println!("ok"); }\n'), run: 'rustc a.rs; ./a', prints: 'ok\n' },
  { name: 'go build, with a server and goroutines', needs: ['go'],
    given: place => {
      place.write('go.mod', 'module tiny\n\ngo 1.18\n')
      place.write('main.go', 'package main\nimport ("fmt"; "net"; "os/exec")\nfunc main() { l, e := net.Listen("tcp", "127.0.0.1:0"); if e != nil { panic(e) }; c := make(chan string); go func() { s, _ := l.Accept(); s.Write([]byte("ok")); s.Close() }(); go func() { s, _ := net.Dial("tcp", l.Addr().String()); b := make([]byte, 9); n, _ := s.Read(b); c <- string(b[:n]) }(); fmt.Println(<-c); exec.Command("true").Run() }\n')
    },
    env: { GOCACHE: '/tmp/go-cache', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' }, run: 'go vet .; go build; ./tiny', prints: 'ok\n',
    ...withoutLoopback({ exits: 2, complains: /bind: permission denied/ }) },
  { name: 'javac and java: threads, NIO selector, server and file channel, child process', needs: ['javac', 'java'],
    given: place => place.write('Main.java', lines`
      import java.net.*; import java.nio.*; import java.nio.channels.*; import java.nio.file.*; import java.util.concurrent.*;
      public class Main {
        public static void main(String[] words) throws Exception {
          Selector selector = Selector.open();
          ServerSocketChannel server = ServerSocketChannel.open().bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
          server.configureBlocking(false); server.register(selector, SelectionKey.OP_ACCEPT);
          ExecutorService pool = Executors.newFixedThreadPool(4);
          Future<String> text = pool.submit(() -> { try (SocketChannel s = SocketChannel.open(server.getLocalAddress())) { ByteBuffer b = ByteBuffer.allocate(9); s.read(b); return new String(b.array(), 0, b.position()); } });
          selector.select();
          try (SocketChannel s = server.accept()) { s.write(ByteBuffer.wrap("ok".getBytes())); }
          Path file = Files.createTempFile("java", null);
          try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.READ)) { channel.map(FileChannel.MapMode.READ_WRITE, 0, 4096).put(0, (byte) 1); }
          WatchService watch = FileSystems.getDefault().newWatchService(); Path.of(".").register(watch, StandardWatchEventKinds.ENTRY_CREATE); Files.createFile(Path.of("created")); watch.take();
          if (new ProcessBuilder("true").start().waitFor() != 0) throw new Error();
          pool.shutdown(); System.out.println(text.get());
        }
      }
    `),
    run: 'javac Main.java; java -Xmx64m Main', prints: 'ok\n', ...withoutLoopback({ exits: 1, complains: /BindException: Permission denied/ }) },
  { name: 'perl: fork, pipes, sockets, in-place edit', needs: ['perl'], given: place => place.write('f', 'one\n'),
    run: `perl -e 'use Socket; socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die $!; if (my $p = fork) { close B; print <A>; waitpid $p, 0 } else { close A; print B qx(echo ok) }'; perl -pi -e 's/one/two/' f`, prints: 'ok\n',
    seen: place => expect(place.read('f')).toBe('two\n') },
  { name: 'tclsh: a server, an event loop and a child process', needs: ['tclsh'],
    given: place => place.write('a.tcl', 'set s [socket -server {apply {{c a p} {puts $c ok; close $c}}} -myaddr 127.0.0.1 0]\nset c [socket 127.0.0.1 [lindex [fconfigure $s -sockname] 2]]\nfileevent $c readable {gets $c line; set done 1}\nvwait done\nputs $line\nputs [exec echo child]\n'),
    run: ['tclsh', 'a.tcl'], prints: 'ok\nchild\n', ...withoutLoopback({ exits: 1, complains: /couldn't open socket: permission denied/ }) },
  { name: 'ruby', needs: ['ruby'], run: ['ruby', '-e', 'r, w = IO.pipe; fork { w.puts "ok" }; w.close; Process.wait; puts r.read'], prints: 'ok\n' },
  { name: 'php', needs: ['php'], run: ['php', '-r', 'echo shell_exec("echo ok");'], prints: 'ok\n' },
]
