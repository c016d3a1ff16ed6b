/* Runs rootlet in random hostile roots, which two threads change meanwhile. Checks each call that creates, removes, changes or mounts just before it is made, by ptrace(2) and the entry in proc of the descriptor that the call names.

   recorder ROOTLET BUSYBOX DIRECTORY SEED ROOTS

   In a new mount namespace NEWROOT is a tmpfs, and another tmpfs replaces the host's files. The device or the number of a mount then shows its owner:
   - files are created, removed and changed only in NEWROOT's own file systems, and in those that did not exist before the run;
   - only NEWROOT's own mounts, and mounts that the host did not have, are mounted on and get new flags. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORDINARY 54321
#define MAX 4096

static char new_root[512], host[512], plan[4096];
static uint64_t state;
static atomic_bool stop;
static atomic_long swaps;
static long checked, created, removed, changed, mounted, unmounted, violations, statuses[256];

static void fail(const char *what) {
    printf("recorder: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint32_t below(uint64_t *from, uint32_t limit) {
    *from ^= *from >> 12;
    *from ^= *from << 25;
    *from ^= *from >> 27;
    return (*from * 0x2545f4914f6cdd1dull >> 32) % limit;
}
static uint32_t any(uint32_t limit) { return below(&state, limit); }

/* Devices and mounts of the host before a run. */
static dev_t root_devices[2], host_devices[MAX];
static long root_count, host_device_count, host_mounts[2 * MAX], host_mount_count;
static ino_t own_namespace, run_namespace;

static void take_mounts(const char *mountinfo, int with_devices) {
    FILE *file = fopen(mountinfo, "r");
    char line[8192];
    while (file && fgets(line, sizeof line, file)) {
        long id;
        unsigned major, minor;
        if (sscanf(line, "%ld %*d %u:%u", &id, &major, &minor) != 3) continue;
        dev_t device = makedev(major, minor);
        int is_root = 0;
        for (long i = 0; i < root_count; i++) is_root |= root_devices[i] == device;
        if (is_root) continue;
        if (host_mount_count < 2 * MAX) host_mounts[host_mount_count++] = id;
        if (with_devices && host_device_count < MAX) host_devices[host_device_count++] = device;
    }
    if (file) fclose(file);
}

static int is_in(long value, const long *list, long count) {
    while (count-- > 0)
        if (*list++ == value) return 1;
    return 0;
}

/* Finds the device and the mount of a descriptor. AT_FDCWD is the current directory. */
static int look(pid_t pid, int fd, dev_t *device, long *mount) {
    char path[64];
    struct statx stat;
    if (fd == AT_FDCWD)
        snprintf(path, sizeof path, "/proc/%d/cwd", pid);
    else
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    if (syscall(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_MNT_ID, &stat) < 0) return -1;
    *device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
    *mount = stat.stx_mnt_id;
    return 0;
}

static int is_root_device(dev_t device) {
    for (long i = 0; i < root_count; i++)
        if (root_devices[i] == device) return 1;
    return 0;
}

static int may_create(pid_t pid, int fd) {
    dev_t device;
    long mount;
    if (look(pid, fd, &device, &mount) < 0) return 0;
    if (is_root_device(device)) return 1;
    for (long i = 0; i < host_device_count; i++)
        if (host_devices[i] == device) return 0;
    return 1;
}

static int may_mount(pid_t pid, int fd) {
    dev_t device;
    long mount;
    if (look(pid, fd, &device, &mount) < 0) return 0;
    return is_root_device(device) || !is_in(mount, host_mounts, host_mount_count);
}

/* Whether it belongs to a mount that the run has made and attached nowhere on the host. */
static int is_copy(pid_t pid, int fd) {
    dev_t device;
    long mount;
    return look(pid, fd, &device, &mount) == 0 && !is_in(mount, host_mounts, host_mount_count);
}

