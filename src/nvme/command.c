/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands in words of their parameters.
 *
 * Threading: pure functions on the caller's request.
 */
#include <assert.h>
#include <string.h>

#include "base/le.h"
#include "nvme/host_internal.h"

static void command(struct nvme_request *req, uint8_t opc, uint32_t nsid)
{
	memset(&req->cmd, 0, sizeof(req->cmd));
	req->cmd.opc = opc;
	req->cmd.nsid = htole32(nsid);
	req->direction = NVME_NO_DATA;
}

static void range(struct nvme_request *req, uint64_t lba, uint32_t blocks, uint32_t flags)
{
	assert(blocks >= 1 && blocks <= 65536);
	req->cmd.cdw10 = htole32((uint32_t)lba);
	req->cmd.cdw11 = htole32((uint32_t)(lba >> 32));
	req->cmd.cdw12 = htole32((blocks - 1) | flags);
}

void nvme_cmd_rw(struct nvme_request *req, uint8_t opc, uint32_t nsid, uint64_t lba,
		 uint32_t blocks)
{
	command(req, opc, nsid);
	range(req, lba, blocks, 0);
	req->direction = opc == NVME_IO_READ ? NVME_FROM_CTRLR : NVME_TO_CTRLR;
}

void nvme_cmd_flush(struct nvme_request *req, uint32_t nsid)
{
	command(req, NVME_IO_FLUSH, nsid);
}

void nvme_cmd_write_zeroes(struct nvme_request *req, uint32_t nsid, uint64_t lba, uint32_t blocks,
			   bool deallocate)
{
	command(req, NVME_IO_WRITE_ZEROES, nsid);
	range(req, lba, blocks, deallocate ? NVME_IO_DEAC_BIT : 0);
}

void nvme_cmd_deallocate(struct nvme_request *req, uint32_t nsid, uint32_t ranges)
{
	assert(ranges >= 1 && ranges <= NVME_DSM_RANGES_MAX);
	command(req, NVME_IO_DSM, nsid);
	req->cmd.cdw10 = htole32(ranges - 1);
	req->cmd.cdw11 = htole32(NVME_DSM_DEALLOCATE);
	req->direction = NVME_TO_CTRLR;
}

void nvme_cmd_identify(struct nvme_request *req, uint8_t cns, uint32_t nsid)
{
	command(req, NVME_ADMIN_IDENTIFY, nsid);
	req->cmd.cdw10 = htole32(cns);
	req->direction = NVME_FROM_CTRLR;
}

void nvme_cmd_get_log_page(struct nvme_request *req, uint8_t page, uint64_t offset, uint32_t len)
{
	uint32_t dwords = len / 4 - 1;

	assert(len >= 4 && len % 4 == 0 && offset % 4 == 0);
	command(req, NVME_ADMIN_GET_LOG_PAGE, 0);
	req->cmd.cdw10 = htole32(page | (dwords & 0xffff) << 16);
	req->cmd.cdw11 = htole32(dwords >> 16);
	req->cmd.cdw12 = htole32((uint32_t)offset);
	req->cmd.cdw13 = htole32((uint32_t)(offset >> 32));
	req->direction = NVME_FROM_CTRLR;
}

void nvme_cmd_set_feature(struct nvme_request *req, uint8_t feature, uint32_t value)
{
	command(req, NVME_ADMIN_SET_FEATURES, 0);
	req->cmd.cdw10 = htole32(feature);
	req->cmd.cdw11 = htole32(value);
}

void nvme_request_data(struct nvme_request *req, struct iovec *iov, void *data, uint32_t len,
		       enum nvme_direction direction)
{
	*iov = (struct iovec){ .iov_base = data, .iov_len = len };
	req->iov = iov;
	req->iovcnt = 1;
	req->len = len;
	req->direction = direction;
}
