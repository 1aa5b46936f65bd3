/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --identify: the controller and its namespaces; --prove reads the first block of each, through an
 * I/O queue pair, so that exit 0 means a working data path; --prove-read-only also writes it back,
 * which must be refused.
 *
 * Threading: on reactor 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/container_of.h"
#include "perf/perf.h"

#define ID_TEXT 33

struct identify {
	struct perf_session *s;
	struct nvme_qpair *qp;
	const struct nvme_ns *ns;
	struct nvme_request req;
	struct iovec iov;
	void *block;
	bool proved;
};

static struct identify identify;

static void hex(const uint8_t *bytes, size_t n, char *text)
{
	*text = '\0';
	for (size_t i = 0; i < n; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	if (strspn(text, "0") == 2 * n)
		*text = '\0';
}

static void uuid_text(const struct uuid *u, char *text)
{
	if (uuid_is_nil(u))
		*text = '\0';
	else
		uuid_to_text(u, text);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

static json_t *ns_json(const struct nvme_ns *ns)
{
	char uuid[UUID_TEXT_SIZE], nguid[ID_TEXT], eui64[ID_TEXT];

	uuid_text(&ns->uuid, uuid);
	hex(ns->nguid, sizeof(ns->nguid), nguid);
	hex(ns->eui64, sizeof(ns->eui64), eui64);
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:o}", "nsid", (json_int_t)ns->nsid, "bytes",
			 (json_int_t)(ns->blocks * ns->block_size), "blocks",
			 (json_int_t)ns->blocks, "block_size", (json_int_t)ns->block_size,
			 "metadata_size", (json_int_t)ns->metadata, "uuid", text_or_null(uuid),
			 "nguid", text_or_null(nguid), "eui64", text_or_null(eui64));
}

