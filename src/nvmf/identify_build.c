/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identify data structures (Base 2.0, 5.17.2; NVM Command Set 1.0, 4.1.5).
 *
 * Threading: the admin queue's reactor; nothing is changed.
 */
#include <stdio.h>
#include <string.h>

#include "base/le.h"
#include "base/version.h"
#include "nvmf/identify.h"

#define PAGE_BYTES     4096u
#define SQE_SIZES      0x66u /* 64 bytes, required and largest */
#define CQE_SIZES      0x44u
#define VWC_PRESENT    0x01u
#define VWC_NO_ALL     0x04u /* flush of all namespaces is refused */
#define CMIC_MANY      0x02u /* the subsystem may have several controllers */
#define LPA_EFFECTS    0x02u
#define LPA_EXTENDED   0x04u
#define FRMW_ONE_RO    0x03u /* one slot, read-only */
#define NMIC_SHARED    0x01u
#define NSFEAT_OPTPERF 0x10u
#define DLFEAT_ZEROES  0x01u /* deallocated blocks read as zeroes */
#define DLFEAT_DEAC    0x08u
#define IOCCSZ_CMD     64u
#define UNIT	       16u

void nvmf_pad_text(char *to, size_t size, const char *text)
{
	size_t len = strnlen(text, size);

	memcpy(to, text, len);
	memset(to + len, ' ', size - len);
}

static uint8_t mdts(uint32_t max_io_size)
{
	uint8_t shift = 0;

	while (PAGE_BYTES << (shift + 1) <= max_io_size)
		shift++;
	return shift;
}

static void fill_names(const struct nvmf_subsystem *s, struct nvme_id_ctrlr *id)
{
	nvmf_pad_text(id->sn, sizeof(id->sn), s->serial);
	nvmf_pad_text(id->mn, sizeof(id->mn), s->model);
	nvmf_pad_text(id->fr, sizeof(id->fr), version_release());
	snprintf(id->subnqn, sizeof(id->subnqn), "%s", s->nqn);
}

static void fill_common(const struct nvmf_ctrlr *ctrlr, struct nvme_id_ctrlr *id)
{
	const struct nvmf_transport_options *tcp = nvmf_ctrlr_tcp(ctrlr);

	id->mdts = mdts(tcp->max_io_size);
	le16_put(&id->cntlid, ctrlr->cntlid);
	le32_put(&id->ver, NVME_VERSION(2, 0, 0));
	le32_put(&id->ctratt, NVME_CTRATT_HOSTID_128);
	id->aerl = NVMF_EVENT_LIMIT - 1;
	id->lpa = LPA_EXTENDED;
	le16_put(&id->kas, (uint16_t)(tcp->kas ? tcp->kas : 1u));
	le16_put(&id->maxcmd, (uint16_t)tcp->max_queue_depth);
	le32_put(&id->sgls, NVME_SGLS_SUPPORTED | NVME_SGLS_OFFSET | NVME_SGLS_TRANSPORT);
	for (unsigned int i = 0; i < 3; i++)
		le16_put(&id->crdt1 + i, ctrlr->subsystem->crdt[i]);
}

static void fill_io(const struct nvmf_ctrlr *ctrlr, struct nvme_id_ctrlr *id)
{
	const struct nvmf_transport_options *tcp = nvmf_ctrlr_tcp(ctrlr);

	id->cmic = CMIC_MANY;
	id->cntrltype = NVME_CNTRLTYPE_IO;
	le32_put(&id->oaes, NVME_OAES_NS_ATTR);
	id->acl = NVMF_ABORT_LIMIT - 1;
	id->frmw = FRMW_ONE_RO;
	id->lpa |= LPA_EFFECTS;
	id->sqes = SQE_SIZES;
	id->cqes = CQE_SIZES;
	le32_put(&id->nn, ctrlr->subsystem->max_namespaces);
	le32_put(&id->mnan, ctrlr->subsystem->max_namespaces);
	le16_put(&id->oncs,
		 NVME_ONCS_COMPARE | NVME_ONCS_DSM | NVME_ONCS_WRITE_ZEROES | NVME_ONCS_SAVE);
	le16_put(&id->fuses, NVME_FUSES_COMPARE_WRITE);
	id->vwc = VWC_PRESENT | VWC_NO_ALL;
	le32_put(&id->ioccsz, (IOCCSZ_CMD + tcp->in_capsule_data_size) / UNIT);
	le32_put(&id->iorcsz, sizeof(struct nvme_cpl) / UNIT);
	id->msdbd = 1;
	/* At least one descriptor of power state 0 must be there. */
	le16_put(&id->psd[0].mp, 0);
}

void nvmf_identify_ctrlr(const struct nvmf_ctrlr *ctrlr, struct nvme_id_ctrlr *id)
{
	memset(id, 0, sizeof(*id));
	fill_names(ctrlr->subsystem, id);
	fill_common(ctrlr, id);
	if (ctrlr->subsystem->is_discovery) {
		id->cntrltype = NVME_CNTRLTYPE_DISCOVERY;
		le32_put(&id->oaes, NVME_OAES_DISCOVERY);
	} else {
		fill_io(ctrlr, id);
	}
}

void nvmf_identify_ns(const struct nvmf_ns_part *part, struct nvme_id_ns *id)
{
	const struct nvmf_ns *ns = part->ns;
	uint64_t bytes = part->blocks * ns->block_size;

	memset(id, 0, sizeof(*id));
	le64_put(&id->nsze, part->blocks);
	le64_put(&id->ncap, part->blocks);
	le64_put(&id->nuse, part->blocks);
	id->nmic = NMIC_SHARED;
	if (ns->unmap_zeroes)
		id->dlfeat = DLFEAT_ZEROES | DLFEAT_DEAC;
	if (ns->optimal_boundary && ns->optimal_boundary <= UINT16_MAX)
		le16_put(&id->noiob, (uint16_t)ns->optimal_boundary);
	le64_put(id->nvmcap, bytes);
	if (ns->subsystem->ana_reporting)
		le32_put(&id->anagrpid, ns->anagrpid);
	memcpy(id->nguid, ns->nguid, sizeof(id->nguid));
	memcpy(id->eui64, ns->eui64, sizeof(id->eui64));
	id->lbaf[0].lbads = ns->block_shift;
}

static uint64_t put_descriptor(struct nvmf_window *w, uint64_t at, uint8_t type, const void *nid,
			       uint8_t len)
{
	struct nvme_ns_id_desc desc = { .nidt = type, .nidl = len };

	nvmf_window_put(w, at, &desc, sizeof(desc));
	nvmf_window_put(w, at + sizeof(desc), nid, len);
	return at + sizeof(desc) + len;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	while (len > 0 && bytes[len - 1] == 0)
		len--;
	return len == 0;
}

void nvmf_identify_ns_descriptors(const struct nvmf_ns_part *part, struct nvmf_window *w)
{
	static const uint8_t csi = NVME_CSI_NVM;
	const struct nvmf_ns *ns = part->ns;
	uint64_t at = 0;

	if (ns->has_eui64)
		at = put_descriptor(w, at, NVME_NIDT_EUI64, ns->eui64, sizeof(ns->eui64));
	if (!is_zero(ns->nguid, sizeof(ns->nguid)))
		at = put_descriptor(w, at, NVME_NIDT_NGUID, ns->nguid, sizeof(ns->nguid));
	at = put_descriptor(w, at, NVME_NIDT_UUID, ns->uuid.raw, sizeof(ns->uuid.raw));
	put_descriptor(w, at, NVME_NIDT_CSI, &csi, sizeof(csi));
}
