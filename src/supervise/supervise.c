/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's loop, see supervise.h.
 *
 * Threading: one thread.
 */
#include "supervise/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/listener.h"
#include "base/notify.h"

#define TAIL_SIZE     8192		/* of the target's output, for the caller */
#define WORDS_MAX     300		/* that the caller is told */
#define READY_POLL_NS (5 * NS_PER_MSEC) /* between looks at the socket */
#define MAX_SLEEP_NS  (3600 * NS_PER_SEC)
#define LONG_LIFE_NS  (60 * NS_PER_SEC) /* after that the pauses start over */

struct supervisor {
	const struct supervise_options *o;
	struct logfile log;
	struct history history;
	int pidfile;
	int signals;
	int output;   /* read end of the target's output; -1 without a log */
	int caller;   /* write end of the pipe to the process that waits for the start; -1 */
	pid_t target; /* it leads a process group */
	bool gone;    /* it ended, by @status, and others of its group have not yet */
	int status;
	uint64_t started_ns; /* of the target */
	uint64_t pause_ns;
	uint64_t start_at_ns; /* of the next start; 0 while the target runs */
	uint64_t watchdog_ns; /* between two signs of life for systemd; 0 when it wants none */
	uint64_t alive_at_ns; /* of the next sign */
	uint64_t kill_at_ns;  /* of SIGKILL while it is to end; 0 */
	struct alive alive;
	bool ready; /* it answered once */
	bool hung;  /* it was killed for that it answered no more */
	bool leaving;
	char tail[TAIL_SIZE + 1];
	size_t tail_len;
};

uint64_t supervise_backoff_next(const struct supervise_options *o, uint64_t pause_ns,
				uint64_t lived_ns)
{
	if (pause_ns == 0 || lived_ns >= LONG_LIFE_NS)
		return o->backoff_min_ns;
	if (pause_ns >= o->backoff_max_ns / 2)
		return o->backoff_max_ns;
	return pause_ns * 2;
}

