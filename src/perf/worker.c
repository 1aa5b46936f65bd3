/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one reactor does in a run: its queue pairs, kept full until time or budget is out.
 *
 * Threading: on the worker's reactor. Each worker has its own part of the region, so that what it
 * remembers of its writes is its own too. perf_worker_told() travels to reactor 0 as a message.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "perf/pattern.h"
#include "perf/perf.h"

#define MEMORY_ALIGN 4096u

struct perf_queue {
	struct perf_worker *w;
	struct nvme_qpair *qp;
};

/**
 * struct perf_io - a place for one outstanding I/O
 * @writing: else it reads
 * @generation: of what is written, or expected; 0 on a read: nothing is known of the unit
 */
struct perf_io {
	struct nvme_request req;
	struct iovec iov;
	struct perf_queue *queue;
	uint64_t start;
	uint64_t unit;
	uint32_t generation;
	bool writing;
};

static void told(struct reactor_msg *msg)
{
	perf_worker_told(container_of(msg, struct perf_worker, msg));
}

static void tell(struct perf_worker *w)
{
	w->msg.fn = told;
	reactor_send(reactor_at(0), &w->msg);
}

static void broke(struct perf_worker *w, enum perf_exit exit, const char *fmt, ...)
{
	va_list args;

	w->stopping = true;
	if (w->exit != PERF_EXIT_OK)
		return;
	w->exit = exit;
	va_start(args, fmt);
	vsnprintf(w->text, sizeof(w->text), fmt, args);
	va_end(args);
}

/* --- which I/O is next ------------------------------------------------------------------------ */

