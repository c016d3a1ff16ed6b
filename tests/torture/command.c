/* The command of a run that is traced: with no libc around it, it makes two system calls, of which rootlet makes neither but at its end. */

static void call(long number, long a, long b, long c) {
#if defined __x86_64__
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
#elif defined __aarch64__
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
#endif
}

void _start(void) {
    long vector[2] = {(long)"ran\n", 4};
    call(WRITEV, 1, (long)vector, 1);
    for (;;)
        call(EXIT, 7, 0, 0);
}
