/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cyborg-spdk-tgt: start, serve, leave.
 *
 * The socket is taken first, so that a second instance is refused before it touches a device;
 * clients are served when the configuration is loaded.
 *
 * Threading: main() before and after the reactors; the rest on reactor 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/process.h"
#include "base/version.h"
#include "bdev/bdev.h"
#include "reactor/io.h"
#include "rpc/config.h"
#include "rpc/framework.h"
#include "rpc/rpc.h"
#include "rpc/server.h"
#include "tgt/options.h"

#define PROGRAM "cyborg-spdk-tgt"

#define EXIT_USAGE 2

/* Group and supervisor may both pass on one wish: what comes so soon is the same. */
#define SAME_SIGNAL_NS NS_PER_SEC

/* What may take longer than the hosts' part of leaving: closing files, removing bdevs. */
#define LEAVE_GRACE_NS (5 * NS_PER_SEC)

/**
 * What there is of the program
 * @busy: a start is under way; leaving waits for it
 */
static struct {
	struct tgt_options o;
	struct rpc_server *server;
	int signal_fd;
	struct reactor_io signal_io;
	struct reactor_timer late;
	bool busy, leave_asked, leaving;
	uint64_t signal_ns; /* of the first one; 0: none came */
	int exit_code;
} tgt = { .signal_fd = -1 };

/* --- leaving ---------------------------------------------------------------------------------- */

static void server_closed(void *arg)
{
	(void)arg;
	reactor_timer_stop(&tgt.late);
	reactor_system_stop();
}

static void engine_stopped(void *arg)
{
	(void)arg;
	if (tgt.server)
		rpc_server_close(tgt.server, server_closed, NULL);
	else
		server_closed(NULL);
}

/* Files that would mislead go; what else we hold the kernel takes back. */
static _Noreturn void leave_now(const char *why)
{
	log_warning("leaving at once: %s", why);
	if (tgt.server)
		rpc_server_abandon(tgt.server);
	if (tgt.o.pid_file)
		unlink(tgt.o.pid_file);
	_exit(EXIT_FAILURE);
}

static void too_late(struct reactor_timer *timer)
{
	(void)timer;
	leave_now("not everything could be released in time");
}

static void leave(void)
{
	if (tgt.busy) {
		tgt.leave_asked = true;
		return;
	}
	/* A signal may come while a failed start is on its way out. */
	if (tgt.leaving)
		return;
	tgt.leaving = true;
	notify_send("STOPPING=1");
	framework_leave();
	tgt.late.fn = too_late;
	reactor_timer_start(&tgt.late, tgt.o.drain_ns + LEAVE_GRACE_NS);
	rpc_engine_stop((uint32_t)(tgt.o.drain_ns / NS_PER_MSEC), engine_stopped, NULL);
}

static void fail(const char *text)
{
	log_error("%s", text);
	tgt.exit_code = EXIT_FAILURE;
	leave();
}

/* --- signals ---------------------------------------------------------------------------------- */

static void signals_wait(void);

static void first_signal(const struct signalfd_siginfo *info)
{
	tgt.signal_ns = clock_ns();
	log_notice("%s from process %" PRIu32 ": leaving, within %.1f s",
		   strsignal((int)info->ssi_signo), info->ssi_pid,
		   (double)tgt.o.drain_ns / (double)NS_PER_SEC);
	leave();
}

static void signalled(struct reactor_io *io, int32_t result)
{
	struct signalfd_siginfo info;

	(void)io;
	if (result >= 0 && read(tgt.signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (tgt.signal_ns != 0 && clock_ns() - tgt.signal_ns > SAME_SIGNAL_NS)
			leave_now("a second signal came");
		if (tgt.signal_ns == 0)
			first_signal(&info);
	}
	signals_wait();
}

static void signals_wait(void)
{
	tgt.signal_io.done = signalled;
	reactor_io_poll(&tgt.signal_io, tgt.signal_fd, POLLIN);
}

static int signals_open(struct error *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	/* Before there is another thread, so that all inherit it. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	tgt.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (tgt.signal_fd < 0)
		return error_set(err, -errno, "signalfd: %s", error_errno_text(-errno));
	return 0;
}

/* --- start ------------------------------------------------------------------------------------ */

static void serve(void)
{
	if (tgt.server)
		rpc_server_start(tgt.server);
	notify_send("READY=1");
}

static void loaded(void *arg, int result, const struct error *err)
{
	(void)arg;
	tgt.busy = false;
	if (result < 0)
		fail(err->text);
	else if (tgt.leave_asked)
		leave();
	else
		serve();
}

static int write_pid_file(struct error *err)
{
	FILE *f;

	if (!tgt.o.pid_file)
		return 0;
	f = fopen(tgt.o.pid_file, "we");
	if (!f || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f) != 0)
		return error_set(err, -errno, "pid file %s: cannot write: %s", tgt.o.pid_file,
				 error_errno_text(-errno));
	return 0;
}

static int prepare(struct error *err)
{
	struct rpc_server_limits limits;
	int rc = 0;

	rpc_server_limits_init(&limits);
	if (tgt.o.rpcs_allowed) {
		rc = rpc_methods_allow(tgt.o.rpcs_allowed, err);
		if (rc < 0)
			return error_prefix(err, "--rpcs-allowed: ");
	}
	if (!tgt.o.no_rpc_server)
		rc = rpc_server_open(tgt.o.rpc_socket, &limits, &tgt.server, err);
	return rc < 0 ? rc : write_pid_file(err);
}

static void start(void *arg)
{
	struct error err = ERROR_INIT;

	(void)arg;
	signals_wait();
	rpc_engine_register();
	framework_set_polling(tgt.o.reactor.poll);
	framework_set_max_connections((uint32_t)tgt.o.max_connections);
	if (tgt.o.ignored[0])
		log_notice("options without a meaning here: %s", tgt.o.ignored);
	if (prepare(&err) < 0) {
		fail(err.text);
		return;
	}
	if (tgt.o.config) {
		tgt.busy = true;
		rpc_config_load(tgt.o.config, tgt.o.config_go_on, loaded, NULL);
		return;
	}
	if (!tgt.o.wait_for_rpc && framework_start(&err) < 0)
		fail(err.text);
	else
		serve();
}

/* Connections are descriptors: as many as we may have. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the number of descriptors to %llu: %s",
			    (unsigned long long)limit.rlim_max, error_errno_text(-errno));
}

static int run(struct error *err)
{
	int rc = signals_open(err);

	if (rc < 0)
		return rc;
	raise_limits();
	rc = reactor_system_start(&tgt.o.reactor, err);
	if (rc < 0)
		return rc;
	reactor_system_run(start, NULL);
	rpc_engine_unregister();
	reactor_system_fini();
	bdev_fini();
	close(tgt.signal_fd);
	if (tgt.o.pid_file && tgt.exit_code == 0)
		unlink(tgt.o.pid_file);
	return 0;
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;

	process_begin();
	log_set_program(PROGRAM);
	if (tgt_options_parse(&tgt.o, argc, argv, &err) < 0) {
		fprintf(stderr, PROGRAM ": %s\n", err.text);
		return EXIT_USAGE;
	}
	if (tgt.o.version)
		version_print(PROGRAM);
	if (tgt.o.help || tgt.o.version)
		return 0;
	if (run(&err) < 0) {
		log_error("%s", err.text);
		return EXIT_FAILURE;
	}
	return tgt.exit_code;
}