/* Whether it is a lock on a range of ids of --private-users, or the directory for these. */
static int is_lock(int fd, const char *path) {
    static const char directory[] = "/run/rootlet", lock[] = "/run/rootlet/users-";
    if (fd != AT_FDCWD) return 0;
    if (!strcmp(path, directory)) return 1;
    const char *number = path + sizeof lock - 1;
    return !strncmp(path, lock, sizeof lock - 1) && *number && strspn(number, "0123456789") == strlen(number);
}

static ino_t namespace_of(pid_t pid) {
    char path[64];
    struct stat stat_;
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    return stat(path, &stat_) ? 0 : stat_.st_ino;
}

/* Whether the process is in a mount namespace of the run. The numbers of the mounts there show those of the host. */
static int is_inside(pid_t pid) {
    ino_t namespace = namespace_of(pid);
    if (!namespace || namespace == own_namespace) return 0;
    if (!run_namespace) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
        run_namespace = namespace;
        take_mounts(path, 0);
    }
    return 1;
}

static void text(pid_t pid, uint64_t address, char *to, size_t size) {
    struct iovec local = {to, size - 1}, remote = {(void *)address, size - 1};
    ssize_t length = -1;
    /* The next page may not be mapped: read up to the end of this one. */
    if (address) length = process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (length < 0 && address) {
        local.iov_len = remote.iov_len = 4096 - address % 4096;
        if (local.iov_len > size - 1) local.iov_len = remote.iov_len = size - 1;
        length = process_vm_readv(pid, &local, 1, &remote, 1, 0);
    }
    to[length < 0 ? 0 : length] = 0;
}

static int is_name(const char *name) {
    return *name && !strchr(name, '/') && strcmp(name, "..");
}

