/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a store, each with its rule, page and cluster.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_FINDINGS_H
#define BLOBTOOL_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "blob/format.h"

/* One damaged mask alone can be wrong in every bit: what goes beyond is counted. */
#define FINDINGS_MAX 10000u

enum severity {
	SEVERITY_INFO,	  /* worth knowing; the next load deals with it */
	SEVERITY_WARNING, /* space is lost, or another program may stumble */
	SEVERITY_ERROR,	  /* something cannot be loaded, read, or trusted */
};

#define FINDING_NONE UINT64_MAX

/**
 * struct finding
 * @rule: stable short name ("chain.loop")
 * @blob: id, BLOB_ID_NONE
 * @page: metadata page index, FINDING_NONE
 * @cluster: cluster of the device, FINDING_NONE
 */
struct finding {
	enum severity severity;
	const char *rule;
	uint64_t blob, page, cluster;
	char *text;
};

struct findings {
	struct finding *items;
	uint32_t count, room;
	uint64_t total[3]; /* by severity, those that were not kept included */
};

/** finding_add() - @rule is a constant; what memory does not take is counted only */
void finding_add(struct findings *f, enum severity severity, const char *rule, uint64_t blob,
		 uint64_t page, uint64_t cluster, const char *fmt, ...)
	__attribute__((format(printf, 7, 8)));
void findings_free(struct findings *f);
/** findings_print() - one line each, errors first */
void findings_print(const struct findings *f, FILE *out);
/** findings_json() - new reference */
json_t *findings_json(const struct findings *f);
static inline bool findings_bad(const struct findings *f)
{
	return f->total[SEVERITY_ERROR] > 0 || f->total[SEVERITY_WARNING] > 0;
}

#endif
