/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O commands of the NVM command set (NVM Command Set 1.0, 3): from a queue to the bdev behind a
 * namespace.
 *
 * A command is checked when it arrives, before the host is asked for data, and enters the namespace
 * only when its data is there: a host that never sends it must not hold up the removal of a
 * namespace. So what may have changed meanwhile is checked again.
 *
 * Threading: the connection's reactor.
 */
#include "base/checked.h"
#include "base/container_of.h"
#include "base/le.h"
#include "nvmf/ctrlr.h"

#define GENERIC(sc)  (NVME_STATUS(NVME_SCT_GENERIC, (sc)) | NVME_STATUS_DNR)
#define DSM_BYTES(n) ((n) * (uint32_t)sizeof(struct nvme_dsm_range))
#define PAGE_SHIFT   12u

static uint64_t slba(const struct nvmf_req *req)
{
	return le32_get(&req->cmd.cdw10) | (uint64_t)le32_get(&req->cmd.cdw11) << 32;
}

static uint32_t nlb(const struct nvmf_req *req)
{
	return (le32_get(&req->cmd.cdw12) & UINT16_MAX) + 1;
}

static uint32_t dsm_ranges(const struct nvmf_req *req)
{
	return (le32_get(&req->cmd.cdw10) & UINT8_MAX) + 1;
}

static uint8_t fua(const struct nvmf_req *req)
{
	return le32_get(&req->cmd.cdw12) & NVME_IO_FUA_BIT ? BDEV_IO_FUA : 0;
}

/* --- checks ----------------------------------------------------------------------------------- */

static struct nvmf_ns_part *find_ns(const struct nvmf_req *req)
{
	const struct nvmf_conn *conn = req->conn;
	uint32_t nsid = le32_get(&req->cmd.nsid);
	struct nvmf_ns_part *ns;

	/* NSID 0 wraps to what no namespace has. */
	if (nsid - 1 >= conn->part->count)
		return NULL;
	ns = conn->part->ns[nsid - 1];
	if (!ns || ns->removed)
		return NULL;
	if (ns->visible && !nvmf_ns_sees(ns, conn->ctrlr->hostnqn))
		return NULL;
	return ns;
}

static uint16_t check_range(const struct nvmf_req *req, const struct nvmf_ns_part *ns)
{
	if (!range_is_within(slba(req), nlb(req), ns->blocks))
		return GENERIC(NVME_SC_LBA_OUT_OF_RANGE);
	return 0;
}

static uint16_t check_transfer(struct nvmf_req *req, const struct nvmf_ns_part *ns,
			       enum nvmf_dir dir)
{
	/* At most 2^16 blocks of at most 2^15 bytes: no overflow in 32 bits, but in what follows.
	 */
	uint64_t bytes = (uint64_t)nlb(req) << ns->ns->block_shift;
	uint16_t status = check_range(req, ns);

	if (status)
		return status;
	if (bytes > req->conn->tgt->tcp.max_io_size)
		return GENERIC(NVME_SC_INVALID_FIELD);
	return nvmf_cmd_data(req, dir, (uint32_t)bytes, true);
}

static uint16_t check_write_zeroes(struct nvmf_req *req, const struct nvmf_ns_part *ns)
{
	uint64_t bytes = (uint64_t)nlb(req) << ns->ns->block_shift;
	uint8_t wzsl = ns->ns->subsystem->wzsl;
	uint16_t status = check_range(req, ns);

	if (status)
		return status;
	if (wzsl && bytes >> PAGE_SHIFT >> wzsl > 0 && bytes > (UINT64_C(1) << PAGE_SHIFT << wzsl))
		return GENERIC(NVME_SC_INVALID_FIELD);
	return nvmf_cmd_data(req, NVMF_DIR_NONE, 0, false);
}

uint16_t nvmf_io_prepare(struct nvmf_req *req)
{
	const struct nvmf_ns_part *ns = find_ns(req);

	switch (req->cmd.opc) {
	case NVME_IO_READ:
	case NVME_IO_WRITE:
	case NVME_IO_COMPARE:
	case NVME_IO_FLUSH:
	case NVME_IO_WRITE_ZEROES:
	case NVME_IO_DSM:
		break;
	default:
		return GENERIC(NVME_SC_INVALID_OPCODE);
	}
	if (!ns)
		return GENERIC(NVME_SC_INVALID_NAMESPACE);
	switch (req->cmd.opc) {
	case NVME_IO_READ:
		return check_transfer(req, ns, NVMF_DIR_C2H);
	case NVME_IO_WRITE:
	case NVME_IO_COMPARE:
		return check_transfer(req, ns, NVMF_DIR_H2C);
	case NVME_IO_WRITE_ZEROES:
		return check_write_zeroes(req, ns);
	case NVME_IO_DSM:
		/* Linux always hands over room for 256 ranges. */
		return nvmf_cmd_data(req, NVMF_DIR_H2C, DSM_BYTES(dsm_ranges(req)), false);
	default:
		return nvmf_cmd_data(req, NVMF_DIR_NONE, 0, false);
	}
}

