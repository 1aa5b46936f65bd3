/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Get Log Page (Base 2.0, 5.16): any part of any page, through a window on it.
 *
 * Threading: the admin queue's reactor; what other reactors know is gathered by reactor 0.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/le.h"
#include "base/version.h"
#include "nvmf/identify.h"

#define GENERIC(sc) (NVME_STATUS(NVME_SCT_GENERIC, (sc)) | NVME_STATUS_DNR)
#define COMMAND(sc) (NVME_STATUS(NVME_SCT_COMMAND, (sc)) | NVME_STATUS_DNR)

#define RAE_BIT	       (UINT32_C(1) << 15)
#define SUPPORTED      1u /* bit of a page in the log of supported pages */
#define EFFECT_CSUPP   (UINT32_C(1) << 0)
#define EFFECT_LBCC    (UINT32_C(1) << 1)
#define FIRMWARE_SLOT1 1u
#define ROOM_SPARE     100u
#define SPARE_LIMIT    10u
#define KELVIN_25C     298u
#define UNITS_OF_512   1000u
#define LOG_PAGE_BYTES 4096u

/**
 * struct page
 * @bytes: its size; 0 for one whose size is found on reactor 0
 * @build: puts it into the window; NULL for one that reactor 0 makes
 */
struct page {
	uint8_t id;
	bool discovery, io;
	uint32_t bytes;
	void (*build)(struct nvmf_req *req, struct nvmf_window *w);
	void (*at_manager)(struct nvmf_req *req);
};

static uint64_t offset(const struct nvmf_req *req)
{
	return le32_get(&req->cmd.cdw12) | (uint64_t)le32_get(&req->cmd.cdw13) << 32;
}

static uint64_t length(const struct nvmf_req *req)
{
	uint64_t numd = le32_get(&req->cmd.cdw10) >> 16 |
			(uint64_t)(le32_get(&req->cmd.cdw11) & UINT16_MAX) << 16;

	return (numd + 1) * 4;
}

/* --- pages made here -------------------------------------------------------------------------- */

static void build_supported(struct nvmf_req *req, struct nvmf_window *w);

/* No errors are kept: the one entry is unused. */
static void build_error(struct nvmf_req *req, struct nvmf_window *w)
{
	(void)req;
	(void)w;
}

static void build_firmware(struct nvmf_req *req, struct nvmf_window *w)
{
	static const uint8_t active = FIRMWARE_SLOT1;
	char revision[8];

	(void)req;
	nvmf_pad_text(revision, sizeof(revision), version_release());
	nvmf_window_put(w, 0, &active, sizeof(active));
	nvmf_window_put(w, 8, revision, sizeof(revision));
}

static void build_changed_ns(struct nvmf_req *req, struct nvmf_window *w)
{
	struct nvmf_ctrlr *ctrlr = req->conn->ctrlr;
	uint32_t all = htole32(NVME_NSID_ALL);

	if (ctrlr->changed_count > NVMF_CHANGED_NS) {
		nvmf_window_put(w, 0, &all, sizeof(all));
	} else {
		for (uint32_t i = 0; i < ctrlr->changed_count; i++) {
			uint32_t nsid = htole32(ctrlr->changed_ns[i]);

			nvmf_window_put(w, 4ull * i, &nsid, sizeof(nsid));
		}
	}
}

static void put_effect(struct nvmf_window *w, uint64_t at, uint8_t opc, uint32_t effect)
{
	effect = htole32(effect);
	nvmf_window_put(w, at + 4ull * opc, &effect, sizeof(effect));
}

