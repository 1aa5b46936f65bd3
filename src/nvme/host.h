/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NVMe host driver: controllers, their namespaces, and queue pairs on any reactor. What carries
 * commands (TCP; PCIe) lies behind a table of operations (nvme/host_internal.h).
 *
 * Threading: a controller belongs to the reactor that connected it, its home; nvme_ctrlr_*() and
 * nvme_discovery_*() are called there. An I/O queue pair belongs to the reactor that connected it.
 * What nvme_ctrlr_info() and the namespaces tell does not change while a queue pair exists, so any
 * reactor with a queue pair may read it.
 *
 * Completion: as reactor.h says: once, later, on the caller's reactor. A path that breaks answers
 * every request with the path status Host Path Error or Command Aborted By Host (Base 2.0, Figure
 * 99), after the transport let go of the request's memory.
 */
#ifndef NVME_HOST_H
#define NVME_HOST_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"
#include "base/uuid.h"
#include "net/net.h"
#include "nvme/dhchap.h"
#include "nvme/spec.h"

struct nvme_ctrlr;
struct nvme_qpair;

/* --- requests ------------------------------------------------------------------------------- */

enum nvme_direction {
	NVME_NO_DATA,
	NVME_FROM_CTRLR, /* read, Identify, ... */
	NVME_TO_CTRLR,	 /* write, compare, ... */
};

#define NVME_REQUEST_IOV_MAX 64u

/**
 * struct nvme_request - one command; embedded in what it is about, untouched until @done
 * @cmd: filled by the caller or by nvme_cmd_*(); the identifier, PSDT and data pointer are the
 *       driver's
 * @iov, @iovcnt, @len: the data, at most NVME_REQUEST_IOV_MAX pieces that hold @len bytes together;
 *                      both the array and the bytes must stay until @done
 * @may_be_short: the controller may answer with fewer bytes (Authentication Receive)
 * @done: called once, with @cpl filled: by the controller, or by the driver with a path status
 * @user: the caller's own
 *
 * @next is the driver's.
 */
struct nvme_request {
	struct nvme_cmd cmd;
	struct iovec *iov;
	uint32_t iovcnt;
	uint32_t len;
	enum nvme_direction direction;
	bool may_be_short;
	void (*done)(struct nvme_request *req);
	struct nvme_cpl cpl;
	void *user;
	struct nvme_request *next;
};

/** nvme_request_status() - the status field with the phase tag cleared; 0 is success */
static inline uint16_t nvme_request_status(const struct nvme_request *req)
{
	return (uint16_t)(le16toh(req->cpl.status) & 0xfffeu);
}

/** nvme_status_errno() - the negative errno nearest to a status; 0 for success */
int nvme_status_errno(uint16_t status);
/** nvme_status_text() - "LBA Out of Range (0x0/0x80), do not retry" into @buf */
void nvme_status_text(uint16_t status, char *buf, size_t size);
#define NVME_STATUS_TEXT 96

/**
 * nvme_cmd_rw() - read, write or compare @blocks blocks from @lba on
 * @opc: NVME_IO_READ, NVME_IO_WRITE, NVME_IO_COMPARE; sets the direction, not the data
 * @blocks: 1 to 65536
 */
void nvme_cmd_rw(struct nvme_request *req, uint8_t opc, uint32_t nsid, uint64_t lba,
		 uint32_t blocks);
void nvme_cmd_flush(struct nvme_request *req, uint32_t nsid);
/** nvme_cmd_write_zeroes() - @deallocate: the controller may also unmap */
void nvme_cmd_write_zeroes(struct nvme_request *req, uint32_t nsid, uint64_t lba, uint32_t blocks,
			   bool deallocate);
/** nvme_cmd_deallocate() - the request's data is @ranges times struct nvme_dsm_range (1 to 256) */
void nvme_cmd_deallocate(struct nvme_request *req, uint32_t nsid, uint32_t ranges);
/** nvme_cmd_identify() - the request's data is 4096 bytes */
void nvme_cmd_identify(struct nvme_request *req, uint8_t cns, uint32_t nsid);
/** nvme_cmd_get_log_page() - @len bytes (a multiple of 4) from @offset on, which is the data */
void nvme_cmd_get_log_page(struct nvme_request *req, uint8_t page, uint64_t offset, uint32_t len);
void nvme_cmd_set_feature(struct nvme_request *req, uint8_t feature, uint32_t value);

/* --- addresses ------------------------------------------------------------------------------ */

/**
 * struct nvme_path - where a subsystem is and who asks for it
 * @subnqn, @hostnqn: NUL-terminated
 * @hostid: host identifier of Connect; the same for every controller of one host (Base 2.0, 6.3)
 */
