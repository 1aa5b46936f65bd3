/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --zero: a region reads as zeroes afterwards, durably. What reads as zeroes already is not
 * written, so that a thin volume does not get space for it.
 *
 * --empty: whether a namespace reads as zeroes, at both its ends and in samples between, as far as
 * that can be told without reading all of it.
 *
 * Threading: on reactor 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "perf/perf.h"

#define SLOTS	   8u
#define PIECE_SIZE (1024u * 1024)

/* --empty: in pieces, the first 16 MiB, the last MiB, and samples between. */
#define LOOK_SIZE    (64u * 1024)
#define LOOK_HEAD    256u
#define LOOK_TAIL    16u
#define LOOK_SAMPLES 256u
#define LOOK_PIECES  (LOOK_HEAD + LOOK_SAMPLES + LOOK_TAIL)

/* One piece on its way: read, looked at, written. */
struct slot {
	struct nvme_request req;
	struct iovec iov;
	uint8_t *data;
	uint64_t lba;
	uint32_t blocks;
};

struct zero {
	struct perf_session *s;
	struct nvme_qpair *qp;
	const struct nvme_ns *ns;
	struct slot slots[SLOTS];
	struct nvme_request flush;
	uint64_t next, end; /* LBA; of samples: which one, and how many */
	uint32_t piece;	    /* blocks */
	bool samples;
	uint64_t found; /* --empty: the first LBA that was seen to be written; UINT64_MAX */
	unsigned int busy;
	uint64_t written, read; /* blocks */
};

static struct zero zero;

static void leave(void *user)
{
	struct zero *z = user;

	for (unsigned int i = 0; i < SLOTS; i++)
		free(z->slots[i].data);
	perf_session_end(z->s);
}

static bool only_looks(const struct zero *z)
{
	return z->s->o->mode == PERF_EMPTY;
}

static void report_empty(const struct zero *z, uint64_t read)
{
	if (z->s->o->json)
		printf("{\"bytes\": %" PRIu64 ", \"empty\": %s}\n", read,
		       z->found == UINT64_MAX ? "true" : "false");
	else
		printf("%" PRIu64 " bytes were read\n", read);
	if (z->found != UINT64_MAX)
		perf_session_fail(z->s, PERF_EXIT_MISMATCH,
				  "namespace %u is not empty: see LBA %" PRIu64, z->ns->nsid,
				  z->found);
}

static void report(const struct zero *z)
{
	uint64_t written = z->written * z->ns->block_size, read = z->read * z->ns->block_size;

	if (only_looks(z))
		report_empty(z, read);
	else if (z->s->o->json)
		printf("{\"bytes\": %" PRIu64 ", \"written\": %" PRIu64 "}\n", read, written);
	else
		printf("%" PRIu64 " bytes read as zeroes, of which %" PRIu64 " were written now\n",
		       read, written);
}

static void finish(struct zero *z)
{
	if (z->s->exit == PERF_EXIT_OK)
		report(z);
	nvme_qpair_close(z->qp, leave);
}

static void fail(struct zero *z, const struct nvme_request *req, const char *what, uint64_t lba)
{
	char text[NVME_STATUS_TEXT];

	nvme_status_text(nvme_request_status(req), text, sizeof(text));
	if (z->s->exit == PERF_EXIT_OK)
		perf_session_fail(z->s, PERF_EXIT_IO, "namespace %u: cannot %s LBA %" PRIu64 ": %s",
				  z->ns->nsid, what, lba, text);
}

static void flush_done(struct nvme_request *req)
{
	struct zero *z = container_of(req, struct zero, flush);

	if (nvme_request_status(req) != 0)
		fail(z, req, "flush up to", z->end);
	finish(z);
}

static void slot_next(struct zero *z, struct slot *slot);

