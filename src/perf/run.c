/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run: the region shared out to a worker on each reactor, the phases one after the other on all
 * of them, then the report.
 *
 * Threading: on reactor 0; workers are told by messages and tell by perf_worker_told().
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/container_of.h"
#include "perf/perf.h"
#include "reactor/io.h"

enum run_step {
	STEP_OPEN,
	STEP_MAIN,
	STEP_VERIFY,
	STEP_CLOSE,
};

static struct {
	struct perf_run run;
	enum run_step step;
	struct reactor_io signal_io;
	int signal_fd;
	bool started;
} state = { .signal_fd = -1 };

static void step_begin(struct perf_run *run, enum run_step step);

/* --- telling workers -------------------------------------------------------------------------- */

static void worker_open(struct reactor_msg *msg)
{
	perf_worker_open(container_of(msg, struct perf_worker, msg));
}

static void worker_begin(struct reactor_msg *msg)
{
	perf_worker_begin(container_of(msg, struct perf_worker, msg));
}

static void worker_close(struct reactor_msg *msg)
{
	perf_worker_close(container_of(msg, struct perf_worker, msg));
}

static void worker_stop(struct reactor_msg *msg)
{
	perf_worker_stop(container_of(msg, struct perf_worker, stop_msg));
}

static void tell_all(struct perf_run *run, void (*fn)(struct reactor_msg *msg))
{
	run->pending = run->count;
	for (unsigned int i = 0; i < run->count; i++) {
		struct perf_worker *w = &run->workers[i];

		w->phase = run->phase;
		w->msg.fn = fn;
		reactor_send(w->reactor, &w->msg);
	}
}

/* Once: the message of a worker that was already told may still be on its way. */
static void stop_all(struct perf_run *run)
{
	if (run->broken || run->interrupted || state.step == STEP_CLOSE)
		return;
	run->broken = true;
	for (unsigned int i = 0; i < run->count; i++) {
		run->workers[i].stop_msg.fn = worker_stop;
		reactor_send(run->workers[i].reactor, &run->workers[i].stop_msg);
	}
}

/* --- steps ------------------------------------------------------------------------------------ */

static void finish(struct perf_run *run)
{
	if (state.started && run->s->exit != PERF_EXIT_CONNECT)
		perf_report(run);
	for (unsigned int i = 0; i < run->count; i++)
		perf_worker_free(&run->workers[i]);
	free(run->workers);
	if (state.signal_fd >= 0)
		reactor_io_cancel(&state.signal_io);
	perf_session_end(run->s);
}

static bool wants_verify(const struct perf_run *run)
{
	return run->o->verify && !run->o->verify_only && !run->broken;
}

static void step_begin(struct perf_run *run, enum run_step step)
{
	state.step = step;
	switch (step) {
	case STEP_OPEN:
		tell_all(run, worker_open);
		break;
	case STEP_MAIN:
		state.started = true;
		perf_progress_start(run);
		tell_all(run, worker_begin);
		break;
	case STEP_VERIFY:
		run->phase = PERF_PHASE_VERIFY;
		tell_all(run, worker_begin);
		break;
	case STEP_CLOSE:
		perf_progress_stop(run);
		tell_all(run, worker_close);
		break;
	}
}

static void step_done(struct perf_run *run)
{
	switch (state.step) {
	case STEP_OPEN:
		step_begin(run, run->broken || run->interrupted ? STEP_CLOSE : STEP_MAIN);
		break;
	case STEP_MAIN:
		step_begin(run, wants_verify(run) ? STEP_VERIFY : STEP_CLOSE);
		break;
	case STEP_VERIFY:
		step_begin(run, STEP_CLOSE);
		break;
	case STEP_CLOSE:
		finish(run);
		break;
	}
}

void perf_worker_told(struct perf_worker *w)
{
	struct perf_run *run = w->run;

	if (w->exit != PERF_EXIT_OK && w->text[0]) {
		perf_session_fail(run->s, w->exit, "%s", w->text);
		w->text[0] = '\0';
		stop_all(run);
	}
	if (--run->pending == 0)
		step_done(run);
}

/* --- interrupts ------------------------------------------------------------------------------- */

static void signal_wait(void);

