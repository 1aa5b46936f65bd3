/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Get Features and Set Features (Base 2.0, 5.15 and 5.27). No feature is saved; a saved value is
 * the default then.
 *
 * Threading: the admin queue's reactor.
 */
#include <string.h>

#include "base/le.h"
#include "nvmf/ctrlr.h"

#define GENERIC(sc) (NVME_STATUS(NVME_SCT_GENERIC, (sc)) | NVME_STATUS_DNR)
#define COMMAND(sc) (NVME_STATUS(NVME_SCT_COMMAND, (sc)) | NVME_STATUS_DNR)

#define SELECT_CURRENT	 0u
#define SELECT_DEFAULT	 1u
#define SELECT_SAVED	 2u
#define SELECT_SUPPORTED 3u
#define SAVE_BIT	 (UINT32_C(1) << 31)
#define CAN_CHANGE	 (UINT32_C(1) << 2)

#define HOST_ID_BYTES	    16u
#define HOST_BEHAVIOR_BYTES 512u
#define HOST_ID_EXTENDED    1u

#define ARBITRATION_BITS      UINT32_C(0xffffff07)
#define ERROR_TLER	      UINT32_C(0xffff)
#define TEMPERATURE_COMPOSITE 0u
#define TEMPERATURE_ALL	      15u
#define WRITE_ATOMICITY_DN    1u
#define WRITE_CACHE_ON	      1u

/**
 * struct feature
 * @discovery: discovery controllers have it too
 * @get: the current value of dw0
 * @value: the default of it
 * @set: a status; NULL: not changeable
 * @data: bytes that are transferred
 */
struct feature {
	uint8_t id;
	bool discovery;
	uint32_t (*get)(const struct nvmf_ctrlr *ctrlr, uint32_t dw11);
	uint32_t value;
	uint16_t (*set)(struct nvmf_req *req, uint32_t dw11);
	uint32_t data;
};

/* --- simple values ---------------------------------------------------------------------------- */

static uint32_t get_arbitration(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	(void)dw11;
	return ctrlr->features.arbitration;
}

static uint16_t set_arbitration(struct nvmf_req *req, uint32_t dw11)
{
	req->conn->ctrlr->features.arbitration = dw11 & ARBITRATION_BITS;
	return 0;
}

static uint32_t get_power(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	(void)ctrlr;
	(void)dw11;
	return 0;
}

/* There is power state 0 and no other. */
static uint16_t set_power(struct nvmf_req *req, uint32_t dw11)
{
	(void)req;
	return dw11 & 0x1f ? GENERIC(NVME_SC_INVALID_FIELD) : 0;
}

static bool temperature_is_known(uint32_t dw11)
{
	uint32_t sensor = dw11 >> 16 & 15;

	return (sensor == TEMPERATURE_COMPOSITE || sensor == TEMPERATURE_ALL) &&
	       (dw11 >> 20 & 3) <= 1;
}

static uint32_t get_temperature(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	return (dw11 >> 20 & 3) == 0 ? ctrlr->features.temperature_over
				     : ctrlr->features.temperature_under;
}

static uint16_t set_temperature(struct nvmf_req *req, uint32_t dw11)
{
	struct nvmf_ctrlr *ctrlr = req->conn->ctrlr;

	if (!temperature_is_known(dw11))
		return GENERIC(NVME_SC_INVALID_FIELD);
	if ((dw11 >> 20 & 3) == 0)
		ctrlr->features.temperature_over = dw11 & UINT16_MAX;
	else
		ctrlr->features.temperature_under = dw11 & UINT16_MAX;
	return 0;
}

static uint32_t get_error_recovery(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	(void)dw11;
	return ctrlr->features.error_recovery;
}

/* Errors for deallocated blocks (DULBE) are not offered. */
static uint16_t set_error_recovery(struct nvmf_req *req, uint32_t dw11)
{
	if (dw11 & ~ERROR_TLER)
		return GENERIC(NVME_SC_INVALID_FIELD);
	req->conn->ctrlr->features.error_recovery = dw11;
	return 0;
}

static uint32_t get_write_cache(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	(void)ctrlr;
	(void)dw11;
	return WRITE_CACHE_ON;
}

static uint32_t get_write_atomicity(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	(void)dw11;
	return ctrlr->features.write_atomicity;
}