/* xorshift64*: a fast sequence that is the same for the same seed. */
static uint64_t next_random(struct perf_worker *w)
{
	uint64_t x = w->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	w->random = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* High bits of a product instead of a remainder: cheap and even. */
static uint64_t random_below(struct perf_worker *w, uint64_t bound)
{
	return (uint64_t)((unsigned __int128)next_random(w) * bound >> 64);
}

static bool wants_write(struct perf_worker *w)
{
	const struct perf_options *o = w->run->o;
	uint8_t reads = o->workload->read_percent;

	if (o->verify_only)
		return false;
	if (reads == PERF_MIX)
		reads = (uint8_t)o->read_mix;
	if (reads == 0 || reads == 100)
		return reads == 0;
	return random_below(w, 100) >= reads;
}

/* The next unit on which nothing is outstanding: what two I/Os at once leave there is not known. */
static uint64_t idle_unit(struct perf_worker *w, uint64_t unit)
{
	while (w->busy && w->busy[unit])
		unit = unit + 1 < w->units ? unit + 1 : 0;
	return unit;
}

static bool choose_main(struct perf_worker *w, struct perf_io *io)
{
	const struct perf_options *o = w->run->o;
	uint64_t unit;

	if (w->budget == 0)
		return false;
	w->budget--;
	io->writing = wants_write(w);
	if (o->workload->random && !o->one_pass) {
		unit = random_below(w, w->units);
	} else {
		unit = w->next;
		w->next = w->next + 1 < w->units ? w->next + 1 : 0;
	}
	io->unit = idle_unit(w, unit);
	return true;
}

static bool choose_verify(struct perf_worker *w, struct perf_io *io)
{
	while (w->next < w->units && w->generations[w->next] == 0)
		w->next++;
	if (w->next == w->units)
		return false;
	io->writing = false;
	io->unit = w->next++;
	return true;
}

static uint32_t stamp_generation(const struct perf_worker *w, const struct perf_io *io)
{
	return w->run->o->persistent ? 0 : io->generation;
}

/* What the data has to be, before it is written or when it was read. */
static void set_generation(struct perf_worker *w, struct perf_io *io)
{
	if (!w->run->o->verify)
		return;
	if (w->run->o->verify_only) {
		io->generation = 1;
		return;
	}
	w->busy[io->unit] = 1;
	io->generation = w->generations[io->unit];
	if (io->writing)
		io->generation++;
}

static uint64_t lba_of(const struct perf_worker *w, const struct perf_io *io)
{
	return w->run->first_lba + (w->first + io->unit) * w->run->unit_blocks;
}

/* --- one I/O ---------------------------------------------------------------------------------- */

static bool start(struct perf_worker *w, struct perf_io *io)
{
	const struct perf_run *run = w->run;
	bool has_next;

	if (w->stopping)
		return false;
	has_next = w->phase == PERF_PHASE_MAIN ? choose_main(w, io) : choose_verify(w, io);
	if (!has_next)
		return false;
	set_generation(w, io);
	nvme_cmd_rw(&io->req, io->writing ? NVME_IO_WRITE : NVME_IO_READ, run->nsid, lba_of(w, io),
		    run->unit_blocks);
	if (io->writing && run->o->verify)
		pattern_fill(io->iov.iov_base, run->unit_blocks, run->block_size, lba_of(w, io),
			     run->o->seed, stamp_generation(w, io));
	w->outstanding++;
	io->start = clock_ticks();
	nvme_submit(io->queue->qp, &io->req);
	return true;
}

static void phase_end(struct perf_worker *w)
{
	if (w->ended)
		return;
	w->ended = true;
	reactor_timer_stop(&w->timer);
	if (w->phase == PERF_PHASE_MAIN) {
		w->elapsed_ns = clock_ns() - w->start_ns;
		w->cpu_ns = clock_thread_cpu_ns() - w->cpu_ns;
	}
	tell(w);
}

static void check(struct perf_worker *w, struct perf_io *io)
{
	char text[ERROR_TEXT_MAX];
	uint32_t bad;

	if (io->generation == 0) {
		w->unchecked++;
		return;
	}
	bad = pattern_check(io->iov.iov_base, w->run->unit_blocks, w->run->block_size,
			    lba_of(w, io), w->run->o->seed, stamp_generation(w, io), text,
			    sizeof(text));
	w->checked++;
	w->mismatches += bad;
	if (bad && w->exit == PERF_EXIT_OK) {
		w->exit = PERF_EXIT_MISMATCH;
		snprintf(w->text, sizeof(w->text), "%s", text);
	}
}

static void verified(struct perf_worker *w, struct perf_io *io)
{
	if (!io->writing)
		check(w, io);
	if (w->run->o->verify_only)
		return;
	w->busy[io->unit] = 0;
	if (io->writing)
		w->generations[io->unit] = io->generation;
}

static void failed(struct perf_worker *w, struct perf_io *io)
{
	const struct error *err = nvme_qpair_error(io->queue->qp);
	uint16_t status = nvme_request_status(&io->req);
	char text[NVME_STATUS_TEXT];

	w->errors++;
	nvme_status_text(status, text, sizeof(text));
	if (nvme_status_sct(status) == NVME_SCT_PATH && err->code != 0)
		broke(w, PERF_EXIT_IO, "%s", err->text);
	else
		broke(w, PERF_EXIT_IO, "%s of %u blocks at LBA %" PRIu64 " failed: %s",
		      io->writing ? "write" : "read", w->run->unit_blocks, lba_of(w, io), text);
}

static void io_done(struct nvme_request *req)
{
	struct perf_io *io = container_of(req, struct perf_io, req);
	struct perf_worker *w = io->queue->w;
	uint64_t ticks = clock_ticks() - io->start;

	w->outstanding--;
	if (__builtin_expect(nvme_request_status(req) != 0, 0)) {
		failed(w, io);
	} else {
		if (w->phase == PERF_PHASE_MAIN) {
			histogram_add(io->writing ? &w->writes : &w->reads, ticks);
			__atomic_store_n(&w->done, w->done + 1, __ATOMIC_RELAXED);
		}
		if (w->run->o->verify)
			verified(w, io);
	}
	if (!start(w, io) && w->outstanding == 0)
		phase_end(w);
}

/* --- phases ----------------------------------------------------------------------------------- */

static void time_is_up(struct reactor_timer *timer)
{
	container_of(timer, struct perf_worker, timer)->stopping = true;
}

void perf_worker_stop(struct perf_worker *w)
{
	w->stopping = true;
}

void perf_worker_begin(struct perf_worker *w)
{
	uint64_t count = w->run->o->depth * w->run->o->qpairs;

	/* No more at once than there are units to be idle; see idle_unit(). */
	if (w->busy && count > w->units)
		count = w->units;
	w->ended = false;
	w->next = 0;
	if (w->phase == PERF_PHASE_VERIFY) {
		w->stopping = w->exit != PERF_EXIT_OK;
	} else {
		w->start_ns = clock_ns();
		w->cpu_ns = clock_thread_cpu_ns();
		w->timer.fn = time_is_up;
		if (w->run->o->time_ns)
			reactor_timer_start(&w->timer, w->run->o->time_ns);
	}
	/* Spread over the queue pairs from the first on, should the budget be small. */
	for (uint64_t i = 0; i < count; i++)
		if (!start(w, &w->ios[i]))
			break;
	if (w->outstanding == 0)
		phase_end(w);
}

/* --- open and close --------------------------------------------------------------------------- */

static bool alloc_tracking(struct perf_worker *w)
{
	if (!w->run->o->verify || w->run->o->verify_only)
		return true;
	w->generations = calloc(w->units, sizeof(w->generations[0]));
	w->busy = calloc(w->units, sizeof(w->busy[0]));
	return w->generations && w->busy;
}

static bool alloc_ios(struct perf_worker *w)
{
	const struct perf_options *o = w->run->o;
	uint64_t count = o->depth * o->qpairs;

	w->ios = calloc(count, sizeof(w->ios[0]));
	if (!w->ios || posix_memalign((void **)&w->memory, MEMORY_ALIGN, count * o->io_size) != 0)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		struct perf_io *io = &w->ios[i];

		io->iov = (struct iovec){ .iov_base = w->memory + i * o->io_size,
					  .iov_len = o->io_size };
		io->req = (struct nvme_request){
			.iov = &io->iov, .iovcnt = 1, .len = (uint32_t)o->io_size, .done = io_done
		};
		io->queue = &w->queues[i % o->qpairs];
	}
	for (uint64_t at = 0; at + sizeof(uint64_t) <= count * o->io_size; at += sizeof(uint64_t)) {
		uint64_t value = next_random(w);

		memcpy(w->memory + at, &value, sizeof(value));
	}
	return true;
}

