/* The command of a traced run, without a libc. It prints `ran`, and then the restrictions that it finds on itself. A run that took a fallback without a message must not restrict it less.
 *
 * strace makes the same call fail once in each process, including this one, so each call is repeated. */

#ifdef __x86_64__
static long call(long number, long a, long b, long c, long d, long e) {
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return number;
}
#elif defined __aarch64__
static long call(long number, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#elif defined __riscv
static long call(long number, long a, long b, long c, long d, long e) {
    register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c, a3 __asm__("a3") = d, a4 __asm__("a4") = e;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4) : "memory");
    return a0;
}
#endif

#include <asm/unistd.h>

enum { AT_FDCWD = -100, O_DIRECTORY = 0200000, LARGE = 1 << 17 };

static char out[LARGE], text[LARGE], words[65536];
static long length;

/* Repeats a call until it succeeds, or fails twice with the same error. */
static long twice(long number, long a, long b, long c, long d, long e) {
    long before, result = 0;
    do before = result, result = call(number, a, b, c, d, e);
    while (result < 0 && result != before);
    return result;
}

static void put(const char *bytes, long count) {
    while (count-- > 0 && length < LARGE) out[length++] = *bytes++;
}

static long size(const char *string) {
    long count = 0;
    while (string[count]) count++;
    return count;
}

static void say(const char *string) { put(string, size(string)); }

static void number(long value) {
    char digits[24];
    int at = 24;
    if (value < 0) say("-"), value = -value;
    do digits[--at] = '0' + value % 10;
    while (value /= 10);
    put(digits + at, 24 - at);
}

static int begins(const char *line, const char *with) {
    while (*with)
        if (*line++ != *with++) return 0;
    return 1;
}

static long read_all(const char *path) {
    long file = twice(__NR_openat, AT_FDCWD, (long)path, 0, 0, 0), count = 0, more;
    if (file < 0) return file;
    while (count < LARGE - 1 && (more = twice(__NR_read, file, (long)text + count, LARGE - 1 - count, 0, 0)) > 0) count += more;
    twice(__NR_close, file, 0, 0, 0, 0);
    text[count] = 0;
    return count;
}

static char *next(char *line) {
    while (*line && *line != '\n') line++;
    return *line ? line + 1 : line;
}

static void status(void) {
    static const char *const fields[] = {"Uid", "Gid", "Groups", "SigBlk", "SigIgn", "Cap", "NoNewPrivs", "Seccomp:"};
    if (read_all("/proc/self/status") < 0) return;
    for (char *line = text; *line; line = next(line))
        for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++)
            if (begins(line, fields[i])) put(line, next(line) - line);
}

/* Prints a map of ids. Unused ids of the host are chosen by chance, so long numbers are printed as `some`. */
static void map(const char *path) {
    say(path);
    say("\n");
    if (read_all(path) < 0) return;
    for (char *at = text; *at;) {
        for (int field = 0; field < 3; field++) {
            while (*at == ' ') at++;
            char *start = at;
            while (*at >= '0' && *at <= '9') at++;
            if (field == 1 && at - start >= 6) say("some");
            else put(start, at - start);
            say(" ");
        }
        while (*at && *at++ != '\n') {}
        say("\n");
    }
}

/* Prints mount point, options, propagation and type of each mount. */
static void mounts(void) {
    if (read_all("/proc/self/mountinfo") < 0) return;
    for (char *at = text; *at;) {
        int field = 1, tail = 0;
        say("mount ");
        for (; *at && *at != '\n'; at++) {
            if (*at == ' ') {
                field++;
                if (begins(at, " - ")) tail = field + 1;
                if (begins(at, " shared:") || begins(at, " master:") || begins(at, " unbindable")) put(at, 7);
            }
            if (field == 5 || field == 6 || (tail && field == tail)) put(at, 1);
        }
        if (*at) at++;
        say("\n");
    }
}

static void link_to(const char *path, const char *as) {
    static char target[256];
    long count = twice(__NR_readlinkat, AT_FDCWD, (long)path, (long)target, sizeof target, 0);
    say(as);
    if (count < 0) number(count);
    else put(target, count);
    say("\n");
}