static uint16_t set_write_atomicity(struct nvmf_req *req, uint32_t dw11)
{
	req->conn->ctrlr->features.write_atomicity = dw11 & WRITE_ATOMICITY_DN;
	return 0;
}

/* --- queues ----------------------------------------------------------------------------------- */

static uint32_t get_queues(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	uint32_t last = nvmf_ctrlr_tcp(ctrlr)->max_io_qpairs - 1;

	(void)dw11;
	return last << 16 | last;
}

/* The host may use all there are, however many it asked for (Base 2.0, 5.27.1.5). */
static uint16_t set_queues(struct nvmf_req *req, uint32_t dw11)
{
	if ((dw11 & UINT16_MAX) == UINT16_MAX || dw11 >> 16 == UINT16_MAX)
		return GENERIC(NVME_SC_INVALID_FIELD);
	req->cdw0 = get_queues(req->conn->ctrlr, dw11);
	return 0;
}

/* --- events, keep alive ----------------------------------------------------------------------- */

static uint32_t get_async_events(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	(void)dw11;
	return ctrlr->features.async_events;
}

static uint16_t set_async_events(struct nvmf_req *req, uint32_t dw11)
{
	struct nvmf_ctrlr *ctrlr = req->conn->ctrlr;

	/* What is not offered is not told and not kept; health warnings never come. */
	ctrlr->features.async_events =
		dw11 & (0xffu |
			(ctrlr->subsystem->is_discovery ? NVME_OAES_DISCOVERY : NVME_OAES_NS_ATTR));
	return 0;
}

static uint32_t get_keep_alive(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	(void)dw11;
	return ctrlr->kato_ms;
}

static uint16_t set_keep_alive(struct nvmf_req *req, uint32_t dw11)
{
	nvmf_keep_alive_set(req->conn->ctrlr, dw11);
	return 0;
}

/* --- features with data ----------------------------------------------------------------------- */

static uint32_t get_nothing(const struct nvmf_ctrlr *ctrlr, uint32_t dw11)
{
	(void)ctrlr;
	(void)dw11;
	return 0;
}

/* Only whether the host understands the Command Retry Delay (ACRE) means something here. */
static uint16_t set_host_behavior(struct nvmf_req *req, uint32_t dw11)
{
	const uint8_t *data = req->iov[0].iov_base;

	(void)dw11;
	if (data[0] > 1)
		return GENERIC(NVME_SC_INVALID_FIELD);
	req->conn->ctrlr->features.host_behavior[0] = data[0];
	return 0;
}

/* Connect alone says who a fabrics host is (Base 2.0, 5.27.1.25). */
static uint16_t set_host_id(struct nvmf_req *req, uint32_t dw11)
{
	(void)req;
	(void)dw11;
	return GENERIC(NVME_SC_SEQUENCE_ERROR);
}

static const struct feature features[] = {
	{ NVME_FEAT_ARBITRATION, false, get_arbitration, 0, set_arbitration, 0 },
	{ NVME_FEAT_POWER, false, get_power, 0, set_power, 0 },
	{ NVME_FEAT_TEMPERATURE, false, get_temperature, UINT16_MAX, set_temperature, 0 },
	{ NVME_FEAT_ERROR_RECOVERY, false, get_error_recovery, 0, set_error_recovery, 0 },
	{ NVME_FEAT_WRITE_CACHE, false, get_write_cache, WRITE_CACHE_ON, NULL, 0 },
	{ NVME_FEAT_QUEUES, false, get_queues, 0, set_queues, 0 },
	{ NVME_FEAT_WRITE_ATOMICITY, false, get_write_atomicity, 0, set_write_atomicity, 0 },
	{ NVME_FEAT_ASYNC_EVENTS, true, get_async_events, 0, set_async_events, 0 },
	{ NVME_FEAT_KEEP_ALIVE, true, get_keep_alive, 0, set_keep_alive, 0 },
	{ NVME_FEAT_HOST_BEHAVIOR, false, get_nothing, 0, set_host_behavior, HOST_BEHAVIOR_BYTES },
	{ NVME_FEAT_HOST_ID, false, get_nothing, 0, set_host_id, HOST_ID_BYTES },
};

