/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: slots, look-up by CID and by transfer tag, buffers, completion.
 *
 * A slot is busy until the kernel has taken the bytes of its response, a CID only until the
 * response is queued. So there are up to twice as many slots as a queue has entries; when even they
 * are used the host is not reading, and the connection takes nothing more until it does.
 *
 * Threading: the connection's reactor.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/container_of.h"
#include "nvmf/ctrlr.h"

#define CID_HASH_MAX 1024u

/* --- slots ------------------------------------------------------------------------------------ */

static void rehash(struct nvmf_conn *conn)
{
	for (uint32_t i = 0; i < conn->chunk_count * NVMF_REQ_CHUNK; i++) {
		struct nvmf_req *req = nvmf_req_at(conn, i);

		if (req->hashed)
			nvmf_req_hash(req);
	}
}

int nvmf_conn_set_depth(struct nvmf_conn *conn, uint32_t entries)
{
	uint32_t chunks = (2 * entries + NVMF_REQ_CHUNK - 1) / NVMF_REQ_CHUNK;
	uint32_t hash = 1;
	struct nvmf_req **more, **cids;

	while (hash < entries && hash < CID_HASH_MAX)
		hash <<= 1;
	more = realloc(conn->chunks, chunks * sizeof(*more));
	if (!more)
		return -ENOMEM;
	conn->chunks = more;
	conn->chunk_max = chunks;
	cids = calloc(hash, sizeof(struct nvmf_req *));
	if (!cids)
		return -ENOMEM;
	free(conn->cids);
	conn->cids = cids;
	conn->cid_mask = hash - 1;
	conn->entries = entries;
	rehash(conn);
	return 0;
}

void nvmf_conn_free_reqs(struct nvmf_conn *conn)
{
	for (uint32_t i = 0; i < conn->chunk_count; i++)
		free(conn->chunks[i]);
	free(conn->chunks);
	free(conn->cids);
	conn->chunks = NULL;
	conn->cids = NULL;
}

static bool more_slots(struct nvmf_conn *conn)
{
	struct nvmf_req *chunk;
	uint32_t index = conn->chunk_count * NVMF_REQ_CHUNK;

	if (conn->chunk_count == conn->chunk_max)
		return false;
	chunk = aligned_alloc(64, NVMF_REQ_CHUNK * sizeof(*chunk));
	if (!chunk)
		return false;
	memset(chunk, 0, NVMF_REQ_CHUNK * sizeof(*chunk));
	for (uint32_t i = NVMF_REQ_CHUNK; i-- > 0;) {
		chunk[i].conn = conn;
		chunk[i].index = (uint16_t)(index + i);
		chunk[i].next = conn->free;
		conn->free = &chunk[i];
	}
	conn->chunks[conn->chunk_count++] = chunk;
	return true;
}

bool nvmf_req_available(struct nvmf_conn *conn)
{
	return conn->free || more_slots(conn);
}

struct nvmf_req *nvmf_req_get(struct nvmf_conn *conn)
{
	struct nvmf_req *req = conn->free;

	assert(req && req->state == NVMF_REQ_FREE && req->sends == 0);
	conn->free = req->next;
	req->next = NULL;
	req->status = 0;
	req->fail = 0;
	req->dir = NVMF_DIR_NONE;
	req->in_capsule = false;
	req->iovcnt = 0;
	req->data_len = 0;
	req->received = 0;
	req->cdw0 = 0;
	req->cdw1 = 0;
	req->step = 0;
	req->mate = NULL;
	return req;
}

struct nvmf_req *nvmf_req_at(const struct nvmf_conn *conn, uint32_t index)
{
	uint32_t chunk = index / NVMF_REQ_CHUNK;

	if (chunk >= conn->chunk_count)
		return NULL;
	return &conn->chunks[chunk][index % NVMF_REQ_CHUNK];
}

/* --- CIDs ------------------------------------------------------------------------------------- */

