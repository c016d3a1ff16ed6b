/* Makes COUNT orphans in bursts of BURST: usage: bench-orphans COUNT BURST
 *
 * The child of pid 1 in a new pid namespace with its own /proc. Prints one line: wall time in ns,
 * CPU time of pid 1 in ns, its voluntary context switches, and the zombies left. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static long long cpu_of_init(void)
{
    long long ns = -1;
    FILE *file = fopen("/proc/1/schedstat", "r");
    if (!file || fscanf(file, "%lld", &ns) != 1)
        exit(3);
    fclose(file);
    return ns;
}

static long switches_of_init(void)
{
    char line[256];
    long count = -1;
    FILE *file = fopen("/proc/1/status", "r");
    if (!file)
        exit(3);
    while (fgets(line, sizeof line, file))
        sscanf(line, "voluntary_ctxt_switches: %ld", &count);
    fclose(file);
    return count;
}

/* Counts the processes of this namespace except pid 1 and this one; with zombies, only zombies. */
static int others(int zombies)
{
    int count = 0;
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        int pid = atoi(entry->d_name);
        char path[64], text[512], *state;
        FILE *file;
        if (pid <= 1 || pid == getpid())
            continue;
        if (!zombies) {
            count++;
            continue;
        }
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        if (!(file = fopen(path, "r")))
            continue;
        if (fgets(text, sizeof text, file) && (state = strrchr(text, ')')) && state[2] == 'Z')
            count++;
        fclose(file);
    }
    closedir(directory);
    return count;
}

int main(int argc, char **argv)
{
    int count = argc > 2 ? atoi(argv[1]) : 0, burst = argc > 2 ? atoi(argv[2]) : 0;
    long long start, cpu;
    long switches;
    if (count < 1 || burst < 1)
        return 2;
    cpu = cpu_of_init();
    switches = switches_of_init();
    start = now();
    for (int made = 0; made < count; made += burst) {
        int gate[2];
        pid_t middle;
        if (pipe(gate) || (middle = fork()) < 0)
            return 4;
        if (!middle) {
            close(gate[1]);
            for (int i = 0; i < burst && made + i < count; i++) {
                pid_t orphan = fork();
                char byte;
                if (orphan < 0)
                    _exit(5);
                if (!orphan)
                    /* All processes of a burst end when the gate is closed. */
                    _exit(read(gate[0], &byte, 1) != 0);
            }
            _exit(0);
        }
        close(gate[0]);
        int status;
        if (waitpid(middle, &status, 0) != middle || status)
            return 5;
        close(gate[1]);
    }
    /* Wait until all have been reaped, at most 10 s. */
    long long limit = now() + 10000000000LL;
    while (others(0) && now() < limit)
        usleep(200);
    long long wall = now() - start;
    printf("%lld %lld %ld %d\n", wall, cpu_of_init() - cpu, switches_of_init() - switches,
           others(1));
    return 0;
}