static void print_json(const struct identify *id, const char *serial, const char *model,
		       const char *firmware)
{
	const struct nvme_ctrlr_info *info = nvme_ctrlr_info(id->s->ctrlr);
	const struct nvme_path *path = &id->s->o->ctrlr.path;
	char addr[NET_ADDR_TEXT];
	json_t *list = json_array(), *ctrlr, *root;

	net_addr_text(&path->addr, addr, sizeof(addr));
	for (const struct nvme_ns *ns = nvme_ctrlr_first_ns(id->s->ctrlr); ns; ns = ns->next)
		json_array_append_new(list, ns_json(ns));
	ctrlr = json_pack("{s:I,s:s,s:s,s:s,s:I}", "cntlid", (json_int_t)info->cntlid, "serial",
			  serial, "model", model, "firmware", firmware, "max_transfer",
			  (json_int_t)(info->max_transfer == UINT32_MAX ? 0 : info->max_transfer));
	root = json_pack("{s:s,s:s,s:s,s:b,s:o,s:o}", "address", addr, "subnqn", path->subnqn,
			 "hostnqn", path->hostnqn, "proved", id->proved, "controller", ctrlr,
			 "namespaces", list);
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

/* --- text ------------------------------------------------------------------------------------- */

static void print_ns(const struct nvme_ns *ns)
{
	char uuid[UUID_TEXT_SIZE], nguid[ID_TEXT], eui64[ID_TEXT];

	uuid_text(&ns->uuid, uuid);
	hex(ns->nguid, sizeof(ns->nguid), nguid);
	hex(ns->eui64, sizeof(ns->eui64), eui64);
	printf("Namespace %u: %" PRIu64 " blocks of %u bytes (%" PRIu64 " MiB)\n", ns->nsid,
	       ns->blocks, ns->block_size, ns->blocks * ns->block_size >> 20);
	printf("  UUID   %s\n  NGUID  %s\n  EUI64  %s\n", *uuid ? uuid : "none",
	       *nguid ? nguid : "none", *eui64 ? eui64 : "none");
}

static void print_text(const struct identify *id, const char *serial, const char *model,
		       const char *firmware)
{
	const struct nvme_path *path = &id->s->o->ctrlr.path;
	char addr[NET_ADDR_TEXT];

	net_addr_text(&path->addr, addr, sizeof(addr));
	printf("Controller %u of %s at %s\n", nvme_ctrlr_info(id->s->ctrlr)->cntlid, path->subnqn,
	       addr);
	printf("  Serial    %s\n  Model     %s\n  Firmware  %s\n", serial, model, firmware);
	for (const struct nvme_ns *ns = nvme_ctrlr_first_ns(id->s->ctrlr); ns; ns = ns->next)
		print_ns(ns);
	if (id->proved)
		printf("LBA 0 of every namespace was read%s.\n",
		       id->s->o->prove_read_only ? ", and none could be written" : "");
}

static void print(const struct identify *id)
{
	const struct nvme_id_ctrlr *c = &nvme_ctrlr_info(id->s->ctrlr)->id;
	char serial[NVME_SERIAL_BYTES + 1], model[NVME_MODEL_BYTES + 1], firmware[9];

	nvme_field_text(c->sn, sizeof(c->sn), serial, sizeof(serial));
	nvme_field_text(c->mn, sizeof(c->mn), model, sizeof(model));
	nvme_field_text(c->fr, sizeof(c->fr), firmware, sizeof(firmware));
	if (id->s->o->json)
		print_json(id, serial, model, firmware);
	else
		print_text(id, serial, model, firmware);
}

/* --- the proof -------------------------------------------------------------------------------- */

static void read_next(struct identify *id);

static void leave(void *user)
{
	struct identify *id = user;

	free(id->block);
	id->block = NULL;
	perf_session_end(id->s);
}

static void finish(struct identify *id)
{
	if (id->s->exit == PERF_EXIT_OK) {
		id->proved = true;
		print(id);
	}
	nvme_qpair_close(id->qp, leave);
}

static void submit(struct identify *id, uint8_t opcode, void (*done)(struct nvme_request *req))
{
	id->req = (struct nvme_request){
		.iov = &id->iov, .iovcnt = 1, .len = (uint32_t)id->iov.iov_len, .done = done
	};
	nvme_cmd_rw(&id->req, opcode, id->ns->nsid, 0, 1);
	nvme_submit(id->qp, &id->req);
}

/* What is written is what was read, so that a namespace which takes it is as it was. */
static void write_done(struct nvme_request *req)
{
	struct identify *id = container_of(req, struct identify, req);
	uint16_t status = nvme_request_status(req);
	char text[NVME_STATUS_TEXT];

	/* A path that broke refused nothing. */
	if (status != 0 && (status >> 9 & 7) != NVME_SCT_PATH) {
		id->ns = id->ns->next;
		read_next(id);
		return;
	}
	nvme_status_text(status, text, sizeof(text));
	perf_session_fail(id->s, PERF_EXIT_IO, "namespace %u: writing LBA 0 was not refused: %s",
			  id->ns->nsid, text);
	finish(id);
}

static void read_done(struct nvme_request *req)
{
	struct identify *id = container_of(req, struct identify, req);
	char text[NVME_STATUS_TEXT];

	if (nvme_request_status(req) == 0 && id->s->o->prove_read_only) {
		submit(id, NVME_IO_WRITE, write_done);
		return;
	}
	if (nvme_request_status(req) == 0) {
		id->ns = id->ns->next;
		read_next(id);
		return;
	}
	nvme_status_text(nvme_request_status(req), text, sizeof(text));
	perf_session_fail(id->s, PERF_EXIT_IO, "namespace %u: cannot read LBA 0: %s", id->ns->nsid,
			  text);
	finish(id);
}

static void read_next(struct identify *id)
{
	uint32_t len;

	if (!id->ns) {
		finish(id);
		return;
	}
	len = id->ns->block_size + id->ns->metadata;
	free(id->block);
	id->block = malloc(len);
	if (!id->block) {
		perf_session_fail(id->s, PERF_EXIT_FAILURE, "no memory for a block of %u bytes",
				  len);
		finish(id);
		return;
	}
	id->iov = (struct iovec){ .iov_base = id->block, .iov_len = len };
	submit(id, NVME_IO_READ, read_done);
}

static void qpair_ready(struct nvme_qpair *qp, void *user, int result)
{
	struct identify *id = user;

	if (result == 0) {
		read_next(id);
		return;
	}
	perf_session_fail(id->s, PERF_EXIT_CONNECT, "%s", nvme_qpair_error(qp)->text);
	finish(id);
}

static const struct nvme_qpair_ops qpair_ops = { .ready = qpair_ready };

static void session_ready(struct perf_session *s)
{
	identify.s = s;
	identify.ns = nvme_ctrlr_first_ns(s->ctrlr);
	if (!s->o->prove) {
		print(&identify);
		perf_session_end(s);
	} else if (!identify.ns) {
		perf_session_fail(s, PERF_EXIT_IO,
				  "%s has no namespace for host %s: nothing proves a data path",
				  s->o->ctrlr.path.subnqn, s->o->ctrlr.path.hostnqn);
		perf_session_end(s);
	} else if (nvme_qpair_connect(s->ctrlr, 1, &qpair_ops, &identify, &identify.qp) != 0) {
		perf_session_fail(s, PERF_EXIT_FAILURE, "no memory for a queue pair");
		perf_session_end(s);
	}
}

/* The queue pair answers with a path error, which ends the session. */
static void session_lost(struct perf_session *s)
{
	if (!identify.qp)
		perf_session_end(s);
}

void perf_identify_start(struct perf_session *s)
{
	s->ready = session_ready;
	s->lost = session_lost;
	perf_session_start(s);
}