/* --- in and out of a namespace ---------------------------------------------------------------- */

/* The namespace now, which may be another than when the command arrived. */
uint16_t nvmf_io_enter(struct nvmf_req *req)
{
	struct nvmf_ns_part *ns = find_ns(req);
	bool has_range = req->cmd.opc != NVME_IO_FLUSH && req->cmd.opc != NVME_IO_DSM;

	if (!ns)
		return GENERIC(NVME_SC_INVALID_NAMESPACE);
	if (has_range && check_range(req, ns))
		return GENERIC(NVME_SC_LBA_OUT_OF_RANGE);
	if (has_range && req->data_len > 0 &&
	    (uint64_t)nlb(req) << ns->ns->block_shift != req->data_len)
		return NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_NAMESPACE_NOT_READY);
	ns->outstanding++;
	req->ns = ns;
	nvmf_req_hold(req);
	return 0;
}

static void ns_put(struct nvmf_ns_part *ns)
{
	if (--ns->outstanding == 0 && ns->drain) {
		struct nvmf_tell_part *drain = ns->drain;

		ns->drain = NULL;
		bdev_channel_put(ns->channel);
		ns->channel = NULL;
		nvmf_tell_answer(drain, 0);
	}
}

void nvmf_io_leave(struct nvmf_req *req)
{
	struct nvmf_ns_part *ns = req->ns;

	req->ns = NULL;
	nvmf_req_unhold(req);
	ns_put(ns);
}

uint16_t nvmf_io_status(const struct bdev_io *io)
{
	uint16_t status = NVME_STATUS(io->status.sct, io->status.sc);

	if (io->status.err == 0 && status == 0)
		return 0;
	if (status == 0)
		status = NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INTERNAL_ERROR);
	return io->status.dnr ? status | NVME_STATUS_DNR : status;
}

static void finish(struct nvmf_req *req)
{
	uint16_t status = nvmf_io_status(&req->io);

	nvmf_io_leave(req);
	nvmf_req_complete(req, status);
}

static void io_done(struct bdev_io *io)
{
	finish(container_of(io, struct nvmf_req, io));
}

/* --- read, write, compare --------------------------------------------------------------------- */

static void borrow_done(struct bdev_io *io)
{
	struct nvmf_req *req = container_of(io, struct nvmf_req, io);

	req->borrowed = true;
	if (io->status.err == 0) {
		for (unsigned int i = 0; i < io->iovcnt; i++)
			req->iov[i] = io->iov[i];
		req->iovcnt = (uint8_t)io->iovcnt;
	}
	finish(req);
}

static void read_buffered(struct nvmf_req *req)
{
	req->io.done = io_done;
	bdev_readv(req->ns->channel, &req->io, req->iov, req->iovcnt, slba(req), nlb(req));
}

static void read_with_buffers(struct nvmf_req *req)
{
	uint16_t status;

	/* While it waited for buffers it was not held: the namespace may have gone. */
	status = req->conn->state == NVMF_CONN_LIVE ? nvmf_io_enter(req)
						    : GENERIC(NVME_SC_ABORTED_SQ_DELETION);
	if (status)
		nvmf_req_complete(req, status);
	else
		read_buffered(req);
}

static void do_read(struct nvmf_req *req)
{
	struct nvmf_conn_counts *counts = &req->conn->counts;

	counts->reads++;
	counts->blocks_read += req->data_len >> 9;
	if (req->data_len <= BDEV_BORROW_MAX) {
		req->io.done = borrow_done;
		bdev_read_borrow(req->ns->channel, &req->io, slba(req), nlb(req));
		return;
	}
	nvmf_io_leave(req);
	req->state = NVMF_REQ_WAITING;
	if (nvmf_req_buffers_get(req, req->data_len, read_with_buffers))
		read_with_buffers(req);
}

static void do_write(struct nvmf_req *req)
{
	struct nvmf_conn_counts *counts = &req->conn->counts;

	counts->writes++;
	counts->blocks_written += req->data_len >> 9;
	req->io.done = io_done;
	bdev_writev(req->ns->channel, &req->io, req->iov, req->iovcnt, slba(req), nlb(req),
		    fua(req));
}

/* --- write zeroes, dataset management --------------------------------------------------------- */