static bool is_zero(const uint8_t *data, size_t len)
{
	return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

static void slot_send(struct zero *z, struct slot *slot, uint8_t opcode,
		      void (*done)(struct nvme_request *req))
{
	uint32_t len = slot->blocks * z->ns->block_size;

	slot->iov = (struct iovec){ .iov_base = slot->data, .iov_len = len };
	slot->req =
		(struct nvme_request){ .iov = &slot->iov, .iovcnt = 1, .len = len, .done = done };
	nvme_cmd_rw(&slot->req, opcode, z->ns->nsid, slot->lba, slot->blocks);
	nvme_submit(z->qp, &slot->req);
}

static void write_done(struct nvme_request *req)
{
	struct slot *slot = container_of(req, struct slot, req);

	if (nvme_request_status(req) != 0)
		fail(&zero, req, "write", slot->lba);
	zero.written += slot->blocks;
	slot_next(&zero, slot);
}

static void read_done(struct nvme_request *req)
{
	struct slot *slot = container_of(req, struct slot, req);
	size_t len = (size_t)slot->blocks * zero.ns->block_size;

	if (nvme_request_status(req) != 0)
		fail(&zero, req, "read", slot->lba);
	zero.read += slot->blocks;
	if (zero.s->exit != PERF_EXIT_OK || is_zero(slot->data, len)) {
		slot_next(&zero, slot);
		return;
	}
	if (only_looks(&zero)) {
		zero.found = slot->lba < zero.found ? slot->lba : zero.found;
		slot_next(&zero, slot);
		return;
	}
	memset(slot->data, 0, len);
	slot_send(&zero, slot, NVME_IO_WRITE, write_done);
}

/* The @i-th of the samples: the first pieces, places between, the last pieces. */
static uint64_t sample_lba(const struct zero *z, uint64_t i)
{
	uint64_t pieces = z->ns->blocks / z->piece, between = pieces - LOOK_HEAD - LOOK_TAIL;

	if (i < LOOK_HEAD)
		return i * z->piece;
	if (i >= LOOK_HEAD + LOOK_SAMPLES)
		return z->ns->blocks - (LOOK_PIECES - i) * z->piece;
	return (LOOK_HEAD + (i - LOOK_HEAD) * (between / LOOK_SAMPLES)) * z->piece;
}

static void take_piece(struct zero *z, struct slot *slot)
{
	slot->blocks = z->piece;
	if (z->samples) {
		slot->lba = sample_lba(z, z->next++);
		return;
	}
	slot->lba = z->next;
	if (z->end - z->next < z->piece)
		slot->blocks = (uint32_t)(z->end - z->next);
	z->next += slot->blocks;
}

static void slot_next(struct zero *z, struct slot *slot)
{
	if (z->s->exit == PERF_EXIT_OK && z->next < z->end) {
		take_piece(z, slot);
		slot_send(z, slot, NVME_IO_READ, read_done);
		return;
	}
	if (--z->busy > 0)
		return;
	if (z->s->exit != PERF_EXIT_OK || only_looks(z)) {
		finish(z);
		return;
	}
	z->flush = (struct nvme_request){ .done = flush_done };
	nvme_cmd_flush(&z->flush, z->ns->nsid);
	nvme_submit(z->qp, &z->flush);
}

static void qpair_ready(struct nvme_qpair *qp, void *user, int result)
{
	struct zero *z = user;

	if (result != 0) {
		perf_session_fail(z->s, PERF_EXIT_CONNECT, "%s", nvme_qpair_error(qp)->text);
		finish(z);
		return;
	}
	z->busy = SLOTS;
	for (unsigned int i = 0; i < SLOTS; i++)
		slot_next(z, &z->slots[i]);
}

static const struct nvme_qpair_ops qpair_ops = { .ready = qpair_ready };

/* A namespace of few pieces is read whole. */
static void set_samples(struct zero *z, uint32_t most)
{
	z->found = UINT64_MAX;
	z->piece = (most < LOOK_SIZE ? most : LOOK_SIZE) / z->ns->block_size;
	z->samples = z->piece && z->ns->blocks / z->piece > LOOK_PIECES;
	z->end = z->samples ? LOOK_PIECES : z->ns->blocks;
}

/* Return: false when the region is not inside the namespace. */
static bool set_region(struct zero *z)
{
	const struct perf_options *o = z->s->o;
	uint32_t most = nvme_ctrlr_info(z->s->ctrlr)->max_transfer;
	uint32_t bs = z->ns->block_size;
	uint64_t size = z->ns->blocks * bs, length = o->length ? o->length : size - o->offset;

	if (only_looks(z)) {
		set_samples(z, most);
		return z->piece > 0;
	}
	if (o->offset > size || length > size - o->offset || o->offset % bs || length % bs)
		return false;
	z->piece = (most < PIECE_SIZE ? most : PIECE_SIZE) / bs;
	z->next = o->offset / bs;
	z->end = z->next + length / bs;
	return z->piece > 0;
}

static bool set_memory(struct zero *z)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		z->slots[i].data = malloc((size_t)z->piece * z->ns->block_size);
		if (!z->slots[i].data)
			return false;
	}
	return true;
}

static void session_ready(struct perf_session *s)
{
	struct zero *z = &zero;
	uint32_t nsid = (uint32_t)s->o->nsid;

	z->s = s;
	z->ns = nsid ? nvme_ctrlr_ns(s->ctrlr, nsid) : nvme_ctrlr_first_ns(s->ctrlr);
	if (!z->ns || z->ns->metadata)
		perf_session_fail(s, PERF_EXIT_IO, "%s has no such namespace, or one with metadata",
				  s->o->ctrlr.path.subnqn);
	else if (!set_region(z))
		perf_session_fail(s, PERF_EXIT_USAGE,
				  "--offset and --length name no whole blocks of the namespace's "
				  "%" PRIu64 " blocks of %u bytes",
				  z->ns->blocks, z->ns->block_size);
	else if (!set_memory(z) || nvme_qpair_connect(s->ctrlr, SLOTS, &qpair_ops, z, &z->qp) != 0)
		perf_session_fail(s, PERF_EXIT_FAILURE, "no memory for a queue pair");
	if (s->exit != PERF_EXIT_OK)
		perf_session_end(s);
}

/* The queue pair answers with a path error, which ends the session. */
static void session_lost(struct perf_session *s)
{
	if (!zero.qp)
		perf_session_end(s);
}

void perf_zero_start(struct perf_session *s)
{
	s->ready = session_ready;
	s->lost = session_lost;
	perf_session_start(s);
}
