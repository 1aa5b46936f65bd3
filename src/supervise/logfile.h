/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log file of bounded size: when it is full it becomes FILE.1, FILE.1 becomes FILE.2, and so on;
 * the oldest is given up.
 *
 * Threading: a log file belongs to one thread.
 */
#ifndef SUPERVISE_LOGFILE_H
#define SUPERVISE_LOGFILE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct logfile {
	char path[PATH_MAX];
	uint64_t limit; /* bytes of one file */
	uint64_t size;	/* of the current one */
	unsigned int keep;
	int fd;
};

/** logfile_open() - @keep older files stay; 0 or the errno of the open with @err filled */
int logfile_open(struct logfile *l, const char *path, uint64_t limit, unsigned int keep,
		 struct error *err);
void logfile_close(struct logfile *l);
/** logfile_write() - append; what cannot be written (a full disk) is lost, not waited for */
void logfile_write(struct logfile *l, const char *data, size_t len);

#endif
