/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line on the terminal that says how a run goes.
 *
 * Threading: on reactor 0. Workers' counts are read without ordering: the line may be a little
 * late.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "perf/perf.h"

#define EVERY NS_PER_SEC

static uint64_t done_by_all(const struct perf_run *run)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < run->count; i++)
		done += __atomic_load_n(&run->workers[i].done, __ATOMIC_RELAXED);
	return done;
}

static void show(struct reactor_timer *timer)
{
	struct perf_run *run = container_of(timer, struct perf_run, progress);
	uint64_t now = clock_ns(), done = done_by_all(run);
	double seconds = (double)(now - run->progress_ns) / (double)NS_PER_SEC;
	double rate = (double)(done - run->progress_done) / seconds;

	fprintf(stderr, "\r%" PRIu64 " I/Os, %.0f IOPS, %.1f MiB/s   ", done, rate,
		rate * (double)run->o->io_size / (1 << 20));
	run->progress_shown = true;
	run->progress_done = done;
	run->progress_ns = now;
	reactor_timer_start(timer, EVERY);
}

void perf_progress_start(struct perf_run *run)
{
	if (run->o->quiet || !isatty(STDERR_FILENO))
		return;
	run->progress.fn = show;
	run->progress_ns = clock_ns();
	reactor_timer_start(&run->progress, EVERY);
}

void perf_progress_stop(struct perf_run *run)
{
	reactor_timer_stop(&run->progress);
	if (run->progress_shown)
		fputs("\r\033[K", stderr);
	run->progress_shown = false;
}