static void signalled(struct reactor_io *io, int32_t result)
{
	struct perf_run *run = &state.run;
	struct signalfd_siginfo info;

	(void)io;
	if (result < 0 || read(state.signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	/* Who asks twice does not want to wait for the end of the I/O. */
	if (run->interrupted)
		_exit(128 + (int)info.ssi_signo);
	stop_all(run);
	run->interrupted = true;
	signal_wait();
}

static void signal_wait(void)
{
	state.signal_io.done = signalled;
	reactor_io_poll(&state.signal_io, state.signal_fd, POLLIN);
}

void perf_block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigprocmask(SIG_BLOCK, set, NULL);
}

static void watch_signals(void)
{
	sigset_t set;

	perf_block_signals(&set);
	state.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (state.signal_fd >= 0)
		signal_wait();
}

/* --- what the namespace allows ---------------------------------------------------------------- */

static const struct nvme_ns *find_ns(const struct perf_session *s)
{
	if (s->o->nsid)
		return nvme_ctrlr_ns(s->ctrlr, (uint32_t)s->o->nsid);
	return nvme_ctrlr_first_ns(s->ctrlr);
}

static int check_size(const struct perf_options *o, const struct nvme_ctrlr_info *info,
		      const struct nvme_ns *ns, struct error *err)
{
	if (ns->metadata)
		return error_set(
			err, -EOPNOTSUPP,
			"namespace %u has %u bytes of metadata a block, which this program "
			"does not do",
			ns->nsid, ns->metadata);
	if (o->io_size % ns->block_size != 0)
		return error_set(err, -EINVAL,
				 "I/O size %" PRIu64 " is no multiple of the block size %u",
				 o->io_size, ns->block_size);
	if (o->io_size > info->max_transfer)
		return error_set(err, -EINVAL,
				 "I/O size %" PRIu64 " is over the controller's limit of %u",
				 o->io_size, info->max_transfer);
	if (o->io_size / ns->block_size > 65536)
		return error_set(err, -EINVAL, "I/O size %" PRIu64 " is over 65536 blocks of %u",
				 o->io_size, ns->block_size);
	return 0;
}

static int check_region(struct perf_run *run, const struct nvme_ns *ns, struct error *err)
{
	const struct perf_options *o = run->o;
	uint64_t size = ns->blocks * ns->block_size, length;

	if (o->offset % ns->block_size != 0)
		return error_set(err, -EINVAL, "offset %" PRIu64 " is no multiple of %u", o->offset,
				 ns->block_size);
	if (o->offset >= size || o->length > size - o->offset)
		return error_set(err, -EINVAL,
				 "offset %" PRIu64 " with length %" PRIu64 " lies outside of "
				 "namespace %u, which has %" PRIu64 " bytes",
				 o->offset, o->length, ns->nsid, size);
	length = o->length ? o->length : size - o->offset;
	run->first_lba = o->offset / ns->block_size;
	run->units = length / o->io_size;
	if (run->units < reactor_count())
		return error_set(err, -EINVAL,
				 "a region of %" PRIu64 " bytes has too few places of %" PRIu64
				 " bytes for %u cores",
				 length, o->io_size, reactor_count());
	return 0;
}

static int check_queues(const struct perf_run *run, struct error *err)
{
	uint16_t granted = nvme_ctrlr_info(run->ctrlr)->io_queues;
	uint64_t wanted = run->o->qpairs * reactor_count();

	if (granted >= wanted)
		return 0;
	return error_set(err, -EINVAL,
			 "%" PRIu64 " queue pairs are asked for, the controller grants %u", wanted,
			 granted);
}

static int check_ns(struct perf_run *run, struct error *err)
{
	const struct nvme_ns *ns = find_ns(run->s);
	int ret;

	if (!ns)
		return error_set(err, -ENXIO, "%s has no %snamespace for host %s",
				 run->o->ctrlr.path.subnqn, run->o->nsid ? "such " : "",
				 run->o->ctrlr.path.hostnqn);
	ret = check_size(run->o, nvme_ctrlr_info(run->ctrlr), ns, err);
	if (ret == 0)
		ret = check_region(run, ns, err);
	if (ret == 0)
		ret = check_queues(run, err);
	run->nsid = ns->nsid;
	run->block_size = ns->block_size;
	run->unit_blocks = (uint32_t)(run->o->io_size / ns->block_size);
	return ret;
}

/* --- the beginning ---------------------------------------------------------------------------- */

/* The first workers get what is left over of units and of the budget. */
static uint64_t share(uint64_t whole, unsigned int parts, unsigned int index)
{
	return whole / parts + (index < whole % parts ? 1 : 0);
}

static uint64_t budget(const struct perf_run *run, unsigned int index)
{
	if (run->o->one_pass)
		return run->workers[index].units;
	if (run->o->count)
		return share(run->o->count, run->count, index);
	return UINT64_MAX;
}

static int make_workers(struct perf_run *run)
{
	uint64_t first = 0;

	run->count = reactor_count();
	run->workers = calloc(run->count, sizeof(run->workers[0]));
	if (!run->workers) {
		run->count = 0;
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < run->count; i++) {
		struct perf_worker *w = &run->workers[i];

		w->run = run;
		w->reactor = reactor_at(i);
		w->first = first;
		w->units = share(run->units, run->count, i);
		w->budget = budget(run, i);
		first += w->units;
	}
	return 0;
}

static void session_ready(struct perf_session *s)
{
	struct perf_run *run = &state.run;
	struct error err = ERROR_INIT;

	run->s = s;
	run->o = s->o;
	run->ctrlr = s->ctrlr;
	run->phase = PERF_PHASE_MAIN;
	if (check_ns(run, &err) != 0) {
		perf_session_fail(s, err.code == -EINVAL ? PERF_EXIT_USAGE : PERF_EXIT_CONNECT,
				  "%s", err.text);
		perf_session_end(s);
	} else if (make_workers(run) != 0) {
		perf_session_fail(s, PERF_EXIT_FAILURE, "no memory for the workers");
		perf_session_end(s);
	} else {
		watch_signals();
		step_begin(run, STEP_OPEN);
	}
}

/* The queue pairs are lost with the controller; the workers end by themselves. */
static void session_lost(struct perf_session *s)
{
	if (state.run.count == 0)
		perf_session_end(s);
	else
		stop_all(&state.run);
}

void perf_run_start(struct perf_session *s)
{
	s->ready = session_ready;
	s->lost = session_lost;
	s->o->ctrlr.io_queues = (uint16_t)(s->o->qpairs * reactor_count());
	perf_session_start(s);
}
