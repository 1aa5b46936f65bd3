/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of cyborg-spdk-perf share: the command line, the session with a controller, and
 * what a run counted.
 *
 * Threading: all of it is reactor 0's but where a comment says otherwise; a worker is its own
 * reactor's from its start until it has told that it ended.
 */
#ifndef PERF_PERF_H
#define PERF_PERF_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "nvme/host.h"
#include "perf/histogram.h"
#include "reactor/reactor.h"

/* Exit codes; the man page lists them. */
enum perf_exit {
	PERF_EXIT_OK = 0,
	PERF_EXIT_FAILURE = 1, /* of this program's own */
	PERF_EXIT_USAGE = 2,
	PERF_EXIT_CONNECT = 3,
	PERF_EXIT_IO = 4,
	PERF_EXIT_MISMATCH = 5,
};

enum perf_mode {
	PERF_RUN,
	PERF_IDENTIFY,
	PERF_DISCOVER,
	PERF_ZERO,
	PERF_EMPTY,
};

/**
 * struct perf_workload - one row of the table of -w
 * @read_percent: of a mixture; PERF_MIX: what -M says
 * @verify: write all, then read all and check
 */
#define PERF_MIX 255u
struct perf_workload {
	const char *name;
	bool random;
	uint8_t read_percent;
	bool verify;
};

struct perf_options {
	enum perf_mode mode;
	struct nvme_ctrlr_options ctrlr;
	struct reactor_options reactor;
	const struct perf_workload *workload;
	uint64_t depth;
	uint64_t io_size;
	uint64_t read_mix;
	uint64_t time_ns;
	uint64_t count;
	uint64_t qpairs; /* of each reactor */
	uint64_t nsid;	 /* 0: the first */
	uint64_t offset, length;
	uint64_t seed;
	bool verify, persistent, verify_only;
	bool one_pass; /* each unit once, in order */
	bool json, quiet, prove, prove_read_only;
};

/** perf_options_parse() - 0; 1: done already (help, version); -EINVAL with @err */
int perf_options_parse(struct perf_options *o, int argc, char **argv, struct error *err);

/* --- the session (session.c) ------------------------------------------------------------------ */

/**
 * struct perf_session - what is between connect and disconnect
 * @ready: connected, namespaces are read
 * @exit: of the program
 */
struct perf_session {
	struct perf_options *o;
	struct nvme_ctrlr *ctrlr;
	void (*ready)(struct perf_session *s);
	void (*lost)(struct perf_session *s);
	enum perf_exit exit;
	bool leaving;
};

/** perf_session_start() - connect, and scan the namespaces unless the controller has none */
void perf_session_start(struct perf_session *s);
/** perf_session_fail() - say why on standard error; the first reason gives the exit code */
void perf_session_fail(struct perf_session *s, enum perf_exit exit, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** perf_session_end() - disconnect, and let the program end */
void perf_session_end(struct perf_session *s);

/* --- modes ------------------------------------------------------------------------------------ */

void perf_run_start(struct perf_session *s);
/** perf_block_signals() - those that end a run in order; before other threads exist */
void perf_block_signals(sigset_t *set);
void perf_identify_start(struct perf_session *s);
void perf_discover_start(struct perf_session *s);
void perf_zero_start(struct perf_session *s);

/* --- workers (worker.c) ----------------------------------------------------------------------- */

struct perf_run;
struct perf_io;
struct perf_queue;

/* What is done in a phase of a run. */
enum perf_phase {
	PERF_PHASE_MAIN,   /* what -w says */
	PERF_PHASE_VERIFY, /* read all that was written, and check */
};

/**
 * struct perf_worker - what one reactor does
 * @first, @units: its part of the region, in units of the I/O size
 * @generations: of each unit; 0: not written in this run
 * @budget: how many I/Os it may still start; UINT64_MAX when only time limits
 * @done: read by reactor 0 for the progress line, without ordering
 */
struct perf_worker {
	struct perf_run *run;
	struct reactor *reactor;
	struct perf_queue *queues;
	struct perf_io *ios;
	uint8_t *memory;
	uint64_t first, units, next;
	uint32_t *generations;
	uint8_t *busy;
	uint64_t random;
	uint64_t budget;
	unsigned int queues_ready, queues_open;
	uint64_t outstanding;
	enum perf_phase phase;
	bool stopping, ended;
	struct reactor_timer timer;
	struct reactor_msg msg, stop_msg;
	struct histogram reads, writes;
	uint64_t done;
	uint64_t checked, unchecked, mismatches, errors;
	uint64_t cpu_ns, elapsed_ns, start_ns;
	enum perf_exit exit;
	char text[ERROR_TEXT_MAX];
};

/**
 * struct perf_run - a run over the workers
 * @ns: a copy of what is constant in it, so that workers need not ask
 */
struct perf_run {
	struct perf_session *s;
	const struct perf_options *o;
	struct nvme_ctrlr *ctrlr;
	uint32_t nsid, block_size, unit_blocks;
	uint64_t first_lba, units;
	struct perf_worker *workers;
	unsigned int count, pending;
	enum perf_phase phase;
	bool broken, interrupted;
	struct reactor_timer progress;
	uint64_t progress_done, progress_ns;
	bool progress_shown; /* a line stands on the terminal */
};

/** perf_worker_open() - on the worker's reactor: memory and queue pairs; then perf_worker_told() */
void perf_worker_open(struct perf_worker *w);
/** perf_worker_begin() - on the worker's reactor: do the phase that w->phase says */
void perf_worker_begin(struct perf_worker *w);
/** perf_worker_stop() - on the worker's reactor: start nothing more */
void perf_worker_stop(struct perf_worker *w);
/** perf_worker_close() - on the worker's reactor: close the queue pairs */
void perf_worker_close(struct perf_worker *w);
/** perf_worker_free() - after all have closed */
void perf_worker_free(struct perf_worker *w);
/** perf_worker_told() - on reactor 0: a worker opened, ended its phase, or closed */
void perf_worker_told(struct perf_worker *w);

/* --- reports (report.c, progress.c) ----------------------------------------------------------- */

/** perf_report() - what the run came to, as a table or as JSON, on standard output */
void perf_report(struct perf_run *run);
/** perf_progress_start() - a line on standard error once a second, if that is a terminal */
void perf_progress_start(struct perf_run *run);
void perf_progress_stop(struct perf_run *run);

#endif
