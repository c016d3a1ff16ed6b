/* The floor under `rootlet run`: the same namespaces and mounts, a pid 1 and a command, by the oldest calls.
 * It reports no errors, forwards no signals, and checks nothing.
 *
 * usage: floor [user] [SOURCE TARGET]... / NEWROOT COMMAND [ARG]...
 *
 * user: in a new user namespace, where the caller is user 0.
 * SOURCE is bound on TARGET, a path as seen before NEWROOT is entered. */
#include "raw.h"
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <signal.h>

/* Exits with a separate status for each thing that can fail. */
static void must(int status, long result)
{
    if (result < 0)
        quit(status);
}

static void mount(const char *source, const char *target, const char *type, long flags, const char *data)
{
    must(3, call(__NR_mount, source, target, type, flags, data));
}

static void write_file(const char *path, const char *text)
{
    long file = call(__NR_openat, AT_FDCWD, path, O_WRONLY, 0), length = 0;
    while (text[length])
        length++;
    must(4, call(__NR_write, file, text, length));
    call(__NR_close, file);
}

static void map_to_root(long user, long group)
{
    char map[32], *at = map + sizeof map;
    for (int is_group = 0; is_group < 2; is_group++) {
        long id = is_group ? group : user;
        at = map + sizeof map;
        *--at = 0;
        *--at = '1';
        *--at = ' ';
        do
            *--at = '0' + id % 10;
        while (id /= 10);
        *--at = ' ';
        *--at = '0';
        if (!is_group)
            write_file("/proc/self/setgroups", "deny");
        write_file(is_group ? "/proc/self/gid_map" : "/proc/self/uid_map", at);
    }
}

/* Forks into new namespaces. */
always long clone(unsigned long flags)
{
    return call(__NR_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static int wait_for(long pid)
{
    int waited = 0;
    must(5, call(__NR_wait4, pid, &waited, 0, 0));
    return status_of(waited);
}

int start(char **arguments, char **environment)
{
    unsigned long namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID;
    long user = call(__NR_geteuid), group = call(__NR_getegid), pid;
    arguments++;
    if (*arguments && **arguments == 'u') {
        namespaces |= CLONE_NEWUSER;
        arguments++;
    }
    pid = clone(namespaces);
    must(6, pid);
    if (pid)
        return wait_for(pid);

    if (namespaces & CLONE_NEWUSER)
        map_to_root(user, group);
    mount(0, "/", 0, MS_REC | MS_SLAVE, 0);
    char **binds = arguments;
    while (arguments[0][1])
        arguments += 2;
    const char *root = *++arguments;
    mount(root, root, 0, MS_BIND | MS_REC, 0);
    for (; binds[0][1]; binds += 2)
        mount(binds[0], binds[1], 0, MS_BIND, 0);
    must(7, call(__NR_chdir, root));
    mount("/dev", "dev", 0, MS_BIND | MS_REC, 0);
    mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
    if (namespaces & CLONE_NEWUSER)
        mount("/sys", "sys", 0, MS_BIND | MS_REC, 0);
    else
        mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
    mount("tmpfs", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount("/etc/resolv.conf", "etc/resolv.conf", 0, MS_BIND, 0);
    must(8, call(__NR_pivot_root, ".", "."));
    must(9, call(__NR_umount2, ".", 2 /* MNT_DETACH */));

    pid = clone(CLONE_VM | CLONE_VFORK);
    if (!pid) {
        call(__NR_execve, arguments[1], arguments + 1, environment);
        quit(127);
    }
    must(10, pid);
    return wait_for(pid);
}
