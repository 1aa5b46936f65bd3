/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cyborg-spdk-perf: NVMe I/O, its verification, and identification, as a host.
 *
 * Threading: main thread, which becomes reactor 0.
 */
#include <stdio.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/process.h"
#include "perf/perf.h"

static void begin(void *arg)
{
	struct perf_session *s = arg;

	switch (s->o->mode) {
	case PERF_IDENTIFY:
		perf_identify_start(s);
		break;
	case PERF_DISCOVER:
		perf_discover_start(s);
		break;
	case PERF_ZERO:
	case PERF_EMPTY:
		perf_zero_start(s);
		break;
	default:
		perf_run_start(s);
		break;
	}
}

static int run(struct perf_options *o)
{
	struct perf_session session = { .o = o };
	struct error err = ERROR_INIT;
	sigset_t signals;

	if (o->mode == PERF_RUN)
		perf_block_signals(&signals);
	if (reactor_system_start(&o->reactor, &err) != 0) {
		fprintf(stderr, "cyborg-spdk-perf: %s\n", err.text);
		return PERF_EXIT_FAILURE;
	}
	reactor_system_run(begin, &session);
	reactor_system_fini();
	return (int)session.exit;
}

int main(int argc, char **argv)
{
	static struct perf_options options;
	struct error err = ERROR_INIT;
	int ret, exit;

	process_begin();
	log_set_program("cyborg-spdk-perf");
	/* What goes wrong is said once, by this program; the rooms below stay silent. */
	log_set_print_level(LOG_ERROR);
	ret = perf_options_parse(&options, argc, argv, &err);
	if (ret < 0) {
		fprintf(stderr, "cyborg-spdk-perf: %s\n", err.text);
		return PERF_EXIT_USAGE;
	}
	/* Keys are in memory: none of it gets into a file when this program crashes. */
	if (options.ctrlr.psk.len || options.ctrlr.dhchap_key.len)
		(void)prctl(PR_SET_DUMPABLE, 0);
	exit = ret > 0 ? PERF_EXIT_OK : run(&options);
	if (fflush(stdout) != 0) {
		perror("cyborg-spdk-perf: standard output");
		return PERF_EXIT_FAILURE;
	}
	return exit;
}
