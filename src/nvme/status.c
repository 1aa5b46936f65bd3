/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Status codes (Base 2.0, 3.3.3.2) as words and as errno.
 *
 * Threading: pure functions.
 */
#include <errno.h>
#include <stdio.h>

#include "nvme/host.h"

struct status_row {
	uint8_t sct, sc;
	int code;
	const char *text;
};

static const struct status_row rows[] = {
	{ NVME_SCT_GENERIC, NVME_SC_SUCCESS, 0, "Success" },
	{ NVME_SCT_GENERIC, NVME_SC_INVALID_OPCODE, EOPNOTSUPP, "Invalid Command Opcode" },
	{ NVME_SCT_GENERIC, NVME_SC_INVALID_FIELD, EINVAL, "Invalid Field in Command" },
	{ NVME_SCT_GENERIC, NVME_SC_CID_CONFLICT, EIO, "Command ID Conflict" },
	{ NVME_SCT_GENERIC, NVME_SC_DATA_TRANSFER_ERROR, EIO, "Data Transfer Error" },
	{ NVME_SCT_GENERIC, NVME_SC_POWER_LOSS, EIO, "Aborted due to Power Loss" },
	{ NVME_SCT_GENERIC, NVME_SC_INTERNAL_ERROR, EIO, "Internal Error" },
	{ NVME_SCT_GENERIC, NVME_SC_ABORTED_BY_REQUEST, ECANCELED, "Command Abort Requested" },
	{ NVME_SCT_GENERIC, NVME_SC_ABORTED_SQ_DELETION, ECANCELED, "Aborted due to SQ Deletion" },
	{ NVME_SCT_GENERIC, NVME_SC_ABORTED_FAILED_FUSED, ECANCELED,
	  "Aborted due to Failed Fused Command" },
	{ NVME_SCT_GENERIC, NVME_SC_ABORTED_MISSING_FUSED, ECANCELED,
	  "Aborted due to Missing Fused Command" },
	{ NVME_SCT_GENERIC, NVME_SC_INVALID_NAMESPACE, ENXIO, "Invalid Namespace or Format" },
	{ NVME_SCT_GENERIC, NVME_SC_SEQUENCE_ERROR, EIO, "Command Sequence Error" },
	{ NVME_SCT_GENERIC, NVME_SC_DATA_SGL_LENGTH_INVALID, EINVAL, "Data SGL Length Invalid" },
	{ NVME_SCT_GENERIC, NVME_SC_SGL_TYPE_INVALID, EINVAL, "SGL Descriptor Type Invalid" },
	{ NVME_SCT_GENERIC, NVME_SC_OPERATION_DENIED, EACCES, "Operation Denied" },
	{ NVME_SCT_GENERIC, NVME_SC_KATO_EXPIRED, ETIMEDOUT, "Keep Alive Timeout Expired" },
	{ NVME_SCT_GENERIC, NVME_SC_KATO_INVALID, EINVAL, "Keep Alive Timeout Invalid" },
	{ NVME_SCT_GENERIC, NVME_SC_NAMESPACE_WRITE_PROTECTED, EROFS,
	  "Namespace is Write Protected" },
	{ NVME_SCT_GENERIC, NVME_SC_COMMAND_INTERRUPTED, EAGAIN, "Command Interrupted" },
	{ NVME_SCT_GENERIC, NVME_SC_TRANSIENT_TRANSPORT_ERROR, EAGAIN,
	  "Transient Transport Error" },
	{ NVME_SCT_GENERIC, NVME_SC_LBA_OUT_OF_RANGE, ERANGE, "LBA Out of Range" },
	{ NVME_SCT_GENERIC, NVME_SC_CAPACITY_EXCEEDED, ENOSPC, "Capacity Exceeded" },
	{ NVME_SCT_GENERIC, NVME_SC_NAMESPACE_NOT_READY, EAGAIN, "Namespace Not Ready" },
	{ NVME_SCT_GENERIC, NVME_SC_RESERVATION_CONFLICT, EACCES, "Reservation Conflict" },
	{ NVME_SCT_COMMAND, NVME_SC_QID_INVALID, EINVAL, "Invalid Queue Identifier" },
	{ NVME_SCT_COMMAND, NVME_SC_ABORT_LIMIT, EAGAIN, "Abort Command Limit Exceeded" },
	{ NVME_SCT_COMMAND, NVME_SC_AER_LIMIT, EAGAIN,
	  "Asynchronous Event Request Limit Exceeded" },
	{ NVME_SCT_COMMAND, NVME_SC_INVALID_LOG_PAGE, EINVAL, "Invalid Log Page" },
	{ NVME_SCT_COMMAND, NVME_SC_AUTH_REQUIRED, EACCES, "Authentication Required" },
	{ NVME_SCT_MEDIA, NVME_SC_WRITE_FAULT, EIO, "Write Fault" },
	{ NVME_SCT_MEDIA, NVME_SC_UNRECOVERED_READ, EIO, "Unrecovered Read Error" },
	{ NVME_SCT_MEDIA, NVME_SC_COMPARE_FAILURE, EILSEQ, "Compare Failure" },
	{ NVME_SCT_MEDIA, NVME_SC_ACCESS_DENIED, EACCES, "Access Denied" },
	{ NVME_SCT_MEDIA, NVME_SC_DEALLOCATED_BLOCK, EIO, "Deallocated or Unwritten Block" },
	{ NVME_SCT_PATH, NVME_SC_PATH_INTERNAL, EIO, "Internal Path Error" },
	{ NVME_SCT_PATH, NVME_SC_ANA_PERSISTENT_LOSS, ENOLINK,
	  "Asymmetric Access Persistent Loss" },
	{ NVME_SCT_PATH, NVME_SC_ANA_INACCESSIBLE, ENOLINK, "Asymmetric Access Inaccessible" },
	{ NVME_SCT_PATH, NVME_SC_ANA_TRANSITION, EAGAIN, "Asymmetric Access Transition" },
	{ NVME_SCT_PATH, NVME_SC_HOST_PATH_ERROR, ENOLINK, "Host Path Error" },
	{ NVME_SCT_PATH, NVME_SC_HOST_ABORTED, ECANCELED, "Command Aborted By Host" },
};

static const struct status_row *row_of(uint16_t status)
{
	uint8_t sct = nvme_status_sct(status), sc = nvme_status_sc(status);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].sct == sct && rows[i].sc == sc)
			return &rows[i];
	return NULL;
}

int nvme_status_errno(uint16_t status)
{
	const struct status_row *row = row_of(status);

	return row ? -row->code : -EIO;
}

void nvme_status_text(uint16_t status, char *buf, size_t size)
{
	const struct status_row *row = row_of(status);

	snprintf(buf, size, "%s (0x%x/0x%02x)%s", row ? row->text : "status",
		 nvme_status_sct(status), nvme_status_sc(status),
		 status & NVME_STATUS_DNR ? ", do not retry" : "");
}
