/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmocka, and reactors for the time of a test.
 *
 * Threading: cmocka's assertions belong to the test's main thread, which is reactor 0; other
 * reactors use assert().
 */
#ifndef TESTS_UNIT_REACTOR_REACTOR_UNIT_H
#define TESTS_UNIT_REACTOR_REACTOR_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/container_of.h"
#include "base/cpuset.h"
#include "reactor/io.h"
#include "reactor/reactor.h"

/** assert_text_has() - @text contains @part; both are shown when it does not */
#define assert_text_has(text, part)                                                                \
	do {                                                                                       \
		if (!strstr(text, part))                                                           \
			fail_msg("'%s' lacks '%s'", text, part);                                   \
	} while (0)

/** unit_cores() - a mask of the first @count cores this process may use; skips without so many */
static inline const char *unit_cores(unsigned int count)
{
	static char text[CPU_SETSIZE / 4 + 8];
	cpu_set_t allowed, set;
	unsigned int found = 0;

	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	CPU_ZERO(&set);
	for (unsigned int core = 0; core < CPU_SETSIZE && found < count; core++) {
		if (CPU_ISSET(core, &allowed)) {
			CPU_SET(core, &set);
			found++;
		}
	}
	if (found < count) {
		print_message("needs %u cores, this process may use %u\n", count, found);
		skip();
	}
	cpuset_print(&set, text, sizeof(text));
	return text;
}

/** unit_options() - @count reactors that may share their cores with other tests */
static inline struct reactor_options unit_options(unsigned int count)
{
	struct reactor_options opts;

	reactor_options_init(&opts);
	opts.cores = unit_cores(count);
	opts.share_cores = true;
	return opts;
}

/** unit_run_with() - start, run @start on reactor 0 until reactor_system_stop(), end */
static inline void unit_run_with(const struct reactor_options *opts, void (*start)(void *arg),
				 void *arg)
{
	struct error err = ERROR_INIT;

	if (reactor_system_start(opts, &err) < 0)
		fail_msg("%s", err.text);
	reactor_system_run(start, arg);
	reactor_system_fini();
}

static inline void unit_run(unsigned int count, void (*start)(void *arg), void *arg)
{
	struct reactor_options opts = unit_options(count);

	unit_run_with(&opts, start, arg);
}

/** unit_fds() - open descriptors of this process */
static inline unsigned int unit_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif
