/* System calls and a start without libc, for x86_64 and aarch64. A program defines
 * `int start(char **arguments, char **environment)`, whose result is its exit status. */
#include <asm/unistd.h>

#define always static inline __attribute__((always_inline, unused))

#if defined __x86_64__
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call enter\n");

always long call6(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined __aarch64__
__asm__(".globl _start\n_start: mov x29, xzr\n mov x30, xzr\n mov x0, sp\n b enter\n");

always long call6(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "an architecture without a start of its own here"
#endif

#define SELECT(_1, _2, _3, _4, _5, _6, _7, count, ...) count
#define call(...)                                                                                  \
    SELECT(__VA_ARGS__, CALL6, CALL5, CALL4, CALL3, CALL2, CALL1, CALL0, )(__VA_ARGS__)
#define CALL0(n) call6(n, 0, 0, 0, 0, 0, 0)
#define CALL1(n, a) call6(n, (long)(a), 0, 0, 0, 0, 0)
#define CALL2(n, a, b) call6(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define CALL3(n, a, b, c) call6(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL4(n, a, b, c, d) call6(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define CALL5(n, a, b, c, d, e) call6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)
#define CALL6(n, a, b, c, d, e, f)                                                                 \
    call6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

int start(char **arguments, char **environment);

__attribute__((noreturn, used)) void enter(long *stack)
{
    char **arguments = (char **)(stack + 1);
    int status = start(arguments, arguments + stack[0] + 1);
    for (;;)
        call(__NR_exit_group, status);
}

always void quit(int status)
{
    call(__NR_exit_group, status);
    __builtin_unreachable();
}

/* Converts the status of wait(2) to a shell's. */
always int status_of(int waited)
{
    return waited & 127 ? 128 + (waited & 127) : waited >> 8 & 255;
}