static void do_write_zeroes(struct nvmf_req *req)
{
	const struct nvmf_ns *ns = req->ns->ns;
	bool deallocate = le32_get(&req->cmd.cdw12) & NVME_IO_DEAC_BIT;

	req->io.done = io_done;
	if (deallocate && ns->unmaps && ns->unmap_zeroes && !fua(req))
		bdev_unmap(req->ns->channel, &req->io, slba(req), nlb(req));
	else
		bdev_write_zeroes(req->ns->channel, &req->io, slba(req), nlb(req), fua(req));
}

static const struct nvme_dsm_range *dsm_range(const struct nvmf_req *req, uint32_t index)
{
	return (const struct nvme_dsm_range *)req->iov[0].iov_base + index;
}

/* All ranges are checked before the first is carried out (NVM Command Set 1.0, 3.2.3). */
static uint16_t dsm_check(const struct nvmf_req *req)
{
	for (uint32_t i = 0; i < dsm_ranges(req); i++) {
		const struct nvme_dsm_range *r = dsm_range(req, i);
		uint32_t blocks = le32_get(&r->blocks);

		if (!range_is_within(le64_get(&r->lba), blocks, req->ns->blocks))
			return GENERIC(NVME_SC_LBA_OUT_OF_RANGE);
		if (blocks > req->ns->ns->subsystem->dmrsl)
			return NVME_STATUS(NVME_SCT_COMMAND, NVME_SC_COMMAND_SIZE_LIMIT) |
			       NVME_STATUS_DNR;
	}
	return 0;
}

static void dsm_next(struct nvmf_req *req);

static void dsm_done(struct bdev_io *io)
{
	struct nvmf_req *req = container_of(io, struct nvmf_req, io);

	if (nvmf_io_status(io))
		finish(req);
	else
		dsm_next(req);
}

static void dsm_end(struct nvmf_req *req, uint16_t status)
{
	nvmf_io_leave(req);
	nvmf_req_complete(req, status);
}

/* One range after the other; the ranges stay in the request's buffer. */
static void dsm_next(struct nvmf_req *req)
{
	while (req->step < dsm_ranges(req)) {
		const struct nvme_dsm_range *r = dsm_range(req, req->step++);

		if (le32_get(&r->blocks) == 0)
			continue;
		req->io.done = dsm_done;
		bdev_unmap(req->ns->channel, &req->io, le64_get(&r->lba), le32_get(&r->blocks));
		return;
	}
	dsm_end(req, 0);
}

/* Anything but deallocation is advice, and so is deallocation where there is none. */
static void do_dsm(struct nvmf_req *req)
{
	bool deallocate = le32_get(&req->cmd.cdw11) & NVME_DSM_DEALLOCATE;
	uint16_t status = dsm_check(req);

	if (status || !deallocate || !req->ns->ns->unmaps) {
		dsm_end(req, status);
		return;
	}
	req->step = 0;
	dsm_next(req);
}

/* --- the command ------------------------------------------------------------------------------ */

void nvmf_io_execute(struct nvmf_req *req)
{
	uint16_t status = nvmf_io_enter(req);

	if (status) {
		nvmf_req_complete(req, status);
		return;
	}
	switch (req->cmd.opc) {
	case NVME_IO_READ:
		do_read(req);
		break;
	case NVME_IO_WRITE:
		do_write(req);
		break;
	case NVME_IO_COMPARE:
		req->io.done = io_done;
		bdev_comparev(req->ns->channel, &req->io, req->iov, req->iovcnt, slba(req),
			      nlb(req));
		break;
	case NVME_IO_WRITE_ZEROES:
		do_write_zeroes(req);
		break;
	case NVME_IO_DSM:
		do_dsm(req);
		break;
	default:
		req->io.done = io_done;
		bdev_flush(req->ns->channel, &req->io, 0, req->ns->blocks);
		break;
	}
}

/* --- abort ------------------------------------------------------------------------------------ */

static void abort_done(struct bdev_io *io)
{
	struct nvmf_req *abort = container_of(io, struct nvmf_req, io);
	struct nvmf_ns_part *ns = io->arg;

	if (io->status.err == 0)
		abort->cdw0 = 0;
	ns_put(ns);
	abort->resume(abort);
}

void nvmf_io_abort(struct nvmf_req *target, struct nvmf_req *abort,
		   void (*back)(struct nvmf_req *abort))
{
	/* The channel stays until the abort is done, also when the target is done before. */
	target->ns->outstanding++;
	abort->resume = back;
	abort->io.arg = target->ns;
	abort->io.done = abort_done;
	bdev_abort(target->ns->channel, &abort->io, &target->io);
}