static void note(struct supervisor *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Our own lines stand between the target's. */
static void note(struct supervisor *s, const char *fmt, ...)
{
	char text[512], line[640], stamp[32];
	time_t now = time(NULL);
	struct tm tm;
	va_list args;
	int len;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	len = snprintf(line, sizeof(line), "[%s] supervise: %s\n", stamp, text);
	if (s->o->log)
		logfile_write(&s->log, line, (size_t)len);
	else if (write(STDERR_FILENO, line, (size_t)len) < 0)
		return;
}

static void tail_add(struct supervisor *s, const char *data, size_t len)
{
	if (len >= TAIL_SIZE) {
		data += len - TAIL_SIZE;
		len = TAIL_SIZE;
	}
	if (s->tail_len + len > TAIL_SIZE) {
		size_t drop = s->tail_len + len - TAIL_SIZE;

		memmove(s->tail, s->tail + drop, s->tail_len - drop);
		s->tail_len -= drop;
	}
	memcpy(s->tail + s->tail_len, data, len);
	s->tail_len += len;
	s->tail[s->tail_len] = '\0';
}

static void drain_output(struct supervisor *s)
{
	char buf[16384];
	ssize_t n;

	while (s->output >= 0 && (n = read(s->output, buf, sizeof(buf))) > 0) {
		logfile_write(&s->log, buf, (size_t)n);
		tail_add(s, buf, (size_t)n);
	}
}

static char **target_argv(const struct supervise_options *o)
{
	size_t n = 0;
	char **argv;

	while (o->argv[n])
		n++;
	argv = calloc(n + 3, sizeof(*argv));
	if (!argv)
		return NULL;
	memcpy(argv, o->argv, n * sizeof(*argv));
	if (o->config && access(o->config, R_OK) == 0) {
		argv[n++] = (char *)"-c";
		argv[n++] = (char *)o->config;
	}
	return argv;
}

/* In the child: nothing but the signal mask, the death signal, the output, and exec. */
static void __attribute__((noreturn))
become_target(const struct supervise_options *o, char **argv, int output, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(125);
	if (output >= 0) {
		dup2(output, STDOUT_FILENO);
		dup2(output, STDERR_FILENO);
	}
	if (o->umask)
		umask((mode_t)strtoul(o->umask, NULL, 8));
	/* Of the two only the supervisor talks to systemd. */
	unsetenv("NOTIFY_SOCKET");
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s cannot be started: %s\n", argv[0], strerror(errno));
	_exit(126 + (errno == ENOENT));
}

static int make_output(struct supervisor *s, int *write_end)
{
	int fds[2];

	*write_end = -1;
	if (!s->o->log)
		return 0;
	if (s->output >= 0)
		close(s->output);
	s->output = -1;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	s->output = fds[0];
	*write_end = fds[1];
	return 0;
}

static int start_target(struct supervisor *s)
{
	char **argv = target_argv(s->o);
	pid_t parent = getpid();
	int write_end, rc;

	if (!argv)
		return -ENOMEM;
	rc = make_output(s, &write_end);
	if (rc == 0) {
		s->target = fork();
		if (s->target == 0)
			become_target(s->o, argv, write_end, parent);
		rc = s->target < 0 ? -errno : 0;
	}
	/* Here too: it may be told to end before it comes to that itself. */
	if (rc == 0)
		setpgid(s->target, s->target);
	if (write_end >= 0)
		close(write_end);
	free(argv);
	if (rc < 0) {
		s->target = 0;
		return rc;
	}
	s->started_ns = clock_ns();
	s->start_at_ns = 0;
	s->hung = s->gone = false;
	alive_begin(&s->alive, s->started_ns);
	pidfile_write(s->pidfile, parent, s->target);
	history_started(&s->history);
	note(s, "started %s, pid %d", s->o->argv[0], s->target);
	return 0;
}

int socket_open(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What a target before left may still take connections for a moment, and answers nobody. */
static bool socket_answers(const char *path, pid_t target)
{
	int fd = socket_open(path);
	bool ok = fd >= 0 && !listener_is_stale(fd, target);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* An empty line to the caller is success; anything else is the reason of the failure. */
static void tell_caller(struct supervisor *s, const char *text)
{
	if (s->caller < 0)
		return;
	dprintf(s->caller, "%s\n", text);
	close(s->caller);
	s->caller = -1;
}

static void describe_end(int status, char *buf, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(buf, size, "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(buf, size, "left with exit code %d", WEXITSTATUS(status));
}

/* Of what it said: the option that getopt did not take, what DPDK under it lacks, else its first
 * error, else the end. */
static const char *telling_words(struct supervisor *s)
{
	static const char *const telling[] = { "unrecognized option",
					       "invalid option",
					       "requires an argument",
					       "EAL: Not enough",
					       "EAL: FATAL",
					       "*ERROR*: ",
					       NULL };

	while (s->tail_len && s->tail[s->tail_len - 1] == '\n')
		s->tail[--s->tail_len] = '\0';
	for (const char *const *t = telling; *t; t++) {
		char *at = strstr(s->tail, *t), *line = at;

		if (!at)
			continue;
		while (line > s->tail && line[-1] != '\n')
			line--;
		line[strcspn(line, "\n")] = '\0';
		return t[1] ? line : at + strlen(*t);
	}
	return s->tail_len > WORDS_MAX ? s->tail + s->tail_len - WORDS_MAX : s->tail;
}

static int start_failed(struct supervisor *s, const char *how, struct error *err)
{
	const char *words = telling_words(s);

	s->leaving = true;
	return error_set(err, -EHOSTDOWN, "target %s %s before it was ready%s%.*s", s->o->argv[0],
			 how, words[0] ? "; its last words: " : "", WORDS_MAX, words);
}

static int target_ended(struct supervisor *s, int status, struct error *err)
{
	uint64_t lived = clock_ns() - s->started_ns;
	char how[96];

	drain_output(s);
	if (s->hung)
		snprintf(how, sizeof(how), "did not answer for %g s and was killed",
			 (double)s->o->alive_ns / (double)NS_PER_SEC);
	else
		describe_end(status, how, sizeof(how));
	alive_begin(&s->alive, clock_ns());
	note(s, "target %d %s", s->target, how);
	leftovers_remove(s->target);
	s->target = 0;
	pidfile_write(s->pidfile, getpid(), 0);
	if (s->leaving)
		return 0;
	if (!s->ready)
		return start_failed(s, how, err);
	s->pause_ns = supervise_backoff_next(s->o, s->pause_ns, lived);
	s->start_at_ns = clock_ns() + s->pause_ns;
	history_ended(&s->history, how);
	note(s, "next start in %llu ms", (unsigned long long)(s->pause_ns / NS_PER_MSEC));
	return 0;
}

/* What a script started and did not become is part of the target as well. */
static void signal_target(const struct supervisor *s, int signal)
{
	if (kill(-s->target, signal) < 0)
		kill(s->target, signal);
}

static void end_target(struct supervisor *s)
{
	signal_target(s, SIGTERM);
	s->kill_at_ns = clock_ns() + s->o->drain_ns;
}

/* Whoever is left of it has backing, ports and socket still: the next start would find them taken.
 */
static int check_gone(struct supervisor *s, struct error *err)
{
	if (!s->gone)
		return 0;
	if (kill(-s->target, 0) < 0) {
		s->gone = false;
		s->kill_at_ns = 0;
		return target_ended(s, s->status, err);
	}
	if (!s->kill_at_ns) {
		note(s, "target %d ended and left others of its process group: told to end",
		     s->target);
		end_target(s);
	}
	return 0;
}

/* Orphans of the target come here too: this is their subreaper. */
static int reap(struct supervisor *s, struct error *err)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != s->target)
			continue;
		s->gone = true;
		s->status = status;
	}
	return check_gone(s, err);
}

static void leave(struct supervisor *s)
{
	s->leaving = true;
	notify_send("STOPPING=1");
	if (s->target > 0)
		end_target(s);
}

static int take_signals(struct supervisor *s, struct error *err)
{
	struct signalfd_siginfo info;
	int rc = 0;

	while (rc == 0 && read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			rc = reap(s, err);
		else if (!s->leaving)
			leave(s);
	}
	return rc;
}

/* Nobody reads the other end of the pipe: who asked for the start was killed. */
static bool caller_is_gone(const struct supervisor *s)
{
	struct pollfd p = { .fd = s->caller };

	return s->caller >= 0 && poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

static int check_ready(struct supervisor *s, uint64_t now, struct error *err)
{
	if (s->ready || s->leaving || !s->target || s->gone)
		return 0;
	if (caller_is_gone(s)) {
		note(s, "the caller died before the target was ready: stopped");
		leave(s);
		return 0;
	}
	if (!s->o->ready || socket_answers(s->o->ready, s->target)) {
		s->ready = true;
		tell_caller(s, "");
		notify_send("READY=1");
		return 0;
	}
	if (now - s->started_ns < s->o->ready_timeout_ns)
		return 0;
	start_failed(s, "did not answer on its socket in time: stopped", err);
	leave(s);
	return 0;
}

static void tell_alive(struct supervisor *s, uint64_t now)
{
	if (!s->watchdog_ns || now < s->alive_at_ns)
		return;
	notify_send("WATCHDOG=1");
	s->alive_at_ns = now + s->watchdog_ns;
}

static bool is_watched(const struct supervisor *s)
{
	return s->o->alive_ns && s->o->ready && s->ready && s->target && !s->gone && !s->leaving &&
	       !s->hung;
}

static int act_on_time(struct supervisor *s, struct error *err)
{
	uint64_t now = clock_ns();

	tell_alive(s, now);
	if (is_watched(s) && !alive_check(&s->alive, s->o, now)) {
		note(s, "target %d does not answer: killed", s->target);
		s->hung = true;
		signal_target(s, SIGKILL);
	}
	if (s->target && s->kill_at_ns && now >= s->kill_at_ns) {
		note(s, "target %d did not drain in time: killed", s->target);
		signal_target(s, SIGKILL);
		s->kill_at_ns = UINT64_MAX;
	}
	if (!s->leaving && s->start_at_ns && now >= s->start_at_ns && start_target(s) < 0)
		s->start_at_ns = now + s->o->backoff_max_ns;
	return check_ready(s, now, err);
}

static int wait_ms(const struct supervisor *s)
{
	uint64_t now = clock_ns(), until = 0;

	if (s->target && s->kill_at_ns)
		until = s->kill_at_ns;
	else if (!s->ready && !s->leaving)
		until = now + READY_POLL_NS;
	else if (!s->leaving)
		until = s->start_at_ns;
	if (is_watched(s) && (!until || alive_next(&s->alive, s->o) < until))
		until = alive_next(&s->alive, s->o);
	if (s->watchdog_ns && (!until || s->alive_at_ns < until))
		until = s->alive_at_ns;
	if (!until)
		return -1;
	/* An hour is enough, and fits. */
	if (until > now + MAX_SLEEP_NS)
		until = now + MAX_SLEEP_NS;
	return until <= now ? 0 : (int)((until - now + NS_PER_MSEC - 1) / NS_PER_MSEC);
}

static int loop(struct supervisor *s, struct error *err)
{
	int rc = start_target(s);

	if (rc < 0)
		return error_set(err, rc, "target %s cannot be started: %s", s->o->argv[0],
				 error_errno_text(rc));
	while (rc == 0 && !(s->leaving && !s->target)) {
		struct pollfd fds[3] = { { .fd = s->signals, .events = POLLIN },
					 { .fd = s->output, .events = POLLIN },
					 { .fd = s->alive.fd, .events = POLLIN } };

		if (poll(fds, 3, wait_ms(s)) < 0 && errno != EINTR)
			return error_set(err, -errno, "poll: %s", error_errno_text(-errno));
		if (fds[1].revents & POLLIN)
			drain_output(s);
		else if (fds[1].revents & POLLHUP) {
			close(s->output);
			s->output = -1;
		}
		rc = take_signals(s, err);
		if (rc == 0)
			rc = act_on_time(s, err);
	}
	return err->code;
}

static int block_signals(void)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* Return: in the first process never; in the daemon the fd that tells the first one. */
static int become_daemon(void)
{
	int fds[2], null;
	char text[ERROR_TEXT_MAX + 2];
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close(fds[0]);
		setsid();
		/* A unit in which it was called, as the agent's, is not about it. */
		unsetenv("NOTIFY_SOCKET");
		unsetenv("WATCHDOG_USEC");
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		return fds[1];
	}
	close(fds[1]);
	/* A caller that dies while it waits wants no target any more: see caller_is_gone(). */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (len < sizeof(text) - 1 && (n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	if (!strcmp(text, "\n"))
		_exit(0);
	dprintf(STDERR_FILENO, "cyborg-spdk-supervise: %s",
		len ? text : "the daemon died before the target was ready\n");
	_exit(1);
}

static int open_files(struct supervisor *s, struct error *err)
{
	int rc = pidfile_take(s->o->pidfile, err);

	if (rc < 0)
		return rc;
	s->pidfile = rc;
	leftovers_direct(s->o->pidfile);
	history_open(&s->history, s->o->history);
	s->watchdog_ns = notify_watchdog_ns();
	if (s->o->log) {
		rc = logfile_open(&s->log, s->o->log, s->o->log_size, (unsigned int)s->o->log_keep,
				  err);
		if (rc < 0)
			return rc;
	}
	s->signals = block_signals();
	return s->signals < 0
		       ? error_set(err, s->signals, "signalfd: %s", error_errno_text(s->signals))
		       : 0;
}

int supervise_run(const struct supervise_options *o, struct error *err)
{
	struct supervisor s = { .o = o,
				.pidfile = -1,
				.signals = -1,
				.output = -1,
				.caller = -1,
				.alive = { .fd = -1 } };
	int rc;

	s.log.fd = -1;
	if (o->daemonize) {
		s.caller = become_daemon();
		if (s.caller < 0)
			return error_set(err, s.caller, "fork: %s", error_errno_text(s.caller));
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	rc = open_files(&s, err);
	if (rc == 0) {
		pidfile_write(s.pidfile, getpid(), 0);
		rc = loop(&s, err);
		history_stopped(&s.history);
	}
	if (s.pidfile >= 0)
		unlink(o->pidfile);
	logfile_close(&s.log);
	if (s.alive.fd >= 0)
		close(s.alive.fd);
	if (s.output >= 0)
		close(s.output);
	if (s.signals >= 0)
		close(s.signals);
	if (s.pidfile >= 0)
		close(s.pidfile);
	/* Last: the caller may start again at once. */
	if (rc < 0)
		tell_caller(&s, err->text);
	return rc;
}
