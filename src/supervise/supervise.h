/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping one target alive.
 *
 * The supervisor starts the target, reads what it prints into a bounded log, and starts it again
 * when it ends, later and later while it keeps ending early. The saved configuration, if there is
 * one, is replayed by the target itself (`-c FILE` behind its arguments). Until the target has
 * answered on its socket for the first time an early end is a failure of the start: it is told to
 * the caller with the target's last lines and nothing is restarted.
 *
 * The supervisor's own death: the target asks the kernel for SIGTERM then (PR_SET_PDEATHSIG), so it
 * drains and leaves; no target ever runs unsupervised, and the next start finds the socket and the
 * backing free.
 *
 * Threading: one thread, signals through a signalfd.
 */
#ifndef SUPERVISE_SUPERVISE_H
#define SUPERVISE_SUPERVISE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "supervise/logfile.h"

/**
 * struct supervise_options - what to keep alive, and how
 * @argv: the target and its arguments, ending with NULL
 * @config: replayed at each start when the file exists; NULL for none
 * @pidfile: locked while the supervisor lives; holds its pid and the target's, a line each
 * @history: how often it was started again, and why; NULL for nowhere
 * @umask: of the target; NULL: the supervisor's own
 * @log: NULL: the target keeps the supervisor's standard error
 * @ready: UNIX socket that says that the target is up; NULL: it is up when started
 * @alive_ns: a target that does not answer there for so long is killed; 0: never
 */
struct supervise_options {
	char **argv;
	const char *config;
	const char *pidfile;
	const char *history;
	const char *umask;
	const char *log;
	uint64_t log_size;
	uint64_t log_keep;
	const char *ready;
	uint64_t ready_timeout_ns;
	uint64_t backoff_min_ns, backoff_max_ns;
	uint64_t drain_ns;
	uint64_t alive_ns;
	bool daemonize;
};

/** supervise_run() - until SIGTERM or SIGINT; 0 or a negative errno with @err filled */
int supervise_run(const struct supervise_options *o, struct error *err);

/**
 * supervise_backoff_next() - the next pause before a start
 * @pause_ns: the last one; 0 before the first
 * @lived_ns: how long the target lived; a long life starts the pauses over
 */
uint64_t supervise_backoff_next(const struct supervise_options *o, uint64_t pause_ns,
				uint64_t lived_ns);

/** socket_open() - connected, never waiting; -1 when nobody listens there */
int socket_open(const char *path);

/* alive.c */

/**
 * struct alive - the question whether the target answers
 * @fd: it is asked and listened to there; -1 while it is not
 * @answered: it did so once since it was started
 * @asked_ns: since when no answer came; 0 when the last one did
 */
struct alive {
	int fd;
	bool answered;
	uint64_t asked_ns;
	uint64_t next_ns;
};

/** alive_begin() - of a target that was just started, or ended */
void alive_begin(struct alive *a, uint64_t now);
/** alive_check() - ask or listen; false when the answer is overdue */
bool alive_check(struct alive *a, const struct supervise_options *o, uint64_t now);
/** alive_next() - when to check again, also when nothing can be read from @fd */
uint64_t alive_next(const struct alive *a, const struct supervise_options *o);

/* pidfile.c */

/** pidfile_take() - an fd that holds the lock, or -EBUSY (with @err naming the holder), errno */
int pidfile_take(const char *path, struct error *err);
/** pidfile_write() - the pids of supervisor and target (0: none now) */
void pidfile_write(int fd, pid_t supervisor, pid_t target);

/* history.c */

/**
 * struct history - of one target
 * @restarts: in this boot, since it was last stopped on purpose
 * @after_boot: the first start of this boot, and there was one in another
 * @end: how it ended the last time; "" when it did not
 */
struct history {
	const char *path;
	char boot[40];
	uint64_t restarts;
	bool after_boot;
	char end[96];
	time_t end_at;
};

/** history_open() - go on with what the file at @path (NULL: nothing is kept) says */
void history_open(struct history *h, const char *path);
void history_started(const struct history *h);
/** history_ended() - not on purpose: it is started again */
void history_ended(struct history *h, const char *how);
void history_stopped(const struct history *h);

/* leftovers.c */

/** leftovers_direct() - targets keep their runtime files beside the pidfile, where nothing else
 * says
 */
void leftovers_direct(const char *pidfile);
/** leftovers_remove() - what the target @pid, which has ended, left on the node */
void leftovers_remove(pid_t pid);

#endif
