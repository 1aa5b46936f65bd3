/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fused compare and write (Base 2.0, 3.4.2; NVM Command Set 1.0, 3.2.1): two commands that follow
 * each other in the queue, carried out as one or not at all.
 *
 * The order is that of arrival of the capsules, whatever arrives of their data when. A first
 * command without its second, and the other way round, ends with Missing Fused Command.
 *
 * Threading: the connection's reactor.
 */
#include "base/container_of.h"
#include "base/le.h"
#include "nvmf/ctrlr.h"

#define GENERIC(sc) (NVME_STATUS(NVME_SCT_GENERIC, (sc)) | NVME_STATUS_DNR)
#define MISSING	    GENERIC(NVME_SC_ABORTED_MISSING_FUSED)
#define FAILED	    NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_ABORTED_FAILED_FUSED)

static uint8_t fuse(const struct nvmf_req *req)
{
	return req->cmd.flags & NVME_CMD_FUSE_MASK;
}

/* --- pairing ---------------------------------------------------------------------------------- */

/* End one that has no partner any more; now, or when its data has come. */
static void end_alone(struct nvmf_req *req, uint16_t status)
{
	req->mate = NULL;
	nvmf_req_abort(req, status);
}

static bool same_range(const struct nvmf_req *a, const struct nvmf_req *b)
{
	return a->cmd.nsid == b->cmd.nsid && a->cmd.cdw10 == b->cmd.cdw10 &&
	       a->cmd.cdw11 == b->cmd.cdw11 &&
	       (le32_get(&a->cmd.cdw12) & UINT16_MAX) == (le32_get(&b->cmd.cdw12) & UINT16_MAX);
}

static uint16_t second_arrived(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;
	struct nvmf_req *first = conn->fused_first;
	bool failed = conn->fused_failed;

	conn->fused_first = NULL;
	conn->fused_failed = false;
	if (!first)
		return failed ? FAILED : MISSING;
	if (req->cmd.opc != NVME_IO_WRITE || !same_range(first, req)) {
		end_alone(first, GENERIC(NVME_SC_INVALID_FIELD));
		return GENERIC(NVME_SC_INVALID_FIELD);
	}
	first->mate = req;
	req->mate = first;
	return 0;
}

static void break_first(struct nvmf_conn *conn)
{
	struct nvmf_req *first = conn->fused_first;

	conn->fused_first = NULL;
	conn->fused_failed = false;
	if (first)
		end_alone(first, MISSING);
}

uint16_t nvmf_fused_arrived(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;

	if (fuse(req) == NVME_CMD_FUSE_SECOND)
		return second_arrived(req);
	if (conn->fused_first || conn->fused_failed)
		break_first(conn);
	if (fuse(req) == NVME_CMD_FUSE_NONE)
		return 0;
	if (fuse(req) != NVME_CMD_FUSE_FIRST)
		return GENERIC(NVME_SC_INVALID_FIELD);
	if (req->cmd.opc != NVME_IO_COMPARE) {
		conn->fused_failed = true;
		return GENERIC(NVME_SC_INVALID_FIELD);
	}
	conn->fused_first = req;
	return 0;
}

void nvmf_fused_failed(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;
	struct nvmf_req *mate = req->mate;

	req->mate = NULL;
	if (conn->fused_first == req) {
		conn->fused_first = NULL;
		conn->fused_failed = true;
	}
	if (mate)
		end_alone(mate, FAILED);
}

/* --- execution -------------------------------------------------------------------------------- */

static bool compare_failed(const struct bdev_io *io)
{
	return io->status.sct == NVME_SCT_MEDIA && io->status.sc == NVME_SC_COMPARE_FAILURE;
}

/* The status belongs to the command that failed; the other did not take place. */
static void pair_done(struct bdev_io *io)
{
	struct nvmf_req *second = container_of(io, struct nvmf_req, io);
	struct nvmf_req *first = second->mate;
	uint16_t status = nvmf_io_status(io);
	bool by_first = compare_failed(io);

	first->mate = NULL;
	second->mate = NULL;
	nvmf_req_unhold(first);
	nvmf_io_leave(second);
	if (!status) {
		second->conn->counts.writes++;
		second->conn->counts.blocks_written += second->data_len >> 9;
	}
	nvmf_req_complete(first, status ? (by_first ? status : FAILED) : 0);
	nvmf_req_complete(second, status ? (by_first ? FAILED : status) : 0);
}

static void run_pair(struct nvmf_req *first, struct nvmf_req *second)
{
	uint16_t status = nvmf_io_enter(second);
	uint64_t lba = le32_get(&second->cmd.cdw10) | (uint64_t)le32_get(&second->cmd.cdw11) << 32;
	uint32_t blocks = (le32_get(&second->cmd.cdw12) & UINT16_MAX) + 1;
	uint8_t flags = le32_get(&second->cmd.cdw12) & NVME_IO_FUA_BIT ? BDEV_IO_FUA : 0;

	if (status) {
		first->mate = NULL;
		second->mate = NULL;
		nvmf_req_complete(first, status);
		nvmf_req_complete(second, FAILED);
		return;
	}
	nvmf_req_hold(first);
	second->io.done = pair_done;
	bdev_compare_and_writev(second->ns->channel, &second->io, first->iov, first->iovcnt,
				second->iov, second->iovcnt, lba, blocks, flags);
}

void nvmf_fused_execute(struct nvmf_req *req)
{
	struct nvmf_req *mate = req->mate;

	req->state = NVMF_REQ_FUSED;
	if (!mate || mate->state != NVMF_REQ_FUSED)
		return;
	if (fuse(req) == NVME_CMD_FUSE_FIRST)
		run_pair(req, mate);
	else
		run_pair(mate, req);
}
