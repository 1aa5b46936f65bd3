/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The discovery log (Base 2.0, 5.16.1.23) of one generation.
 *
 * Threading: on the controller's home reactor.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/le.h"
#include "nvme/host_internal.h"

#define CHUNK (16u * sizeof(struct nvme_discovery_log_entry))

struct discovery {
	struct nvme_ctrlr *ctrlr;
	struct nvme_request req;
	struct iovec iov;
	struct nvme_discovery_log *log;
	struct nvme_discovery_log again;
	size_t size, read;
	unsigned int tries;
	void (*done)(void *arg, int result, struct nvme_discovery_log *log);
	void *arg;
};

static void read_header(struct discovery *d);

static struct discovery *discovery_of(struct nvme_request *req)
{
	return container_of(req, struct discovery, req);
}

static void end(struct discovery *d, int result)
{
	struct nvme_discovery_log *log = d->log;
	void (*done)(void *arg, int res, struct nvme_discovery_log *l) = d->done;
	void *arg = d->arg;

	free(d);
	if (result != 0) {
		free(log);
		log = NULL;
	}
	done(arg, result, log);
}

static void ask(struct discovery *d, size_t offset, void *data, size_t len,
		void (*done)(struct nvme_request *req))
{
	d->req = (struct nvme_request){ .done = done };
	nvme_cmd_get_log_page(&d->req, NVME_LOG_DISCOVERY, offset, (uint32_t)len);
	nvme_request_data(&d->req, &d->iov, data, (uint32_t)len, NVME_FROM_CTRLR);
	nvme_submit(d->ctrlr->admin, &d->req);
}

/* Ends the reading when the request failed. */
static bool is_ok(struct discovery *d)
{
	uint16_t status = nvme_request_status(&d->req);

	if (status != 0)
		end(d, nvme_status_errno(status));
	return status == 0;
}

static void header_again(struct nvme_request *req)
{
	struct discovery *d = discovery_of(req);

	if (!is_ok(d))
		return;
	if (d->again.genctr == d->log->genctr && d->again.numrec == d->log->numrec)
		end(d, 0);
	else if (++d->tries == NVME_DISCOVERY_RETRIES)
		end(d, -EAGAIN);
	else
		read_header(d);
}

static void read_entries(struct discovery *d);

static void entries_done(struct nvme_request *req)
{
	struct discovery *d = discovery_of(req);

	if (!is_ok(d))
		return;
	d->read += d->req.len;
	read_entries(d);
}

static void read_entries(struct discovery *d)
{
	size_t chunk = d->size - d->read;

	if (chunk > CHUNK)
		chunk = CHUNK;
	if (chunk > d->ctrlr->info.max_transfer)
		chunk = d->ctrlr->info.max_transfer;
	if (chunk)
		ask(d, d->read, (uint8_t *)d->log + d->read, chunk, entries_done);
	else
		ask(d, 0, &d->again, sizeof(d->again), header_again);
}

static void header_done(struct nvme_request *req)
{
	struct discovery *d = discovery_of(req);
	struct nvme_discovery_log *log;
	uint64_t records;

	if (!is_ok(d))
		return;
	records = le64_get(&d->log->numrec);
	if (records > NVME_DISCOVERY_RECORDS_MAX || le16_get(&d->log->recfmt) != 0) {
		end(d, -EPROTO);
		return;
	}
	d->size = sizeof(*log) + (size_t)records * sizeof(struct nvme_discovery_log_entry);
	d->read = sizeof(*log);
	log = realloc(d->log, d->size);
	if (!log) {
		end(d, -ENOMEM);
		return;
	}
	d->log = log;
	read_entries(d);
}

static void read_header(struct discovery *d)
{
	ask(d, 0, d->log, sizeof(*d->log), header_done);
}

int nvme_discovery_read(struct nvme_ctrlr *ctrlr,
			void (*done)(void *arg, int result, struct nvme_discovery_log *log),
			void *arg)
{
	struct discovery *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->ctrlr = ctrlr;
	d->done = done;
	d->arg = arg;
	d->log = calloc(1, sizeof(*d->log));
	if (!d->log) {
		free(d);
		return -ENOMEM;
	}
	read_header(d);
	return 0;
}