struct nvme_path {
	uint8_t trtype;
	struct net_addr addr;
	char subnqn[NVME_NQN_MAX + 1];
	char hostnqn[NVME_NQN_MAX + 1];
	struct uuid hostid;
};

/**
 * nvme_path_init() - TCP, no address, the discovery subsystem, and this machine as the host: its
 * NQN and identifier follow from /etc/machine-id, so that they are the same in each run
 */
void nvme_path_init(struct nvme_path *path);
/**
 * nvme_path_parse() - take "trtype:TCP adrfam:IPv4 traddr:127.0.0.1 trsvcid:4420 subnqn:nqn...
 * hostnqn:nqn... hostid:uuid"; what is not named stays as it was
 */
int nvme_path_parse(struct nvme_path *path, const char *text, struct error *err);
/** nvme_path_set_addr() - "127.0.0.1:4420", "[::1]:4420"; without a port 4420 (8009 is not tried)
 */
int nvme_path_set_addr(struct nvme_path *path, const char *text, struct error *err);
/** nvme_path_set_nqn() - @which: path->subnqn or path->hostnqn; @what names it in a refusal */
int nvme_path_set_nqn(char which[static NVME_NQN_MAX + 1], const char *what, const char *text,
		      struct error *err);
/** nvme_path_set_hostid() - a UUID that is not nil */
int nvme_path_set_hostid(struct nvme_path *path, const char *text, struct error *err);

/* --- controllers ---------------------------------------------------------------------------- */

/**
 * struct nvme_ctrlr_options - how to connect
 * @hdgst, @ddgst: header and data digests (CRC-32C); the controller must agree
 * @sq_flow: keep submission queue flow control; without it a controller may answer reads by
 *           C2HData with SUCCESS
 * @kato_ms: keep-alive timeout, 0 for none
 * @admin_depth: entries of the admin queue (2 to 4096)
 * @io_queues: how many I/O queue pairs are asked for; 0: none (discovery)
 * @connect_timeout_ms: of a connection with all its first exchanges
 * @timeout_ms: of a command: then it is aborted, and after as long again the connection is dropped;
 *              0 waits for ever
 * @shutdown_timeout_ms: longest wait for an orderly shutdown
 * @dhchap_key: of the host, for a controller that asks for it; without it such one is refused
 * @dhchap_ctrlr_key: the controller must prove itself with it too
 * @dhchap_hashes, @dhchap_groups: that are offered, a bit for each identifier
 * @psk: speak TLS with this pre-shared key
 */
struct nvme_ctrlr_options {
	struct nvme_path path;
	bool hdgst, ddgst;
	bool sq_flow;
	uint32_t kato_ms;
	uint16_t admin_depth;
	uint16_t io_queues;
	uint32_t connect_timeout_ms;
	uint32_t timeout_ms;
	uint32_t shutdown_timeout_ms;
	struct key dhchap_key, dhchap_ctrlr_key, psk;
	uint32_t dhchap_hashes, dhchap_groups;
};

void nvme_ctrlr_options_init(struct nvme_ctrlr_options *opts);

/**
 * struct nvme_ctrlr_ops - what a controller tells its user
 * @ready: connected and enabled (0), or why not; see nvme_ctrlr_error(). The user ends the
 *         controller with nvme_ctrlr_disconnect() in either case.
 * @lost: the admin connection broke or keep-alive was not answered; once, after @ready. All queue
 *        pairs are told too.
 * @event: an asynchronous event's completion dword 0 (may be NULL); a changed namespace list was
 *         already read, so that the next change is told again
 */
struct nvme_ctrlr_ops {
	void (*ready)(struct nvme_ctrlr *ctrlr, void *user, int result);
	void (*lost)(struct nvme_ctrlr *ctrlr, void *user, int reason);
	void (*event)(struct nvme_ctrlr *ctrlr, void *user, uint32_t result);
};

/**
 * nvme_ctrlr_connect() - connect and enable a controller
 *
 * Return: 0 with @ctrlr set and ops->ready to come; -EINVAL, -EPROTONOSUPPORT, -ENOMEM with @err.
 */
int nvme_ctrlr_connect(const struct nvme_ctrlr_options *opts, const struct nvme_ctrlr_ops *ops,
		       void *user, struct nvme_ctrlr **ctrlr, struct error *err);

/**
 * nvme_ctrlr_disconnect() - shut down in order (CC.SHN) as far as the path still works, then close
 * @done: called once; the controller is gone. No call of the ops follows nvme_ctrlr_disconnect().
 *
 * Queue pairs that still exist are told that they are lost, and waited for until their owners
 * closed them.
 */
void nvme_ctrlr_disconnect(struct nvme_ctrlr *ctrlr, void (*done)(void *user));

