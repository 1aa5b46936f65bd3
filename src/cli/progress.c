/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress line.
 *
 * Threading: one thread.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

#define QUIET_NS 1000000000ull

static bool shown;

static void on_progress(void *arg, const struct cyborg_spdk_progress *p)
{
	(void)arg;
	if (p->elapsed_ns < QUIET_NS)
		return;
	shown = true;
	fprintf(stderr, "\r\033[K%s [%u/%u] %s ... %.1f s", p->verb, p->at, p->of, p->step,
		(double)p->elapsed_ns / 1e9);
	fflush(stderr);
}

void progress_start(struct cyborg_spdk *h)
{
	if (isatty(STDERR_FILENO))
		cyborg_spdk_set_progress(h, on_progress, NULL);
}

void progress_end(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	shown = false;
}
