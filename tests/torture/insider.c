/* Tries, from inside a run, to reach a process that is not its own, and the host's files, keys and memory. Each line `got: …` names something that it could do.
 *
 * usage: insider PID|parent MARKER KEY
 *
 * PID is the process to reach, or `parent`. MARKER is a path of the host that the run does not show. KEY is both the number of a segment of shared memory and the name of a key in the caller's session keyring. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void got(int is_done, const char *what) {
    if (is_done) printf("got: %s\n", what);
}

static int opens(const char *path, int flags) {
    int file = open(path, flags);
    if (file < 0) return 0;
    char byte;
    int is_read = flags & (O_PATH | O_DIRECTORY) || read(file, &byte, 1) >= 0;
    close(file);
    return is_read;
}

/* Tries to open the files of /proc/PID, and to read its links. */
static void proc(long pid) {
    static const char *const files[] = {"environ", "maps", "auxv", "syscall", "io"};
    static const char *const links[] = {"root", "cwd", "exe", "ns/mnt", "ns/user", "fd/0"};
    char path[128], target[4096];
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "/proc/%ld/%s", pid, files[i]);
        got(opens(path, O_RDONLY), files[i]);
    }
    snprintf(path, sizeof path, "/proc/%ld/mem", pid);
    int file = open(path, O_RDWR);
    got(file >= 0, "mem");
    close(file);
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++) {
        snprintf(path, sizeof path, "/proc/%ld/%s", pid, links[i]);
        got(readlink(path, target, sizeof target) > 0 || opens(path, O_PATH), links[i]);
    }
    snprintf(path, sizeof path, "/proc/%ld/oom_score_adj", pid);
    got(opens(path, O_WRONLY) || open(path, O_WRONLY) >= 0, "oom_score_adj");
}

static void process(long pid) {
    char byte;
    /* The address need not be mapped: EFAULT also shows that the read was permitted. */
    struct iovec here = {&byte, 1}, there = {(void *)4096, 1};
    proc(pid);
    got(ptrace(PTRACE_SEIZE, pid, 0, 0) == 0, "a trace");
    ptrace(PTRACE_DETACH, pid, 0, 0);
    long count = process_vm_readv(pid, &here, 1, &there, 1, 0);
    got(count >= 0 || errno == EFAULT, "process_vm_readv");
    got(syscall(SYS_kcmp, getpid(), pid, 2, 0, 0) >= 0, "kcmp");
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    got(pidfd >= 0 && syscall(SYS_pidfd_getfd, pidfd, 0, 0) >= 0, "a descriptor");
    pid_t child = fork();
    if (child == 0) _exit(setns(pidfd, CLONE_NEWNS) == 0 || setns(pidfd, CLONE_NEWPID) == 0);
    int status = 0;
    waitpid(child, &status, 0);
    got(pidfd >= 0 && WIFEXITED(status) && WEXITSTATUS(status), "its namespaces");
}

static void host(const char *marker, const char *key) {
    char path[4096];
    got(opens(marker, O_RDONLY), "the file");
    snprintf(path, sizeof path, "/proc/1/root%s", marker);
    got(opens(path, O_RDONLY), "the file by pid 1's root");
    /* Enters its own root, and then goes up as far as possible. */
    int outside = open("/", O_RDONLY | O_DIRECTORY);
    mkdir("/insider", 0700);
    if (chroot("/insider") == 0 && fchdir(outside) == 0) {
        for (int i = 0; i < 64; i++)
            if (chdir("..")) break;
        got(opens(marker[0] == '/' ? marker + 1 : marker, O_RDONLY), "the file by a root of its own");
        if (chroot(".")) return;
    }
    close(outside);
    rmdir("/insider");
    got(syscall(SYS_keyctl, 10, -3, "user", key, 0) >= 0, "the key");
    got(shmget(atoi(key), 0, 0) >= 0, "the shared memory");
}

/* Looks for processes of another run by their command lines. */
static void others(void) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    while (proc && (entry = readdir(proc))) {
        char path[512], words[64] = "";
        snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        int file = open(path, O_RDONLY);
        ssize_t length = file >= 0 ? read(file, words, sizeof words - 1) : 0;
        for (ssize_t i = 0; i + 1 < length; i++)
            if (!words[i]) words[i] = ' ';
        if (length > 0) got(strstr(words, "/other") != NULL, "another run's process");
        if (file >= 0) close(file);
    }
}

int main(int count, char **words) {
    if (count < 4) return 99;
    setvbuf(stdout, NULL, _IONBF, 0);
    for (int fd = 3; fd < 1024; fd++) got(fcntl(fd, F_GETFD) >= 0, "an open descriptor");
    others();
    process(strcmp(words[1], "parent") ? atol(words[1]) : getppid());
    host(words[2], words[3]);
    puts("done");
    return 0;
}
