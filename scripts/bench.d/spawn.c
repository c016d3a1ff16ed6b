/* Runs commands one after the other and measures each from vfork(2) to its end.
 *
 * usage: spawn PAIRS SECONDS FILE
 *
 * FILE has a command in each line: a name and the words, separated by tabs. The first is the base. Each
 * other is run PAIRS times beside it, in turns (A B, B A, A B ...), for at most SECONDS but at least five
 * times. Prints for each the name, the number of pairs, the median of the times in ns, and the median and
 * quartiles of the ratios of a pair (this to base). For the base, all its times count. Programs are named by
 * paths; PATH is not searched. If a command fails, its name is printed and everything ends.
 *
 * This program is small and static, and vfork does not copy it: its share of a time is only the cost of
 * vfork, exec and wait. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS = 64, WORDS = 8192, PAIRS = 100000 };

extern char **environ;

struct command {
    char *name, *words[WORDS];
};

static struct command commands[COMMANDS];
static double base_times[COMMANDS * PAIRS], times[PAIRS], ratios[PAIRS];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static double run(struct command *command)
{
    int status = 0;
    double start = now();
    pid_t pid = vfork();
    if (!pid) {
        execve(command->words[0], command->words, environ);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
        fprintf(stderr, "spawn: %s failed with status %d\n", command->name,
                WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
        exit(1);
    }
    return now() - start;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Returns a quantile of sorted values. */
static double at(const double *values, int count, double part)
{
    return values[(int)((count - 1) * part + 0.5)];
}

static int read_commands(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    int count = 0;
    if (!file)
        return 0;
    while (count < COMMANDS && getline(&line, &size, file) > 0) {
        char *rest = strdup(line), *word;
        int words = 0;
        rest[strcspn(rest, "\n")] = 0;
        commands[count].name = strsep(&rest, "\t");
        while ((word = strsep(&rest, "\t")) && words < WORDS - 1)
            commands[count].words[words++] = word;
        if (words)
            count++;
    }
    fclose(file);
    return count;
}

int main(int argc, char **argv)
{
    int pairs_max = argc == 4 ? atoi(argv[1]) : 0, count = argc == 4 ? read_commands(argv[3]) : 0;
    double seconds = argc == 4 ? atof(argv[2]) : 0;
    int bases = 0;
    if (count < 1 || pairs_max < 1 || pairs_max > PAIRS) {
        fputs("usage: spawn PAIRS SECONDS FILE\n", stderr);
        return 2;
    }
    /* The commands have no input, and their output is discarded. */
    int output = dup(1), null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    FILE *results = fdopen(output, "w");
    fcntl(output, F_SETFD, FD_CLOEXEC);
    close(null);

    for (int i = 0; i < count; i++)
        run(&commands[i]);
    for (int i = 1; i < count; i++) {
        double limit = now() + seconds * 1e9;
        int pairs = 0;
        while (pairs < pairs_max && (pairs < 5 || now() < limit)) {
            double base, other;
            if (pairs % 2) {
                base = run(&commands[0]);
                other = run(&commands[i]);
            } else {
                other = run(&commands[i]);
                base = run(&commands[0]);
            }
            base_times[bases++] = base;
            times[pairs] = other;
            ratios[pairs++] = other / base;
        }
        qsort(times, pairs, sizeof *times, compare);
        qsort(ratios, pairs, sizeof *ratios, compare);
        fprintf(results, "%s\t%d\t%.0f\t%.3f\t%.3f\t%.3f\n", commands[i].name, pairs,
                at(times, pairs, 0.5), at(ratios, pairs, 0.5), at(ratios, pairs, 0.25),
                at(ratios, pairs, 0.75));
    }
    qsort(base_times, bases, sizeof *base_times, compare);
    fprintf(results, "%s\t%d\t%.0f\t1\t1\t1\n", commands[0].name, bases, at(base_times, bases, 0.5));
    return fclose(results) != 0;
}
