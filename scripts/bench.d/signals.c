/* Sends COUNT signals to its parent, an init that passes them on. Each is sent when the one before has come
 * back. Prints the wall time in ns.
 *
 * usage: signals COUNT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int argc, char **argv)
{
    sigset_t set;
    int got;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    double start = now();
    for (long left = argc > 1 ? atol(argv[1]) : 0; left > 0; left--)
        if (kill(getppid(), SIGUSR1) || sigwait(&set, &got))
            return 1;
    printf("%.0f\n", now() - start);
    return 0;
}
