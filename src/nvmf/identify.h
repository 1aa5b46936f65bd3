/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Builders of identify data.
 *
 * Threading: the admin queue's reactor; nothing is changed.
 */
#ifndef NVMF_IDENTIFY_H
#define NVMF_IDENTIFY_H

#include "nvmf/ctrlr.h"

/** nvmf_identify_ctrlr() - Identify Controller (CNS 01h) */
void nvmf_identify_ctrlr(const struct nvmf_ctrlr *ctrlr, struct nvme_id_ctrlr *id);
/** nvmf_identify_ns() - Identify Namespace (CNS 00h) */
void nvmf_identify_ns(const struct nvmf_ns_part *part, struct nvme_id_ns *id);
/** nvmf_identify_ns_descriptors() - CNS 03h, through a window on the page */
void nvmf_identify_ns_descriptors(const struct nvmf_ns_part *part, struct nvmf_window *w);
/** nvmf_pad_text() - ASCII, filled with spaces */
void nvmf_pad_text(char *to, size_t size, const char *text);

#endif
