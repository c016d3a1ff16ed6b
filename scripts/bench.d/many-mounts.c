/* Runs a command with many more mounts: in a new mount namespace it mounts a tmpfs on a directory, and binds
 * it COUNT times on directories in it.
 *
 * usage: many-mounts COUNT DIRECTORY COMMAND [ARG]... */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void must(const char *what, int failed)
{
    if (failed) {
        perror(what);
        exit(125);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    must("unshare", unshare(CLONE_NEWNS));
    must("mount /", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    must(argv[2], mount("tmpfs", argv[2], "tmpfs", 0, "size=16m"));
    /* The targets are on another mount: a bind must not contain the earlier binds. */
    char source[4096], target[4096];
    snprintf(source, sizeof source, "%s/source", argv[2]);
    must(source, mkdir(source, 0755));
    for (int i = 0; i < atoi(argv[1]); i++) {
        snprintf(target, sizeof target, "%s/%d", argv[2], i);
        must(target, mkdir(target, 0755));
        must(target, mount(source, target, NULL, MS_BIND, NULL));
    }
    execv(argv[3], argv + 3);
    must(argv[3], 1);
}
