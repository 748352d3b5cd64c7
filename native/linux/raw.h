/* System calls without the C library, for processes that share the forker's memory (CLONE_VM): errno, locks and the
 * thread descriptor there are the forker's, so nothing that touches them may run. All return -errno. */
#ifndef RAW_H
#define RAW_H

#include <sys/syscall.h>
#include <sys/types.h>

/* The sixth argument of our own calls that have fewer, so that a listener filter lets them through: OWN_MARK of
 * src/platform/linux/seccomp/filter-rules.ts. */
#define OWN_MARK 0x78636f64656d6b31

#if defined(__x86_64__)
static inline long raw6(long n, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
}

/* Starts `run(argument)` in a new process on `stack_top` (16-byte aligned, growing down). `run` must not return. With
 * CLONE_PARENT_SETTID its id is written to `id` before it runs; with CLONE_CHILD_CLEARTID that is 0 again when it has left this memory. */
static inline long raw_clone(unsigned long flags, void *stack_top, void (*run)(void *), void *argument, pid_t *id)
{
	long result;
	void **top = stack_top;
	register long r10 __asm__("r10") = (long)id;
	register long r8 __asm__("r8") = 0;
	register long r9 __asm__("r9") = OWN_MARK;
	*--top = argument;
	*--top = (void *)run;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "pop %%rax\n\t"
			 "pop %%rdi\n\t"
			 "call *%%rax\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result) : "a"(SYS_clone), "D"(flags), "S"(top), "d"(id), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static inline long raw6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

static inline long raw_clone(unsigned long flags, void *stack_top, void (*run)(void *), void *argument, pid_t *id)
{
	void **top = stack_top;
	*--top = argument;
	*--top = (void *)run;
	register long x8 __asm__("x8") = SYS_clone;
	register long x0 __asm__("x0") = (long)flags;
	register long x1 __asm__("x1") = (long)top;
	register long x2 __asm__("x2") = (long)id;
	register long x3 __asm__("x3") = 0;
	register long x4 __asm__("x4") = (long)id;
	register long x5 __asm__("x5") = OWN_MARK;
	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "ldp x1, x0, [sp], #16\n\t"
			 "blr x1\n\t"
			 "brk #1\n"
			 "1:"
			 : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "x30");
	return x0;
}
#else
#error "this architecture has no launcher"
#endif

#define RAW_1(n) raw6(n, 0, 0, 0, 0, 0, 0)
#define RAW(n, a, b, c, d, e) raw6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define RAW_MARKED(n, a, b, c, d, e) raw6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), OWN_MARK)

#endif
