/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cyborg-spdk-supervise: the command line.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/options.h"
#include "base/process.h"
#include "base/version.h"
#include "supervise/supervise.h"

#define EXIT_USAGE 2
#define MAX_NS	   (24 * 3600 * NS_PER_SEC)

static void usage(FILE *f, const struct option_row *rows)
{
	fputs("usage: cyborg-spdk-supervise [options] -- TARGET ARGUMENTS...\n\n"
	      "Keeps one target alive: starts it again when it ends, with growing pauses, and\n"
	      "replays its saved configuration.\n\n",
	      f);
	options_help(f, rows);
}

static int check(const struct supervise_options *o, int words, struct error *err)
{
	if (words < 1)
		return error_set(
			err, -EINVAL,
			"no target was given: put `-- TARGET ARGUMENTS` behind the options");
	if (!o->pidfile)
		return error_set(err, -EINVAL, "--pidfile FILE is required");
	if (o->umask && (o->umask[strspn(o->umask, "01234567")] || strlen(o->umask) - 1 > 3))
		return error_set(err, -EINVAL, "--umask %.20s: give 1 to 4 octal digits", o->umask);
	if (o->alive_ns && !o->ready)
		return error_set(err, -EINVAL, "--alive needs --ready SOCKET: where to ask");
	if (o->backoff_min_ns > o->backoff_max_ns)
		return error_set(err, -EINVAL,
				 "--backoff-min is larger than --backoff-max: make it smaller");
	return 0;
}

int main(int argc, char **argv)
{
	struct supervise_options o = {
		.log_size = 4 << 20,
		.log_keep = 3,
		.ready_timeout_ns = 30 * NS_PER_SEC,
		.backoff_min_ns = 100 * NS_PER_MSEC,
		.backoff_max_ns = 30 * NS_PER_SEC,
		.drain_ns = 30 * NS_PER_SEC,
	};
	bool help = false, version = false;
	const struct option_row rows[] = {
		{ "pidfile", 'p', OPTION_STRING, "FILE", "lock and pids of supervisor and target",
		  &o.pidfile, 0, 0, NULL, NULL },
		{ "config", 'c', OPTION_STRING, "FILE",
		  "saved configuration; given to the target with -c when it exists", &o.config, 0,
		  0, NULL, NULL },
		{ "history", 0, OPTION_STRING, "FILE",
		  "kept for others: how often the target was started again, and why", &o.history, 0,
		  0, NULL, NULL },
		{ "umask", 0, OPTION_STRING, "MODE",
		  "of the target: rights that files which it makes do not give", &o.umask, 0, 0,
		  NULL, NULL },
		{ "log", 'l', OPTION_STRING, "FILE", "where the target's output goes", &o.log, 0, 0,
		  NULL, NULL },
		{ "log-size", 0, OPTION_SIZE, "SIZE", "largest log file (default 4M)", &o.log_size,
		  4096, UINT64_C(1) << 40, NULL, NULL },
		{ "log-keep", 0, OPTION_U64, "N", "how many older log files stay (default 3)",
		  &o.log_keep, 0, 100, NULL, NULL },
		{ "ready", 'r', OPTION_STRING, "SOCKET",
		  "the target is up when it answers on this UNIX socket", &o.ready, 0, 0, NULL,
		  NULL },
		{ "ready-timeout", 0, OPTION_SECONDS, "TIME",
		  "how long the first start may take (default 30s)", &o.ready_timeout_ns, 1, MAX_NS,
		  NULL, NULL },
		{ "backoff-min", 0, OPTION_SECONDS, "TIME",
		  "first pause before a new start (default 100ms)", &o.backoff_min_ns, 1, MAX_NS,
		  NULL, NULL },
		{ "backoff-max", 0, OPTION_SECONDS, "TIME", "longest pause (default 30s)",
		  &o.backoff_max_ns, 1, MAX_NS, NULL, NULL },
		{ "drain", 0, OPTION_SECONDS, "TIME",
		  "from SIGTERM to SIGKILL of the target (default 30s)", &o.drain_ns, 1, MAX_NS,
		  NULL, NULL },
		{ "alive", 0, OPTION_SECONDS, "TIME",
		  "kill a target that gave no answer on --ready's socket for so long (default: "
		  "never)",
		  &o.alive_ns, NS_PER_MSEC, MAX_NS, NULL, NULL },
		{ "daemon", 'd', OPTION_FLAG, NULL, "go to the background when the target is up",
		  &o.daemonize, 0, 0, NULL, NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "show this help", &help, 0, 0, NULL, NULL },
		{ "version", 'V', OPTION_FLAG, NULL, "show the version", &version, 0, 0, NULL,
		  NULL },
		{ 0 },
	};
	struct error err = ERROR_INIT;
	int words, rc;

	process_begin();
	words = options_parse(argc, argv, rows, true, &err);
	if (words >= 0 && help) {
		usage(stdout, rows);
		return 0;
	}
	if (words >= 0 && version) {
		version_print("cyborg-spdk-supervise");
		return 0;
	}
	if (words < 0 || check(&o, words, &err) < 0) {
		fprintf(stderr, "cyborg-spdk-supervise: %s\n", err.text);
		return EXIT_USAGE;
	}
	argv[1 + words] = NULL;
	o.argv = argv + 1;
	rc = supervise_run(&o, &err);
	if (rc < 0)
		fprintf(stderr, "cyborg-spdk-supervise: %s\n", err.text);
	return rc < 0 ? 1 : 0;
}
