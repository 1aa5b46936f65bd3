/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The beginning of a program, see process.h.
 *
 * Threading: as process.h.
 */
#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

void process_begin(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		close(fd);
	signal(SIGCHLD, SIG_DFL);
}