/** nvme_ctrlr_error() - why it failed or was lost, in words */
const struct error *nvme_ctrlr_error(const struct nvme_ctrlr *ctrlr);

/** nvme_ctrlr_admin() - an admin command */
void nvme_ctrlr_admin(struct nvme_ctrlr *ctrlr, struct nvme_request *req);

/**
 * struct nvme_ctrlr_info - what a ready controller said of itself
 * @max_transfer: bytes of one command's data (MDTS); UINT32_MAX without a limit
 * @max_depth: most outstanding commands of an I/O queue pair
 * @io_queues: granted
 */
struct nvme_ctrlr_info {
	struct nvme_id_ctrlr id;
	uint64_t cap;
	uint32_t version;
	uint32_t max_transfer;
	uint16_t max_depth;
	uint16_t io_queues;
	uint16_t cntlid;
};
const struct nvme_ctrlr_info *nvme_ctrlr_info(const struct nvme_ctrlr *ctrlr);

/** nvme_field_text() - a space-padded field (serial, model) as text; others than ASCII as '?' */
void nvme_field_text(const char *field, size_t field_size, char *buf, size_t size);

/* --- namespaces ----------------------------------------------------------------------------- */

/**
 * struct nvme_ns - an active namespace
 * @block_size: of data in bytes; @metadata: bytes a block beside it
 * @uuid, @nguid, @eui64: all zeros where it has none
 */
struct nvme_ns {
	uint32_t nsid;
	uint32_t block_size;
	uint16_t metadata;
	uint64_t blocks;
	struct uuid uuid;
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct nvme_id_ns id;
	struct nvme_ns *next;
};

/**
 * nvme_ctrlr_scan() - read all active namespaces anew
 * @done: 0, or why not; on failure the old list stays. One scan at a time (-EBUSY).
 */
int nvme_ctrlr_scan(struct nvme_ctrlr *ctrlr, void (*done)(void *arg, int result), void *arg);
/** nvme_ctrlr_first_ns() - in ascending order of NSID; valid until the next scan */
const struct nvme_ns *nvme_ctrlr_first_ns(const struct nvme_ctrlr *ctrlr);
const struct nvme_ns *nvme_ctrlr_ns(const struct nvme_ctrlr *ctrlr, uint32_t nsid);

/* --- discovery ------------------------------------------------------------------------------ */

#define NVME_DISCOVERY_RECORDS_MAX 4096u
#define NVME_DISCOVERY_RETRIES	   5u

/**
 * nvme_discovery_read() - the discovery log of a discovery controller, of one generation
 * @done: 0 with the log, which the callee frees with free(); -EAGAIN when it changed each time that
 *        it was read, -EPROTO when it makes no sense
 *
 * Return: 0, or -ENOMEM.
 *
 * Base 2.0, 5.16.1.23: a log whose GENCTR changed while it was read is read again.
 */
int nvme_discovery_read(struct nvme_ctrlr *ctrlr,
			void (*done)(void *arg, int result, struct nvme_discovery_log *log),
			void *arg);

/* --- queue pairs ---------------------------------------------------------------------------- */

/**
 * struct nvme_qpair_ops - what a queue pair tells its user
 * @ready: connected (0), or why not. The user ends it with nvme_qpair_close() in either case.
 * @lost: it broke; once, after @ready, when all requests were answered. May be NULL.
 */
struct nvme_qpair_ops {
	void (*ready)(struct nvme_qpair *qp, void *user, int result);
	void (*lost)(struct nvme_qpair *qp, void *user, int reason);
};

/**
 * nvme_qpair_connect() - an I/O queue pair of a ready controller, on this reactor
 * @depth: most commands outstanding at once; less when the controller takes less
 *
 * Return: 0 with ops->ready to come, or -ENOMEM.
 */
int nvme_qpair_connect(struct nvme_ctrlr *ctrlr, uint16_t depth, const struct nvme_qpair_ops *ops,
		       void *user, struct nvme_qpair **qp);
/** nvme_qpair_close() - @released is called once, when all requests were answered; may be NULL */
void nvme_qpair_close(struct nvme_qpair *qp, void (*released)(void *user));
const struct error *nvme_qpair_error(const struct nvme_qpair *qp);
uint16_t nvme_qpair_id(const struct nvme_qpair *qp);
uint16_t nvme_qpair_depth(const struct nvme_qpair *qp);

/** nvme_submit() - a command; it waits in order when the queue is full */
void nvme_submit(struct nvme_qpair *qp, struct nvme_request *req);
/** nvme_submit_fused() - two commands back to back as one fused operation (Base 2.0, 3.4.2) */
void nvme_submit_fused(struct nvme_qpair *qp, struct nvme_request *first,
		       struct nvme_request *second);

#endif
