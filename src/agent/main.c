/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cyborg-spdk-agent: the command line, and the loop around the rounds.
 *
 * Threading: the main thread; one more for each HTTP server (http.h).
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/http.h"
#include "agent/look.h"
#include "base/clock.h"
#include "base/notify.h"
#include "base/options.h"
#include "base/process.h"
#include "base/version.h"

#define PROGRAM	       "cyborg-spdk-agent"
#define EXIT_USAGE     2
#define LISTEN_DEFAULT "127.0.0.1:10009"
#define INTERVAL_MIN   (NS_PER_SEC / 10)
#define INTERVAL_MAX   (3600 * NS_PER_SEC)

/** struct options - the command line */
struct options {
	const char *state_dir, *listen, *metrics_listen, *log_format;
	uint64_t interval_ns;
	bool observe, once, help, version;
};

/**
 * struct agent - all of it
 * @woken: by a signal: the pause between two rounds is over
 * @slice_over, @timer_fired: of a slice of that pause
 */
struct agent {
	struct look look;
	struct http_server *http, *metrics;
	struct loop_watch *watch;
	int signals;
	bool stop, woken, slice_over, timer_fired;
};

static int check(const struct options *o, int words, char **argv, struct error *err)
{
	if (words > 0)
		return error_set(err, -EINVAL, "the word \"%.100s\" is one too many", argv[1]);
	if (strcmp(o->log_format, "logfmt") != 0 && strcmp(o->log_format, "json") != 0)
		return error_set(err, -EINVAL, "--log-format %.40s: give logfmt or json",
				 o->log_format);
	return 0;
}