static void check(pid_t pid, uint64_t number, const uint64_t *a) {
    char name[4200] = "", other[4200] = "";
    int ok = 1, fd = AT_FDCWD, of_process;
    long *kind = &changed;
    switch (number) {
    case SYS_symlinkat:
        fd = (int)a[1];
        text(pid, a[2], name, sizeof name);
        ok = is_name(name) && may_create(pid, fd);
        kind = &created;
        break;
    case SYS_mkdirat:
    case SYS_mknodat:
    case SYS_unlinkat:
        fd = (int)a[0];
        text(pid, a[1], name, sizeof name);
        ok = (is_name(name) && may_create(pid, fd)) || is_lock(fd, name);
        kind = number == SYS_unlinkat ? &removed : &created;
        break;
    case SYS_openat:
    case SYS_openat2: {
        uint64_t flags = a[2];
        if (number == SYS_openat2) {
            struct iovec local = {&flags, 8}, remote = {(void *)a[2], 8};
            if (process_vm_readv(pid, &local, 1, &remote, 1, 0) != 8) flags = O_CREAT;
        }
        if (!(flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE) return;
        fd = (int)a[0];
        text(pid, a[1], name, sizeof name);
        ok = (is_name(name) && may_create(pid, fd)) || is_lock(fd, name);
        kind = &created;
        break;
    }
    case SYS_renameat2: /* Must stay within one directory. */
        fd = (int)a[0];
        text(pid, a[1], name, sizeof name);
        text(pid, a[3], other, sizeof other);
        ok = fd == (int)a[2] && is_name(name) && is_name(other) && may_create(pid, fd);
        break;
    case SYS_fchmod:
    case SYS_fchown:
    case SYS_ftruncate:
    case SYS_fsetxattr:
    case SYS_fremovexattr:
        fd = (int)a[0];
        ok = may_create(pid, fd);
        break;
    case SYS_fchmodat:
    case SYS_fchownat:
        fd = (int)a[0];
        text(pid, a[1], name, sizeof name);
        ok = (!*name || is_name(name)) && may_create(pid, fd);
        break;
    case SYS_mount:
        text(pid, a[1], name, sizeof name);
        kind = &mounted;
        ok = is_inside(pid);
        if (sscanf(name, "/proc/self/fd/%d", &of_process) == 1)
            ok = ok && may_mount(pid, fd = of_process);
        else if (!strcmp(name, "."))
            ok = ok && may_mount(pid, fd);
        else /* On the root of the run's namespace, which no name of NEWROOT reaches. */
            ok = ok && (!strcmp(name, "/") || !strcmp(name, "/..") || !strcmp(name, "/../lower"));
        break;
    case SYS_move_mount:
        fd = (int)a[2];
        text(pid, a[3], name, sizeof name);
        kind = &mounted;
        ok = is_inside(pid) && (*name ? !strcmp(name, "/") : may_mount(pid, fd));
        break;
    case SYS_mount_setattr:
        fd = (int)a[0];
        text(pid, a[1], name, sizeof name);
        /* Owners are mapped outside, in copies of mounts. */
        ok = !*name && (is_inside(pid) ? may_mount(pid, fd) : is_copy(pid, fd));
        break;
    case SYS_umount2:
        text(pid, a[0], name, sizeof name);
        kind = &unmounted;
        ok = is_inside(pid);
        if (is_name(name) && strcmp(name, ".")) ok = ok && may_mount(pid, fd);
        else ok = ok && (!strcmp(name, ".") || !strcmp(name, "/") || !strcmp(name, "/.."));
        break;
    case SYS_pivot_root:
        text(pid, a[0], name, sizeof name);
        text(pid, a[1], other, sizeof other);
        kind = &mounted;
        ok = !strcmp(name, ".") && !strcmp(other, ".") && is_inside(pid) && may_mount(pid, fd);
        break;
    /* rootlet makes no calls that take only paths. */
    case SYS_linkat:
    case SYS_truncate:
    case SYS_setxattr:
    case SYS_lsetxattr:
#ifdef SYS_mkdir
    case SYS_mkdir:
    case SYS_rmdir:
    case SYS_unlink:
    case SYS_symlink:
    case SYS_link:
    case SYS_rename:
    case SYS_creat:
    case SYS_mknod:
    case SYS_chmod:
    case SYS_chown:
    case SYS_lchown:
#endif
        text(pid, a[0], name, sizeof name);
        ok = 0;
        break;
    default:
        return;
    }
    checked++;
    ++*kind;
    if (ok) return;
    char path[64], where[4096] = "?";
    snprintf(path, sizeof path, fd == AT_FDCWD ? "/proc/%d/cwd" : "/proc/%d/fd/%d", pid, fd);
    ssize_t length = readlink(path, where, sizeof where - 1);
    if (length >= 0) where[length] = 0;
    printf("violation: call %ld, descriptor %d (%s), name \"%s\"\n%s", (long)number, fd, where, name, plan);
    fflush(stdout);
    violations++;
}

/* Names in a root and in options. */
static const char *const names[] = {"dev", "proc", "sys", "etc", "run", "var", "d1", "srv"};
static const char *const below_names[] = {"x", "link", "shm", "p", "resolv.conf", "run", "pts", "missing"};
#define PICK(list) list[any(sizeof list / sizeof *list)]

static char *words[64], text_of[64][256];
static int word_count;

static void word(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(text_of[word_count], sizeof text_of[0], format, list);
    words[word_count] = text_of[word_count];
    words[++word_count] = 0;
    va_end(list);
}

/* A tmpfs among the mounts, which often contains others. */
static char memory[128];

static void place(char *to, size_t size) {
    if (*memory && any(2)) {
        snprintf(to, size, "%.90s/%s", memory, PICK(below_names));
        return;
    }
    switch (any(4)) {
    case 0: snprintf(to, size, "/%s", PICK(names)); break;
    case 1: snprintf(to, size, "/%s/%s/deep", PICK(names), PICK(below_names)); break;
    default: snprintf(to, size, "/%s/%s", PICK(names), PICK(below_names));
    }
}

/* The targets of links: mount points of the plan. */
static char mount_points[16][128] = {"/dev", "/sys", "/proc"};
static int mount_point_count;

/* Whether the run has a range of ids, and how many of those succeeded, as root and as the ordinary user. */
static int has_range;
static long ranged[2];

/* Gives the ordinary user a name and a range of ids. */
static const char ranges[] = "set -e; cd '%s'; grep -v :%u: /etc/passwd >passwd; echo ordinary:x:%u:%u::/: >>passwd; echo ordinary:1200000:65536 >ranges;"
    "for file in passwd:passwd ranges:subuid ranges:subgid; do touch /etc/${file#*:}; mount --bind ${file%%:*} /etc/${file#*:}; done";

static void options(const char *rootlet, uid_t user) {
    static const char *const singles[] = {"--overlay", "--read-only-root", "--mask-proc", "--dev=minimal", "--no-mounts"};
    char to[128];
    word_count = 0;
    word("%s", rootlet);
    word("run");
    for (int i = 0; i < 5; i++)
        if (!any(5)) word("%s", singles[i]);
    has_range = any(2);
    if (has_range) word(user ? "--map-users=auto" : "--private-users");
    *memory = 0;
    mount_point_count = 3;
    for (uint32_t i = any(6); i > 0; i--) {
        place(to, sizeof to);
        snprintf(mount_points[mount_point_count++], sizeof mount_points[0], "%s", to);
        const char *optional = any(4) ? ":optional" : "";
        switch (any(7)) {
        case 0:
        case 6:
            snprintf(memory, sizeof memory, "%s", to);
            word("-B"), word("tmpfs:%s%s", to, optional);
            break;
        case 1: word("-R"), word("%s/directory:%s%s", host, to, optional); break;
        case 2: word("-B"), word("%s/file:%s%s", host, to, optional); break;
        case 3: word("-R"), word("/dev:%s%s", to, optional); break;
        case 4: word("-R"), word("%s/directory:%s:ro%s%s", host, to, *optional ? "," : "", *optional ? optional + 1 : ""); break;
        default: word("-B"), word("proc:%s%s", to, optional);
        }
    }
    word("%s", new_root);
    word("/bin/true");
}

static char paths[80][64];
static int path_count;

static void target(char *to, size_t size) {
    switch (any(12)) {
    case 8: snprintf(to, size, "%s", mount_points[any(mount_point_count)]); break;
    case 9: snprintf(to, size, "%s/planted", mount_points[any(mount_point_count)]); break;
    case 10: snprintf(to, size, "%s/planted/by", mount_points[any(mount_point_count)]); break;
    case 11: snprintf(to, size, "%s/missing/../x", mount_points[any(mount_point_count)]); break;
    case 0: snprintf(to, size, "/%s", PICK(names)); break;
    case 1: snprintf(to, size, "%s/%s", PICK(names), PICK(below_names)); break;
    case 2: snprintf(to, size, "/%s/%s/planted/by", PICK(names), PICK(below_names)); break;
    case 3: snprintf(to, size, "../%s/../%s/%s", PICK(names), PICK(names), PICK(below_names)); break;
    case 4: snprintf(to, size, "%s/planted", host); break;
    case 5: snprintf(to, size, "../../../../../../..%s", host); break;
    case 6: snprintf(to, size, "/%s/./%s//", PICK(names), PICK(below_names)); break;
    default: snprintf(to, size, "/%s/%s", PICK(names), PICK(below_names));
    }
}

/* Fills the root. Its files belong to the user who runs rootlet, like an ordinary user's root. */
static void fill(const char *path, int is_top) {
    char full[1024], to[1024];
    snprintf(full, sizeof full, "%s/%s", new_root, path);
    uint32_t what = any(10);
    if (what < 2) return;
    if (what < 6) {
        target(to, sizeof to);
        if (symlink(to, full)) return;
    } else if (what == 6 && !is_top) {
        int fd = open(full, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
        if (fd >= 0) close(fd);
    } else {
        if (mkdir(full, any(4) ? 0755 : 01715)) return;
        for (int i = 0; is_top && i < 3; i++) {
            snprintf(to, sizeof to, "%s/%s", path, PICK(below_names));
            fill(to, 0);
        }
    }
    if (path_count < 80) snprintf(paths[path_count++], sizeof paths[0], "%s", path);
}

static void *swap(void *seed) {
    uint64_t own = (uintptr_t)seed | 1;
    /* A name may contain a link. A chroot keeps it from reaching the machine's own files. */
    if (unshare(CLONE_FS) || chdir(new_root) || chroot(".") || chdir("/")) fail("a chroot for the swaps");
    int root = AT_FDCWD;
    while (!atomic_load(&stop) && path_count > 1) {
        const char *one = paths[below(&own, path_count)], *two = paths[below(&own, path_count)];
        if (!syscall(SYS_renameat2, root, one, root, two, 2 /* RENAME_EXCHANGE */)) atomic_fetch_add(&swaps, 1);
        /* Swap with a name that may be a new mount point. */
        if (!below(&own, 8)) {
            const char *new = names[below(&own, 8)];
            if (!syscall(SYS_renameat2, root, one, root, new, 2)) atomic_fetch_add(&swaps, 1);
        }
    }
    return 0;
}

static void hangs(int signal) {
    (void)signal;
    static const char said[] = "recorder: a run hangs\n";
    if (write(1, said, sizeof said - 1) < 0) _exit(3);
    _exit(3);
}

static void run(uid_t user) {
    int length = snprintf(plan, sizeof plan, "  as %u:", user);
    for (int i = 0; i < word_count && length < 3900; i++) length += snprintf(plan + length, sizeof plan - length, " %s", words[i]);
    snprintf(plan + length, sizeof plan - length, "\n");

    host_device_count = host_mount_count = run_namespace = 0;
    take_mounts("/proc/self/mountinfo", 1);
    pid_t first = fork();
    if (first < 0) fail("fork");
    if (!first) {
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd < 3; fd++) dup2(null, fd);
        if (null > 2) close(null);
        /* Before the rights are gone: with the user's, newuidmap would lose its own. */
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        if (user && (setgid(user) || setuid(user))) _exit(99);
        raise(SIGSTOP);
        execv(*words, words);
        _exit(98);
    }
    int status;
    if (waitpid(first, &status, 0) != first || !WIFSTOPPED(status)) fail("the run does not start");
    long trace = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, first, 0, trace)) fail("ptrace");
    ptrace(PTRACE_SYSCALL, first, 0, 0);
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) break;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == first && status == 0 && has_range) ranged[user != 0]++;
            if (pid == first) statuses[WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)]++;
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16;
        if (signal == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 && info.op == PTRACE_SYSCALL_INFO_ENTRY)
                check(pid, info.entry.nr, info.entry.args);
            signal = 0;
        } else if (event == PTRACE_EVENT_EXEC && pid != first) {
            /* This is the command. */
            ptrace(PTRACE_DETACH, pid, 0, 0);
            continue;
        } else if (event || signal == SIGSTOP || signal == SIGTRAP) {
            signal = 0;
        }
        ptrace(PTRACE_SYSCALL, pid, 0, signal);
    }
}

