/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress line.
 *
 * Threading: one thread.
 */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

#define QUIET_NS 1000000000ull
#define COLUMNS	 80 /* of a terminal that does not tell */

static bool shown;

/* A line that the terminal breaks could not be written over. */
static int room_for_step(const struct cyborg_spdk_progress *p)
{
	int others = snprintf(NULL, 0, "%s [%u/%u]  ... %.1f s", p->verb, p->at, p->of,
			      (double)p->elapsed_ns / 1e9);
	struct winsize w;
	int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : COLUMNS;

	return columns > others + 1 ? columns - others - 1 : 0;
}

static void on_progress(void *arg, const struct cyborg_spdk_progress *p)
{
	(void)arg;
	if (p->elapsed_ns < QUIET_NS)
		return;
	shown = true;
	fprintf(stderr, "\r\033[K%s [%u/%u] %.*s ... %.1f s", p->verb, p->at, p->of,
		room_for_step(p), p->step, (double)p->elapsed_ns / 1e9);
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
