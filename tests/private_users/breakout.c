// Attacks of root inside a run on the host. Each line `got: …` reports one that succeeded.
// Arguments: the device and inode of the host's root, and the pid that a process of the host has in
// this pid namespace, or 0.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void got(int is_done, const char *what) {
    if (is_done) printf("got: %s\n", what);
}

// Other errors mean that the kernel allows the call and only rejects these arguments.
static int is_allowed(long result) {
    return result >= 0 || (errno != EPERM && errno != EACCES && errno != ENOSYS);
}

// Writes this text to the file, or the contents of the file itself if the text is null.
static int can_write(const char *path, const char *text) {
    char held[4096];
    int file = open(path, O_RDONLY);
    ssize_t length = text ? (ssize_t)strlen(text) : file < 0 ? -1 : read(file, held, sizeof held);
    close(file);
    if (length < 0) return 0;
    file = open(path, O_WRONLY);
    int is_written = file >= 0 && write(file, text ? text : held, length) == length;
    close(file);
    return is_written;
}

static int can_open(const char *path) {
    int file = open(path, O_RDONLY);
    close(file);
    return file >= 0;
}

static void devices(void) {
    got(mknod("/tmp-node", S_IFBLK | 0600, makedev(8, 0)) == 0, "a block device");
    unlink("/tmp-node");
    got(mknod("/tmp-node", S_IFCHR | 0600, makedev(1, 1)) == 0, "/dev/mem");
    unlink("/tmp-node");
    got(mknod("/tmp-node", S_IFCHR | 0600, makedev(1, 11)) == 0, "/dev/kmsg");
    unlink("/tmp-node");
    got(is_allowed(mount("none", "/proc", "ext4", 0, "")), "a mount of a block device");
}

static void machine(void) {
    got(can_write("/proc/sys/kernel/core_pattern", NULL), "core_pattern");
    got(can_write("/proc/sys/kernel/modprobe", NULL), "the modprobe path");
    got(can_write("/proc/sys/vm/overcommit_memory", NULL), "vm settings");
    got(can_write("/proc/sysrq-trigger", "h"), "sysrq");
    got(can_write("/sys/kernel/uevent_helper", NULL) || can_write("/sys/kernel/mm/ksm/run", NULL), "/sys");
    got(is_allowed(syscall(SYS_finit_module, -1, "", 0)), "modules");
    got(is_allowed(syscall(SYS_kexec_load, 0, 1000, NULL, 0)), "kexec");
    got(is_allowed(swapon("/nothing", 0)), "swap");
    got(is_allowed(acct("/nothing")), "accounting");
    got(can_open("/proc/kcore"), "kcore");
    got(can_open("/proc/1/root/root-of-host"), "pid 1's root");
}

static void processes(int host) {
    if (!host) return;
    char path[64];
    got(kill(host, 0) == 0, "a signal to a process of the host's");
    got(ptrace(PTRACE_SEIZE, host, 0, 0) == 0, "a trace of a process of the host's");
    for (int i = 0; i < 4; i++) {
        const char *names[] = {"environ", "mem", "root/.", "ns/mnt"};
        snprintf(path, sizeof path, "/proc/%d/%s", host, names[i]);
        got(can_open(path), names[i]);
    }
}

// Changes the root to a directory, and then goes up from a descriptor above it.
static void root(unsigned long device, unsigned long inode) {
    struct stat here;
    int outside = open("/", O_RDONLY | O_DIRECTORY);
    mkdir("/tmp-root", 0700);
    if (chroot("/tmp-root") == 0) {
        if (fchdir(outside)) return;
        for (int i = 0; i < 64; i++)
            if (chdir("..")) return;
        if (chroot(".")) return;
    }
    got(stat("/", &here) == 0 && here.st_dev == device && here.st_ino == inode, "the host's root");
    rmdir("/tmp-root");
    struct {
        struct file_handle head;
        char room[128];
    } handle = {.head.handle_bytes = 128};
    int id;
    if (name_to_handle_at(AT_FDCWD, "/", &handle.head, &id, 0) == 0)
        got(open_by_handle_at(outside, &handle.head, O_RDONLY) >= 0, "a file by its handle");
}

int main(int count, char **arguments) {
    (void)count;
    setvbuf(stdout, NULL, _IONBF, 0);
    devices();
    machine();
    processes(atoi(arguments[3]));
    root(strtoul(arguments[1], NULL, 10), strtoul(arguments[2], NULL, 10));
    return 0;
}