/* Removes everything in NEWROOT except its programs. */
static void empty(void) {
    char command[1200];
    snprintf(command, sizeof command, "find '%s' -mindepth 1 -maxdepth 1 ! -name bin -exec rm -rf --one-file-system {} +", new_root);
    if (system(command)) fail("find");
}

static dev_t device_of(const char *path) {
    struct stat stat_;
    if (stat(path, &stat_)) fail(path);
    return stat_.st_dev;
}

static void make_device(const char *directory, const char *name, int minor_) {
    char path[700];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (mknod(path, S_IFCHR | 0666, makedev(1, minor_)) || chmod(path, 0666)) fail(path);
}

int main(int count, char **arguments) {
    if (count != 6) return 2;
    const char *rootlet = arguments[1];
    uint64_t seed = strtoull(arguments[4], 0, 10);
    long roots = atol(arguments[5]);
    char path[700], command[2048];
    snprintf(new_root, sizeof new_root, "%s/new", arguments[3]);
    snprintf(host, sizeof host, "%s/host", arguments[3]);
    umask(0);
    if (unshare(CLONE_NEWNS) || mount("", "/", "", MS_REC | MS_PRIVATE, "")) fail("a mount namespace");
    for (int i = 0; i < 2; i++) {
        const char *directory = i ? host : new_root;
        if (mkdir(directory, 0755) || mount("tmpfs", directory, "tmpfs", 0, "mode=755")) fail(directory);
    }
    snprintf(command, sizeof command, "cd '%s' && mkdir directory directory/x directory/shm directory/sub && echo h >file && echo h >directory/resolv.conf && ln -s sub directory/link && mkdir '%s/bin' && cp '%s' '%s/bin/true'", host, new_root, arguments[2], new_root);
    if (system(command)) fail("files");
    /* Copies of the host's devices. */
    snprintf(path, sizeof path, "%s/dev", host);
    if (mkdir(path, 0755)) fail(path);
    make_device(path, "null", 3), make_device(path, "zero", 5), make_device(path, "full", 7), make_device(path, "random", 8), make_device(path, "urandom", 9);
    snprintf(command, sizeof command, "cd '%s' && mkdir shm pts x", path);
    if (system(command) || mount(path, "/dev", "", MS_BIND, "") || mount("", "/", "", MS_REC | MS_SHARED, "")) fail("/dev");
    snprintf(path, sizeof path, "%s/ranges", arguments[3]);
    if (mkdir(path, 0755)) fail(path);
    snprintf(command, sizeof command, ranges, path, ORDINARY, ORDINARY, ORDINARY);
    if (system(command)) fail("ranges");
    root_devices[root_count++] = device_of(new_root);
    own_namespace = namespace_of(getpid());
    signal(SIGALRM, hangs);

    for (long number = 0; number < roots; number++) {
        uid_t user = number % 2 ? ORDINARY : 0;
        state = (seed + number) * 0x9e3779b97f4a7c15ull | 1;
        any(1);
        path_count = 0;
        options(rootlet, user);
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++) fill(names[i], 1);
        /* A mount in the root itself. */
        char own[600];
        snprintf(own, sizeof own, "%s/%s", new_root, PICK(names));
        struct stat stat_;
        int has_own = !any(4) && !lstat(own, &stat_) && S_ISDIR(stat_.st_mode) && !mount("tmpfs", own, "tmpfs", 0, "mode=755");
        if (has_own) root_devices[root_count++] = device_of(own);
        if (user) {
            snprintf(command, sizeof command, "chown -hR %u:%u '%s'", user, user, new_root);
            if (system(command)) fail("chown");
        } else if (lchown(new_root, 0, 0)) fail("chown");
        alarm(120);
        atomic_store(&stop, 0);
        pthread_t swappers[2];
        for (uintptr_t i = 0; i < 2; i++) pthread_create(&swappers[i], 0, swap, (void *)(state + i * 2));
        run(user);
        atomic_store(&stop, 1);
        for (int i = 0; i < 2; i++) pthread_join(swappers[i], 0);
        if (has_own) {
            /* The mount may have moved with its parent directory. */
            root_count--;
            if (umount2(own, MNT_DETACH)) {
                snprintf(command, sizeof command, "awk -v top='%s/' 'index($5, top) == 1 {print $5}' /proc/self/mountinfo | xargs -r umount -l", new_root);
                if (system(command)) fail("umount");
            }
        }
        empty();
    }
    printf("roots %ld, swaps %ld, calls %ld: created %ld, removed %ld, changed %ld, mounted %ld, unmounted %ld; violations %ld\nsucceeded with private users %ld, with a user's range %ld\nstatuses:", roots, atomic_load(&swaps), checked, created, removed, changed, mounted, unmounted, violations, ranged[0], ranged[1]);
    for (int i = 0; i < 256; i++)
        if (statuses[i]) printf(" %d of %d,", (int)statuses[i], i);
    printf("\n");
    fflush(stdout);
    snprintf(command, sizeof command, "cd '%s' && find . | sort | tr '\\n' ' '", host);
    return system(command);
}