static void build_effects(struct nvmf_req *req, struct nvmf_window *w)
{
	static const uint8_t admin[] = { NVME_ADMIN_GET_LOG_PAGE, NVME_ADMIN_IDENTIFY,
					 NVME_ADMIN_ABORT,	  NVME_ADMIN_SET_FEATURES,
					 NVME_ADMIN_GET_FEATURES, NVME_ADMIN_ASYNC_EVENT,
					 NVME_ADMIN_KEEP_ALIVE };
	static const uint8_t reading[] = { NVME_IO_FLUSH, NVME_IO_READ, NVME_IO_COMPARE };
	static const uint8_t changing[] = { NVME_IO_WRITE, NVME_IO_WRITE_ZEROES, NVME_IO_DSM };
	const uint64_t io_at = offsetof(struct nvme_effects_log, io);

	(void)req;
	for (unsigned int i = 0; i < sizeof(admin); i++)
		put_effect(w, 0, admin[i], EFFECT_CSUPP);
	for (unsigned int i = 0; i < sizeof(reading); i++)
		put_effect(w, io_at, reading[i], EFFECT_CSUPP);
	for (unsigned int i = 0; i < sizeof(changing); i++)
		put_effect(w, io_at, changing[i], EFFECT_CSUPP | EFFECT_LBCC);
}

/* --- health: counters of all queues, wherever they are ---------------------------------------- */

struct health {
	struct nvmf_req *req;
	struct nvmf_conn_counts *counts; /* of each reactor */
	struct nvmf_tell tell;
};

static void counts_add(struct nvmf_conn_counts *to, const struct nvmf_conn_counts *from)
{
	to->reads += from->reads;
	to->writes += from->writes;
	to->blocks_read += from->blocks_read;
	to->blocks_written += from->blocks_written;
	to->media_errors += from->media_errors;
}

static void health_put(const struct nvmf_ctrlr *ctrlr, const struct nvmf_conn_counts *counts,
		       struct nvmf_window *w)
{
	struct nvme_health_log log = {
		.available_spare = ROOM_SPARE,
		.spare_threshold = SPARE_LIMIT,
	};

	le16_put(&log.temperature, KELVIN_25C);
	/* Thousands of 512 bytes, rounded up. */
	le64_put(log.data_units_read, (counts->blocks_read + UNITS_OF_512 - 1) / UNITS_OF_512);
	le64_put(log.data_units_written,
		 (counts->blocks_written + UNITS_OF_512 - 1) / UNITS_OF_512);
	le64_put(log.host_reads, counts->reads);
	le64_put(log.host_writes, counts->writes);
	le64_put(log.media_errors, counts->media_errors);
	le64_put(log.power_on_hours, (reactor_now_ns() - ctrlr->created_ns) / NS_PER_SEC / 3600);
	nvmf_window_put(w, 0, &log, sizeof(log));
}

static void manager_done(struct nvmf_req *req)
{
	nvmf_req_complete(req, req->status);
}

static void health_there(struct nvmf_tell *tell)
{
	struct health *health = container_of(tell, struct health, tell);
	struct nvmf_req *req = health->req;
	const struct nvmf_ctrlr *ctrlr = req->conn->mgr.ctrlr;
	struct nvmf_conn_counts sum = ctrlr->mgr.counts;
	struct nvmf_window w;

	for (unsigned int i = 0; i < reactor_count(); i++)
		counts_add(&sum, &health->counts[i]);
	nvmf_req_window(req, offset(req), &w);
	health_put(ctrlr, &sum, &w);
	free(health->counts);
	free(health);
	nvmf_req_return(req, manager_done);
}

static void health_gather(struct nvmf_tell_part *part)
{
	struct health *health = container_of(part->tell, struct health, tell);
	struct nvmf_group *group = nvmf_group_here(health->req->conn->tgt);
	const struct nvmf_ctrlr *ctrlr = health->req->conn->mgr.ctrlr;
	struct nvmf_conn *conn;

	LIST_FOREACH (conn, &group->conns, link) {
		if (conn->ctrlr == ctrlr)
			counts_add(&health->counts[part->on], &conn->counts);
	}
	nvmf_tell_answer(part, 0);
}

static void health_at_manager(struct nvmf_req *req)
{
	struct health *health = calloc(1, offsetof(struct health, tell) + nvmf_tell_bytes());
	struct nvmf_conn_counts *counts = calloc(reactor_count(), sizeof(*counts));

	if (!health || !counts) {
		free(health);
		free(counts);
		req->status = NVME_STATUS(NVME_SCT_GENERIC, NVME_SC_INTERNAL_ERROR);
		nvmf_req_return(req, manager_done);
		return;
	}
	health->req = req;
	health->counts = counts;
	nvmf_tell_start(&health->tell, health_gather, health_there, NULL);
}