/* SIGTERM, SIGINT: leave. SIGHUP: look now. */
static void on_signal(void *arg, short revents)
{
	struct agent *a = arg;
	struct signalfd_siginfo info;

	(void)revents;
	while (read(a->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		a->woken = a->slice_over = true;
		if (info.ssi_signo != SIGHUP)
			a->stop = true;
	}
}

static int watch_signals(struct agent *a, struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	/* Before the servers' threads, which inherit it. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (a->signals < 0)
		return error_set(err, -errno, "signalfd: %s", error_errno_text(-errno));
	a->watch = loop_watch(a->look.d->loop, a->signals, POLLIN, on_signal, a);
	return a->watch ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static void on_timer(void *arg)
{
	struct agent *a = arg;

	a->timer_fired = a->slice_over = true;
}

/* In slices, so that the watchdog hears of us. */
static void pause_until(struct agent *a, uint64_t end)
{
	uint64_t slice = a->look.watchdog_ns ? a->look.watchdog_ns : INTERVAL_MAX, now;
	struct loop *l = a->look.d->loop;

	while (!a->woken && (now = clock_ns()) < end) {
		struct loop_timer *t =
			loop_timer(l, slice < end - now ? now + slice : end, on_timer, a);

		a->timer_fired = a->slice_over = false;
		if (!t || loop_run(l, &a->slice_over) < 0)
			return;
		if (!a->timer_fired)
			loop_timer_cancel(l, t);
		look_ping(&a->look);
	}
	a->woken = false;
}

static void say_ready(struct agent *a, const struct options *o)
{
	char text[256];

	journal(LOG_NOTICE, "ready",
		json_pack("{s:s, s:s, s:i, s:s, s:f, s:b}", "version", version_release(), "listen",
			  o->listen, "port", (int)http_port(a->http), "state_dir", a->look.d->dir,
			  "interval_s", (double)o->interval_ns / (double)NS_PER_SEC, "recovers",
			  a->look.recover));
	snprintf(text, sizeof(text), "READY=1\nSTATUS=Looking every %g s",
		 (double)o->interval_ns / (double)NS_PER_SEC);
	notify_send(text);
}

static void run(struct agent *a, const struct options *o)
{
	bool said = false;

	while (!a->stop) {
		uint64_t next = clock_ns() + o->interval_ns;

		look_round(&a->look);
		/* What JSON trees left behind goes back to the system. */
		malloc_trim(0);
		if (o->once)
			return;
		if (!said)
			say_ready(a, o);
		said = true;
		pause_until(a, next);
	}
	notify_send("STOPPING=1");
}

static int print_once(struct agent *a)
{
	size_t len;
	char *text = board_copy(a->look.board, BOARD_METRICS, &len);

	errno = 0;
	if (text)
		fputs(text, stdout);
	free(text);
	if (text && fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, PROGRAM ": the metrics cannot be written to standard output: %s\n",
		errno ? error_errno_text(-errno) : "a write failed");
	return -EIO;
}

static int start(struct agent *a, const struct options *o, struct error *err)
{
	int rc = driver_open(o->state_dir, &a->look.d, err);

	if (rc == 0)
		rc = driver_state(a->look.d, DRIVER_STATE_READ, err);
	/* What else is wrong with it may be mended while we look. */
	if (!a->look.d || rc == -EPERM)
		return rc;
	*err = (struct error)ERROR_INIT;
	a->look.recover = !o->observe;
	a->look.watchdog_ns = notify_watchdog_ns();
	a->look.board = board_create();
	if (!a->look.board)
		return error_set(err, -ENOMEM, "out of memory");
	rc = watch_signals(a, err);
	if (rc == 0 && !o->once)
		rc = http_start(o->listen, HTTP_ALL, a->look.board, &a->http, err);
	if (rc == 0 && !o->once && o->metrics_listen)
		rc = http_start(o->metrics_listen, HTTP_METRICS, a->look.board, &a->metrics, err);
	return rc;
}

static void finish(struct agent *a)
{
	http_stop(a->metrics);
	http_stop(a->http);
	if (a->watch)
		loop_unwatch(a->look.d->loop, a->watch);
	if (a->signals >= 0)
		close(a->signals);
	look_fini(&a->look);
	board_destroy(a->look.board);
	driver_close(a->look.d);
}

static int agent_main(const struct options *o)
{
	struct agent a = { .signals = -1 };
	struct error err = ERROR_INIT;
	int rc;

	journal_set_json(!strcmp(o->log_format, "json"));
	rc = start(&a, o, &err);
	if (rc == 0) {
		run(&a, o);
		if (o->once)
			rc = print_once(&a);
		else
			journal(LOG_NOTICE, "leaving", NULL);
	} else {
		fprintf(stderr, PROGRAM ": %s\n", err.text);
	}
	finish(&a);
	return rc == 0 ? 0 : rc == -EINVAL || rc == -EPERM ? EXIT_USAGE : 1;
}

static void usage(const struct option_row *rows)
{
	puts("usage: cyborg-spdk agent [options]\n\n"
	     "Looks after the accelerators of this node: starts targets that are down, brings "
	     "back\n"
	     "attachments that are not as recorded, and serves metrics and status over HTTP.\n");
	options_help(stdout, rows);
}

int main(int argc, char **argv)
{
	struct options o = { .listen = LISTEN_DEFAULT,
			     .log_format = "logfmt",
			     .interval_ns = 5 * NS_PER_SEC };
	const struct option_row rows[] = {
		{ "listen", 'l', OPTION_STRING, "ADDR:PORT",
		  "loopback address of metrics, status and health (default " LISTEN_DEFAULT ")",
		  &o.listen, 0, 0, NULL, NULL },
		{ "metrics-listen", 'm', OPTION_STRING, "ADDR:PORT",
		  "serve the metrics, and nothing else, at this address too", &o.metrics_listen, 0,
		  0, NULL, NULL },
		{ "interval", 'i', OPTION_SECONDS, "TIME", "from look to look (default 5s)",
		  &o.interval_ns, INTERVAL_MIN, INTERVAL_MAX, NULL, NULL },
		{ "observe", 'o', OPTION_FLAG, NULL, "only tell: start and change nothing",
		  &o.observe, 0, 0, NULL, NULL },
		{ "once", '1', OPTION_FLAG, NULL, "look once, print the metrics, leave; no HTTP",
		  &o.once, 0, 0, NULL, NULL },
		{ "log-format", 0, OPTION_STRING, "FORMAT", "logfmt (default) or json",
		  &o.log_format, 0, 0, NULL, NULL },
		{ "state-dir", 0, OPTION_STRING, "DIR", "state directory", &o.state_dir, 0, 0, NULL,
		  NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "show this help", &o.help, 0, 0, NULL, NULL },
		{ "version", 'V', OPTION_FLAG, NULL, "show release and commit", &o.version, 0, 0,
		  NULL, NULL },
		{ 0 },
	};
	struct error err = ERROR_INIT;
	int words;

	process_begin();
	words = options_parse(argc, argv, rows, false, &err);
	if (words >= 0 && o.help) {
		usage(rows);
		return 0;
	}
	if (words >= 0 && o.version) {
		version_print(PROGRAM);
		return 0;
	}
	if (words < 0 || check(&o, words, argv, &err) < 0) {
		fprintf(stderr, PROGRAM ": %s\n", err.text);
		return EXIT_USAGE;
	}
	return agent_main(&o);
}
