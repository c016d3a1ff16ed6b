/* Starts rootlet after COUNT calls of the system call NUMBER, all of which fail.
 *
 * strace counts the calls of each process separately, and makes the same one fail in all of them.
 * With these calls in front, rootlet's own calls have numbers that its children do not reach.
 *
 * usage: start NUMBER COUNT ROOT PROGRAM [ARGUMENT]...
 *
 * If ROOT is not empty, PROGRAM is process 1 of a new pid namespace, with ROOT as its root. Then
 * this program waits for it, and ends with its status. */

#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    _exit(99);
}

int main(int count, char **words) {
    if (count < 5)
        return 99;
    if (*words[3]) {
        if (unshare(CLONE_NEWPID) != 0)
            fail("unshare");
        pid_t pid = fork();
        if (pid < 0)
            fail("fork");
        if (pid > 0) {
            int status;
            if (waitpid(pid, &status, 0) != pid)
                fail("waitpid");
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
        if (chroot(words[3]) != 0 || chdir("/") != 0)
            fail("chroot");
    }
    long number = atol(words[1]);
    for (long left = atol(words[2]); left > 0; left--)
        syscall(number, number == SYS_kill ? 0x7fffffffL : -1L, -1L, -1L, -1L, -1L, -1L);
    execv(words[4], words + 4);
    fail("execv");
}