/* --- discovery -------------------------------------------------------------------------------- */

static void discovery_at_manager(struct nvmf_req *req)
{
	const struct nvmf_ctrlr *ctrlr = req->conn->mgr.ctrlr;
	struct nvmf_window w;

	if (offset(req) > nvmf_discovery_log_size(req->conn->tgt, ctrlr, req->conn)) {
		req->status = GENERIC(NVME_SC_INVALID_FIELD);
	} else {
		nvmf_req_window(req, offset(req), &w);
		nvmf_discovery_log_build(req->conn->tgt, ctrlr, req->conn, &w);
	}
	nvmf_req_return(req, manager_done);
}

/* --- the table -------------------------------------------------------------------------------- */

static const struct page pages[] = {
	{ NVME_LOG_SUPPORTED_PAGES, true, true, 1024, build_supported, NULL },
	{ NVME_LOG_ERROR, true, true, sizeof(struct nvme_error_entry), build_error, NULL },
	{ NVME_LOG_HEALTH, false, true, sizeof(struct nvme_health_log), NULL, health_at_manager },
	{ NVME_LOG_FIRMWARE, false, true, 512, build_firmware, NULL },
	{ NVME_LOG_CHANGED_NS, false, true, LOG_PAGE_BYTES, build_changed_ns, NULL },
	{ NVME_LOG_EFFECTS, false, true, sizeof(struct nvme_effects_log), build_effects, NULL },
	{ NVME_LOG_DISCOVERY, true, false, 0, NULL, discovery_at_manager },
};

static bool page_is_of(const struct page *page, const struct nvmf_ctrlr *ctrlr)
{
	return ctrlr->subsystem->is_discovery ? page->discovery : page->io;
}

static const struct page *find(const struct nvmf_req *req)
{
	uint8_t id = (uint8_t)le32_get(&req->cmd.cdw10);

	for (unsigned int i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (pages[i].id == id)
			return page_is_of(&pages[i], req->conn->ctrlr) ? &pages[i] : NULL;
	}
	return NULL;
}

static void build_supported(struct nvmf_req *req, struct nvmf_window *w)
{
	uint32_t supported = htole32(SUPPORTED);

	for (unsigned int i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (page_is_of(&pages[i], req->conn->ctrlr))
			nvmf_window_put(w, 4ull * pages[i].id, &supported, sizeof(supported));
	}
}

/* --- the command ------------------------------------------------------------------------------ */

uint16_t nvmf_log_prepare(struct nvmf_req *req)
{
	const struct page *page = find(req);

	if (!page)
		return COMMAND(NVME_SC_INVALID_LOG_PAGE);
	if (length(req) > req->conn->tgt->tcp.max_io_size || offset(req) % 4 != 0)
		return GENERIC(NVME_SC_INVALID_FIELD);
	/* What lies behind the end reads as zeroes; a start behind it is wrong (5.16.1). */
	if (page->bytes && offset(req) > page->bytes)
		return GENERIC(NVME_SC_INVALID_FIELD);
	return nvmf_cmd_data(req, NVMF_DIR_C2H, (uint32_t)length(req), false);
}

/* Reading the log lets the next event of its kind come, unless the host wants to keep it. */
static void acknowledge(struct nvmf_req *req, uint8_t id)
{
	struct nvmf_ctrlr *ctrlr = req->conn->ctrlr;

	if (le32_get(&req->cmd.cdw10) & RAE_BIT)
		return;
	if (id == NVME_LOG_CHANGED_NS) {
		ctrlr->changed_count = 0;
		nvmf_event_unmask(ctrlr, NVMF_EVENT_NS);
	} else if (id == NVME_LOG_DISCOVERY) {
		nvmf_event_unmask(ctrlr, NVMF_EVENT_DISCOVERY);
	}
}

void nvmf_log(struct nvmf_req *req)
{
	const struct page *page = find(req);
	struct nvmf_window w;

	if (page->build) {
		nvmf_req_window(req, offset(req), &w);
		page->build(req, &w);
	}
	acknowledge(req, page->id);
	if (page->build)
		nvmf_req_complete(req, 0);
	else
		nvmf_req_at_manager(req, page->at_manager);
}
