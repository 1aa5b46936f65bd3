/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --discover: the discovery log of a target.
 *
 * Threading: on reactor 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/le.h"
#include "perf/perf.h"

#define FIELD_TEXT 257

static const char *trtype_name(uint8_t trtype)
{
	switch (trtype) {
	case NVME_TRTYPE_RDMA:
		return "RDMA";
	case NVME_TRTYPE_FC:
		return "FC";
	case NVME_TRTYPE_TCP:
		return "TCP";
	default:
		return "other";
	}
}

static const char *adrfam_name(uint8_t adrfam)
{
	switch (adrfam) {
	case NVME_ADRFAM_IPV4:
		return "IPv4";
	case NVME_ADRFAM_IPV6:
		return "IPv6";
	default:
		return "other";
	}
}

static const char *subtype_name(uint8_t subtype)
{
	switch (subtype) {
	case NVME_SUBTYPE_REFERRAL:
		return "referral";
	case NVME_SUBTYPE_NVM:
		return "nvm";
	case NVME_SUBTYPE_DISCOVERY_CUR:
		return "discovery";
	default:
		return "other";
	}
}

struct entry_text {
	char subnqn[FIELD_TEXT], traddr[FIELD_TEXT], trsvcid[FIELD_TEXT];
};

static void entry_text(const struct nvme_discovery_log_entry *e, struct entry_text *t)
{
	nvme_field_text(e->subnqn, sizeof(e->subnqn), t->subnqn, sizeof(t->subnqn));
	nvme_field_text(e->traddr, sizeof(e->traddr), t->traddr, sizeof(t->traddr));
	nvme_field_text(e->trsvcid, sizeof(e->trsvcid), t->trsvcid, sizeof(t->trsvcid));
}

static json_t *entry_json(const struct nvme_discovery_log_entry *e)
{
	struct entry_text t;

	entry_text(e, &t);
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i}", "trtype", trtype_name(e->trtype),
			 "adrfam", adrfam_name(e->adrfam), "subtype", subtype_name(e->subtype),
			 "traddr", t.traddr, "trsvcid", t.trsvcid, "subnqn", t.subnqn, "portid",
			 (int)le16_get(&e->portid));
}

static void print_json(const struct nvme_discovery_log *log)
{
	json_t *list = json_array(), *root;

	for (uint64_t i = 0; i < le64_get(&log->numrec); i++)
		json_array_append_new(list, entry_json(&log->entries[i]));
	root = json_pack("{s:I,s:o}", "genctr", (json_int_t)le64_get(&log->genctr), "records",
			 list);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

static void print_text(const struct nvme_discovery_log *log)
{
	struct entry_text t;

	printf("Generation %" PRIu64 ", %" PRIu64 " records\n", le64_get(&log->genctr),
	       le64_get(&log->numrec));
	for (uint64_t i = 0; i < le64_get(&log->numrec); i++) {
		const struct nvme_discovery_log_entry *e = &log->entries[i];

		entry_text(e, &t);
		printf("%-9s  %s %s  %s port %s  %s\n", subtype_name(e->subtype),
		       trtype_name(e->trtype), adrfam_name(e->adrfam), t.traddr, t.trsvcid,
		       t.subnqn);
	}
}

static void discovered(void *arg, int result, struct nvme_discovery_log *log)
{
	struct perf_session *s = arg;

	if (result != 0)
		perf_session_fail(s, PERF_EXIT_CONNECT, "cannot read the discovery log: %s",
				  error_errno_text(result));
	else if (s->o->json)
		print_json(log);
	else
		print_text(log);
	free(log);
	perf_session_end(s);
}

static void session_ready(struct perf_session *s)
{
	if (nvme_discovery_read(s->ctrlr, discovered, s) != 0) {
		perf_session_fail(s, PERF_EXIT_FAILURE, "no memory for the discovery log");
		perf_session_end(s);
	}
}

void perf_discover_start(struct perf_session *s)
{
	s->ready = session_ready;
	perf_session_start(s);
}