static const struct feature *find(const struct nvmf_req *req)
{
	uint8_t id = (uint8_t)le32_get(&req->cmd.cdw10);

	for (unsigned int i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (features[i].id == id)
			return features[i].discovery || !req->conn->ctrlr->subsystem->is_discovery
				       ? &features[i]
				       : NULL;
	}
	return NULL;
}

/* --- Get Features ----------------------------------------------------------------------------- */

static uint32_t selected(const struct nvmf_req *req)
{
	return le32_get(&req->cmd.cdw10) >> 8 & 7;
}

uint16_t nvmf_feature_get_prepare(struct nvmf_req *req)
{
	const struct feature *f = find(req);
	uint32_t len;

	if (!f || selected(req) > SELECT_SUPPORTED)
		return GENERIC(NVME_SC_INVALID_FIELD);
	if (f->id == NVME_FEAT_TEMPERATURE && !temperature_is_known(le32_get(&req->cmd.cdw11)))
		return GENERIC(NVME_SC_INVALID_FIELD);
	/* Fabrics hosts have identifiers of 128 bits. */
	if (f->id == NVME_FEAT_HOST_ID && !(le32_get(&req->cmd.cdw11) & HOST_ID_EXTENDED))
		return GENERIC(NVME_SC_INVALID_FIELD);
	len = selected(req) == SELECT_SUPPORTED ? 0 : f->data;
	return nvmf_cmd_data(req, len ? NVMF_DIR_C2H : NVMF_DIR_NONE, len, false);
}

static void put_data(struct nvmf_req *req, const struct feature *f)
{
	const struct nvmf_ctrlr *ctrlr = req->conn->ctrlr;
	struct nvmf_window w;

	nvmf_req_window(req, 0, &w);
	if (f->id == NVME_FEAT_HOST_ID)
		nvmf_window_put(&w, 0, ctrlr->hostid, sizeof(ctrlr->hostid));
	else if (selected(req) == SELECT_CURRENT)
		nvmf_window_put(&w, 0, ctrlr->features.host_behavior,
				sizeof(ctrlr->features.host_behavior));
}

void nvmf_feature_get(struct nvmf_req *req)
{
	const struct feature *f = find(req);
	const struct nvmf_ctrlr *ctrlr = req->conn->ctrlr;
	uint32_t dw11 = le32_get(&req->cmd.cdw11);

	if (req->data_len > 0)
		put_data(req, f);
	if (selected(req) == SELECT_SUPPORTED)
		req->cdw0 = f->set && f->id != NVME_FEAT_HOST_ID ? CAN_CHANGE : 0;
	else if (selected(req) == SELECT_CURRENT || f->id == NVME_FEAT_QUEUES)
		req->cdw0 = f->get(ctrlr, dw11);
	else
		req->cdw0 = f->id == NVME_FEAT_TEMPERATURE && dw11 >> 20 & 3 ? 0 : f->value;
	nvmf_req_complete(req, 0);
}

/* --- Set Features ----------------------------------------------------------------------------- */

uint16_t nvmf_feature_set_prepare(struct nvmf_req *req)
{
	const struct feature *f = find(req);
	uint32_t nsid = le32_get(&req->cmd.nsid);

	if (!f)
		return GENERIC(NVME_SC_INVALID_FIELD);
	if (le32_get(&req->cmd.cdw10) & SAVE_BIT)
		return COMMAND(NVME_SC_FEATURE_NOT_SAVEABLE);
	if (nsid != 0 && nsid != NVME_NSID_ALL)
		return COMMAND(NVME_SC_FEATURE_NOT_NAMESPACE);
	if (f->id == NVME_FEAT_WRITE_CACHE && (le32_get(&req->cmd.cdw11) & 1) == WRITE_CACHE_ON)
		return nvmf_cmd_data(req, NVMF_DIR_NONE, 0, false);
	if (!f->set)
		return COMMAND(NVME_SC_FEATURE_NOT_CHANGEABLE);
	return nvmf_cmd_data(req, f->data ? NVMF_DIR_H2C : NVMF_DIR_NONE, f->data, false);
}

void nvmf_feature_set(struct nvmf_req *req)
{
	const struct feature *f = find(req);

	nvmf_req_complete(req, f->set ? f->set(req, le32_get(&req->cmd.cdw11)) : 0);
}