struct nvmf_req *nvmf_req_by_cid(const struct nvmf_conn *conn, uint16_t cid)
{
	struct nvmf_req *req = conn->cids[cid & conn->cid_mask];

	while (req && req->cid != cid)
		req = req->next;
	return req;
}

void nvmf_req_hash(struct nvmf_req *req)
{
	struct nvmf_req **head = &req->conn->cids[req->cid & req->conn->cid_mask];

	req->next = *head;
	*head = req;
	req->hashed = true;
}

static void unhash(struct nvmf_req *req)
{
	struct nvmf_req **at = &req->conn->cids[req->cid & req->conn->cid_mask];

	if (!req->hashed)
		return;
	while (*at != req)
		at = &(*at)->next;
	*at = req->next;
	req->next = NULL;
	req->hashed = false;
}

/* --- buffers ---------------------------------------------------------------------------------- */

static void buffers_set_iov(struct nvmf_req *req, uint32_t len)
{
	req->iovcnt = req->buffer_count;
	for (unsigned int i = 0; i < req->buffer_count; i++) {
		uint32_t n = len < NVMF_BUFFER_BYTES ? len : NVMF_BUFFER_BYTES;

		req->iov[i].iov_base = req->buffers[i];
		req->iov[i].iov_len = n;
		len -= n;
	}
}

static void collect_next(struct nvmf_group *group);

/* Take buffers until there are enough; false when the pool is empty and the request waits. */
static bool buffers_take(struct nvmf_req *req)
{
	uint32_t need = req->step;
	uint32_t have = req->buffer_count * NVMF_BUFFER_BYTES;

	while (have < need) {
		uint32_t n = need - have < NVMF_BUFFER_BYTES ? need - have : NVMF_BUFFER_BYTES;
		void *buffer = reactor_buffer_get(n, &req->wait);

		if (!buffer) {
			req->conn->group->stats.pending_bdev_io++;
			return false;
		}
		req->buffers[req->buffer_count++] = buffer;
		have += n;
	}
	req->step = 0;
	buffers_set_iov(req, need);
	return true;
}

static void buffer_came(struct reactor_buffer_wait *wait, void *buffer)
{
	struct nvmf_req *req = container_of(wait, struct nvmf_req, wait);
	struct nvmf_group *group = req->conn->group;

	group->stats.pending_bdev_io--;
	req->buffers[req->buffer_count++] = buffer;
	if (!buffers_take(req))
		return;
	if (group->collecting == req)
		collect_next(group);
	req->resume(req);
}

static void collect_next(struct nvmf_group *group)
{
	struct nvmf_req *req;

	group->collecting = NULL;
	while (!group->collecting && (req = STAILQ_FIRST(&group->collectors))) {
		STAILQ_REMOVE_HEAD(&group->collectors, link);
		group->collecting = req;
		if (!buffers_take(req))
			return;
		group->collecting = NULL;
		req->resume(req);
	}
}

bool nvmf_req_buffers_get(struct nvmf_req *req, uint32_t len, void (*resume)(struct nvmf_req *req))
{
	struct nvmf_group *group = req->conn->group;

	assert(req->buffer_count == 0 && len > 0 && len <= NVMF_MAX_IO_SIZE);
	req->resume = resume;
	req->step = len;
	req->wait.fn = buffer_came;
	if (len <= NVMF_BUFFER_BYTES)
		return buffers_take(req);
	if (group->collecting) {
		STAILQ_INSERT_TAIL(&group->collectors, req, link);
		return false;
	}
	group->collecting = req;
	if (!buffers_take(req))
		return false;
	group->collecting = NULL;
	return true;
}

static void buffers_put(struct nvmf_req *req)
{
	while (req->buffer_count > 0)
		reactor_buffer_put(req->buffers[--req->buffer_count]);
}