/* Compares the namespaces with the caller's, whose numbers are in the environment. */
static void namespaces(char **environment) {
    static const char *const kinds[] = {"user", "pid", "net", "uts", "ipc", "mnt", "cgroup", "time"};
    const char *callers = "";
    for (; *environment; environment++)
        if (begins(*environment, "NAMESPACES=")) callers = *environment;
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        static char path[32], own[64];
        long count, is_callers = 0, at = 0;
        for (const char *part = "/proc/self/ns/"; *part; part++) path[at++] = *part;
        for (const char *part = kinds[i]; *part; part++) path[at++] = *part;
        path[at] = 0;
        count = twice(__NR_readlinkat, AT_FDCWD, (long)path, (long)own, sizeof own - 1, 0);
        own[count < 0 ? 0 : count] = 0;
        for (const char *from = callers; *from && count > 0; from++) is_callers |= begins(from, own);
        say(kinds[i]);
        say(count < 0 ? " unknown\n" : is_callers ? " the caller's\n" : " its own\n");
    }
}

static void result(const char *what, long value) {
    say(what);
    say(" ");
    number(value < 0 ? value : 0);
    say("\n");
}

static void opened(const char *path, long flags) {
    long file = twice(__NR_openat, AT_FDCWD, (long)path, flags, 0, 0);
    result(path, file);
    if (file >= 0) twice(__NR_close, file, 0, 0, 0, 0);
}

static void descriptors(void) {
    long top = twice(__NR_openat, AT_FDCWD, (long)"/proc/self/fd", O_DIRECTORY, 0, 0), count;
    while (top >= 0 && (count = twice(__NR_getdents64, top, (long)text, LARGE, 0, 0)) > 0)
        for (long at = 0; at < count; at += *(unsigned short *)(text + at + 16))
            say("open "), say(text + at + 19), say("\n");
    twice(__NR_close, top, 0, 0, 0, 0);
}

__attribute__((used)) void start(long *stack) {
    char **environment = (char **)(stack + 1 + stack[0] + 1);
    say("ran\n");
    /* If rootlet must read another command line, strace answers the first read instead of the kernel. */
    call(__NR_read, -1, (long)text, 0, 0, 0);
    status();
    map("/proc/self/uid_map");
    map("/proc/self/gid_map");
    if (read_all("/proc/self/setgroups") > 0) say(text);
    namespaces(environment);
    mounts();
    descriptors();
    opened("/proc/1/environ", 0);
    opened("/proc/1/mem", 0);
    link_to("/proc/1/root", "pid 1's root ");
    /* KEYCTL_SEARCH in the session keyring for the key that the caller's has. */
    result("the caller's key", twice(__NR_keyctl, 10, -3, (long)"user", (long)"rootlet-torture", 0));
    twice(__NR_uname, (long)words, 0, 0, 0, 0);
    say(words + 65), say(" "), say(words + 325), say("\n");
    link_to("/proc/self/cwd", "in ");
    opened("/dev/tty", 0);
    say("session "), number(call(__NR_getsid, 0, 0, 0, 0, 0) == call(__NR_getpid, 0, 0, 0, 0, 0)), say("\n");
    say("umask "), number(call(__NR_umask, 022, 0, 0, 0, 0)), say("\n");
    /* PR_GET_DUMPABLE, and the limit on descriptors. */
    say("dumpable "), number(twice(__NR_prctl, 3, 0, 0, 0, 0)), say("\n");
    twice(__NR_prlimit64, 0, 7, 0, (long)words, 0);
    say("files "), number(((long *)words)[0]), say(" "), number(((long *)words)[1]), say("\n");
    for (long at = 0, more; at < length && (more = twice(__NR_write, 1, (long)out + at, length - at, 0, 0)) > 0; at += more) {}
    for (;;) call(__NR_exit_group, 7, 0, 0, 0, 0);
}

#ifdef __x86_64__
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call start\n");
#elif defined __aarch64__
__asm__(".globl _start\n_start: mov x0, sp\n bl start\n");
#elif defined __riscv
/* The linker addresses variables by gp. */
__asm__(".globl _start\n_start:\n.option push\n.option norelax\n la gp, __global_pointer$\n.option pop\n mv a0, sp\n call start\n");
#endif
