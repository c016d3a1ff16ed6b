/* Waits until it is killed. */
#include "raw.h"

int start(char **arguments, char **environment)
{
    (void)arguments;
    (void)environment;
    for (;;)
        call(__NR_ppoll, 0, 0, 0, 0, 8);
}