void nvmf_req_buffers_cancel(struct nvmf_req *req)
{
	struct nvmf_group *group = req->conn->group;

	/* Still asked for: see buffers_take(). */
	if (req->step == 0)
		return;
	if (req->step > NVMF_BUFFER_BYTES && group->collecting != req) {
		STAILQ_REMOVE(&group->collectors, req, nvmf_req, link);
	} else {
		reactor_buffer_wait_cancel(&req->wait);
		group->stats.pending_bdev_io--;
	}
	req->step = 0;
	buffers_put(req);
	if (group->collecting == req)
		collect_next(group);
}

/* --- the end of a request --------------------------------------------------------------------- */

static void put_data(struct nvmf_req *req)
{
	if (req->borrowed)
		bdev_io_return(&req->io);
	req->borrowed = false;
	buffers_put(req);
}

void nvmf_req_release(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;

	req->state = NVMF_REQ_FREE;
	if (req->sends > 0)
		return;
	put_data(req);
	req->next = conn->free;
	conn->free = req;
	if (conn->blocked_for_slot) {
		conn->blocked_for_slot = false;
		nvmf_tcp_unblock(conn);
	}
}

static void leave_queue(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;

	unhash(req);
	if (req->state == NVMF_REQ_EVENT)
		conn->events--;
	else
		conn->outstanding--;
	if (++conn->sqhd >= conn->entries)
		conn->sqhd = 0;
}

void nvmf_req_complete(struct nvmf_req *req, uint16_t status)
{
	struct nvmf_conn *conn = req->conn;

	req->status = status;
	leave_queue(req);
	if (conn->qid > 0)
		conn->group->stats.completed_nvme_io++;
	if (conn->state < NVMF_CONN_TERMINATING) {
		req->state = NVMF_REQ_RESPONDING;
		nvmf_tcp_respond(req);
		if (conn->draining)
			nvmf_conn_check_end(conn);
		return;
	}
	nvmf_req_release(req);
	nvmf_conn_check_end(conn);
}

bool nvmf_req_drop(struct nvmf_req *req)
{
	switch (req->state) {
	case NVMF_REQ_FREE:
		return true;
	case NVMF_REQ_EXECUTING:
		return false;
	case NVMF_REQ_CAPSULE:
	case NVMF_REQ_WAITING:
		nvmf_req_buffers_cancel(req);
		break;
	default:
		break;
	}
	if (req->state != NVMF_REQ_RESPONDING)
		leave_queue(req);
	nvmf_req_release(req);
	return true;
}

bool nvmf_req_abort(struct nvmf_req *req, uint16_t status)
{
	switch (req->state) {
	case NVMF_REQ_CAPSULE:
	case NVMF_REQ_H2C_DATA:
		/* The host still sends for it: the tag stays good until all has come. */
		req->fail = status;
		return true;
	case NVMF_REQ_WAITING:
		nvmf_req_buffers_cancel(req);
		nvmf_fused_failed(req);
		nvmf_req_complete(req, status);
		return true;
	case NVMF_REQ_FUSED:
		nvmf_fused_failed(req);
		nvmf_req_complete(req, status);
		return true;
	case NVMF_REQ_EVENT:
		return nvmf_event_abort(req, status);
	default:
		return false;
	}
}

/* --- commands that reactor 0 helps with ------------------------------------------------------- */

static void at_manager(struct reactor_msg *msg)
{
	struct nvmf_req *req = container_of(msg, struct nvmf_req, msg);

	req->resume(req);
}

void nvmf_req_at_manager(struct nvmf_req *req, void (*fn)(struct nvmf_req *req))
{
	nvmf_req_hold(req);
	req->resume = fn;
	req->msg.fn = at_manager;
	reactor_send(reactor_at(0), &req->msg);
}

static void returned(struct reactor_msg *msg)
{
	struct nvmf_req *req = container_of(msg, struct nvmf_req, msg);

	nvmf_req_unhold(req);
	req->resume(req);
}

void nvmf_req_return(struct nvmf_req *req, void (*back)(struct nvmf_req *req))
{
	req->resume = back;
	req->msg.fn = returned;
	reactor_send(req->conn->reactor, &req->msg);
}