static void queue_ready(struct nvme_qpair *qp, void *user, int result)
{
	struct perf_queue *q = user;
	struct perf_worker *w = q->w;

	if (result != 0)
		broke(w, PERF_EXIT_CONNECT, "%s", nvme_qpair_error(qp)->text);
	if (++w->queues_ready == w->queues_open)
		tell(w);
}

/* I/Os that were outstanding have told. A queue that was idle tells here. */
static void queue_lost(struct nvme_qpair *qp, void *user, int reason)
{
	struct perf_queue *q = user;

	(void)reason;
	broke(q->w, PERF_EXIT_IO, "%s", nvme_qpair_error(qp)->text);
}

static const struct nvme_qpair_ops queue_ops = { .ready = queue_ready, .lost = queue_lost };

static void open_queues(struct perf_worker *w)
{
	const struct perf_options *o = w->run->o;

	for (uint64_t i = 0; i < o->qpairs; i++) {
		struct perf_queue *q = &w->queues[i];

		q->w = w;
		if (nvme_qpair_connect(w->run->ctrlr, (uint16_t)o->depth, &queue_ops, q, &q->qp) !=
		    0) {
			broke(w, PERF_EXIT_FAILURE, "no memory for a queue pair");
			break;
		}
		w->queues_open++;
	}
}

void perf_worker_open(struct perf_worker *w)
{
	histogram_init(&w->reads);
	histogram_init(&w->writes);
	w->random = w->run->o->seed * UINT64_C(0x9e3779b97f4a7c15) + w->first + 1;
	if (w->random == 0)
		w->random = 1;
	w->queues = calloc(w->run->o->qpairs, sizeof(w->queues[0]));
	if (!w->queues || !alloc_tracking(w) || !alloc_ios(w))
		broke(w, PERF_EXIT_FAILURE,
		      "no memory for %" PRIu64 " buffers of %" PRIu64 " bytes, or to remember "
		      "%" PRIu64 " writes; give a smaller --length",
		      w->run->o->depth * w->run->o->qpairs, w->run->o->io_size, w->units);
	else
		open_queues(w);
	if (w->queues_open == 0)
		tell(w);
}

static void queue_closed(void *user)
{
	struct perf_queue *q = user;

	if (--q->w->queues_open == 0)
		tell(q->w);
}

void perf_worker_close(struct perf_worker *w)
{
	unsigned int open = w->queues_open;

	for (unsigned int i = 0; i < open; i++)
		nvme_qpair_close(w->queues[i].qp, queue_closed);
	if (open == 0)
		tell(w);
}

void perf_worker_free(struct perf_worker *w)
{
	free(w->queues);
	free(w->ios);
	free(w->memory);
	free(w->generations);
	free(w->busy);
}
