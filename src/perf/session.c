/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connect, do what the mode says, disconnect.
 *
 * Threading: on reactor 0.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "perf/perf.h"

void perf_session_fail(struct perf_session *s, enum perf_exit exit, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("cyborg-spdk-perf: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	if (s->exit == PERF_EXIT_OK)
		s->exit = exit;
}

static void gone(void *user)
{
	(void)user;
	reactor_system_stop();
}

void perf_session_end(struct perf_session *s)
{
	if (s->leaving)
		return;
	s->leaving = true;
	if (s->ctrlr)
		nvme_ctrlr_disconnect(s->ctrlr, gone);
	else
		reactor_system_stop();
}

static void scanned(void *arg, int result)
{
	struct perf_session *s = arg;

	if (s->leaving)
		return;
	if (result != 0) {
		perf_session_fail(s, PERF_EXIT_CONNECT, "%s: cannot read the namespaces: %s",
				  s->o->ctrlr.path.subnqn, error_errno_text(result));
		perf_session_end(s);
		return;
	}
	s->ready(s);
}

static void ctrlr_ready(struct nvme_ctrlr *ctrlr, void *user, int result)
{
	struct perf_session *s = user;

	if (result != 0) {
		perf_session_fail(s, PERF_EXIT_CONNECT, "%s", nvme_ctrlr_error(ctrlr)->text);
		perf_session_end(s);
		return;
	}
	if (s->o->mode == PERF_DISCOVER)
		s->ready(s);
	else if (nvme_ctrlr_scan(ctrlr, scanned, s) != 0)
		scanned(s, -1);
}

static void ctrlr_lost(struct nvme_ctrlr *ctrlr, void *user, int reason)
{
	struct perf_session *s = user;

	(void)reason;
	perf_session_fail(s, PERF_EXIT_IO, "%s", nvme_ctrlr_error(ctrlr)->text);
	if (s->lost)
		s->lost(s);
	else
		perf_session_end(s);
}

static const struct nvme_ctrlr_ops ctrlr_ops = { .ready = ctrlr_ready, .lost = ctrlr_lost };

void perf_session_start(struct perf_session *s)
{
	struct error err = ERROR_INIT;

	if (nvme_ctrlr_connect(&s->o->ctrlr, &ctrlr_ops, s, &s->ctrlr, &err) != 0) {
		perf_session_fail(s, PERF_EXIT_USAGE, "%s", err.text);
		perf_session_end(s);
	}
}
