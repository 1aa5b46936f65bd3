/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is recorded, as JSON; an attachment in os-brick's connection form.
 *
 * Threading: pure functions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/driver.h"

json_t *accelerator_json(const struct accelerator *a)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, "
			 "s:s, s:s, s:I, s:b, s:s, s:I, s:s}",
			 "id", a->id, "type", a->type, "scenario", a->scenario, "kind", a->kind,
			 "backing", a->path, "made", a->made, "size", (json_int_t)a->size,
			 "block_size", (json_int_t)a->block_size, "serial", a->serial, "bdev",
			 a->bdev, "uuid", a->uuid, "target", a->target, "version", a->version,
			 "arguments", a->arguments, "store", a->store, "store_uuid", a->store_uuid,
			 "cluster_size", (json_int_t)a->cluster_size, "store_made", a->store_made,
			 "ceph_user", a->ceph_user, "nsid", (json_int_t)a->nsid, "identity",
			 a->identity);
}

json_t *qos_json(const struct qos *q)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "rw_ios", (json_int_t)q->rw_ios, "rw_mb",
			 (json_int_t)q->rw_mb, "r_mb", (json_int_t)q->r_mb, "w_mb",
			 (json_int_t)q->w_mb);
}

json_t *attachment_json(const struct attachment *a)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, "
			 "s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:s, s:s, s:s, s:b}",
			 "instance", a->instance, "accelerator", a->accelerator, "bdev", a->bdev,
			 "host", a->host, "nqn", a->nqn, "nsid", (json_int_t)a->nsid, "uuid",
			 a->uuid, "nguid", a->nguid, "serial", a->serial, "model", a->model,
			 "family", a->family, "address", a->address, "port", (int)a->port, "size",
			 (json_int_t)a->size, "source", a->source, "volume", a->volume, "origin",
			 a->origin, "transport", a->transport, "socket", a->socket, "read_only",
			 a->read_only, "qos", qos_json(&a->qos), "dhchap_key", a->dhchap_key,
			 "dhchap_ctrlr_key", a->dhchap_ctrlr_key, "psk", a->psk, "leaving",
			 a->leaving);
}

static void take(const json_t *o, const char *name, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(o, name));

	snprintf(out, size, "%s", s ? s : "");
}

static int64_t take_number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

void accelerator_from(const json_t *o, struct accelerator *out)
{
	memset(out, 0, sizeof(*out));
	take(o, "id", out->id, sizeof(out->id));
	take(o, "type", out->type, sizeof(out->type));
	take(o, "kind", out->kind, sizeof(out->kind));
	take(o, "backing", out->path, sizeof(out->path));
	out->made = json_is_true(json_object_get(o, "made"));
	out->size = (uint64_t)take_number(o, "size");
	out->block_size = (uint32_t)take_number(o, "block_size");
	take(o, "serial", out->serial, sizeof(out->serial));
	take(o, "bdev", out->bdev, sizeof(out->bdev));
	take(o, "uuid", out->uuid, sizeof(out->uuid));
	take(o, "target", out->target, sizeof(out->target));
	take(o, "version", out->version, sizeof(out->version));
	take(o, "arguments", out->arguments, sizeof(out->arguments));
	take(o, "scenario", out->scenario, sizeof(out->scenario));
	take(o, "store", out->store, sizeof(out->store));
	take(o, "store_uuid", out->store_uuid, sizeof(out->store_uuid));
	out->cluster_size = (uint32_t)take_number(o, "cluster_size");
	out->store_made = json_is_true(json_object_get(o, "store_made"));
	take(o, "ceph_user", out->ceph_user, sizeof(out->ceph_user));
	out->nsid = (uint32_t)take_number(o, "nsid");
	take(o, "identity", out->identity, sizeof(out->identity));
	/* The journal of a release without stores names no scenario. */
	if (!out->scenario[0])
		snprintf(out->scenario, sizeof(out->scenario), SCENARIO_WHOLE);
}

static void qos_from(const json_t *o, struct qos *out)
{
	out->rw_ios = (uint64_t)take_number(o, "rw_ios");
	out->rw_mb = (uint64_t)take_number(o, "rw_mb");
	out->r_mb = (uint64_t)take_number(o, "r_mb");
	out->w_mb = (uint64_t)take_number(o, "w_mb");
}

void attachment_from(const json_t *o, struct attachment *out)
{
	memset(out, 0, sizeof(*out));
	take(o, "instance", out->instance, sizeof(out->instance));
	take(o, "accelerator", out->accelerator, sizeof(out->accelerator));
	take(o, "bdev", out->bdev, sizeof(out->bdev));
	take(o, "host", out->host, sizeof(out->host));
	take(o, "nqn", out->nqn, sizeof(out->nqn));
	out->nsid = (uint32_t)take_number(o, "nsid");
	take(o, "uuid", out->uuid, sizeof(out->uuid));
	take(o, "nguid", out->nguid, sizeof(out->nguid));
	take(o, "serial", out->serial, sizeof(out->serial));
	take(o, "model", out->model, sizeof(out->model));
	take(o, "family", out->family, sizeof(out->family));
	take(o, "address", out->address, sizeof(out->address));
	out->port = (uint16_t)take_number(o, "port");
	out->size = (uint64_t)take_number(o, "size");
	take(o, "source", out->source, sizeof(out->source));
	take(o, "volume", out->volume, sizeof(out->volume));
	take(o, "origin", out->origin, sizeof(out->origin));
	take(o, "transport", out->transport, sizeof(out->transport));
	take(o, "socket", out->socket, sizeof(out->socket));
	out->read_only = json_is_true(json_object_get(o, "read_only"));
	qos_from(json_object_get(o, "qos"), &out->qos);
	take(o, "dhchap_key", out->dhchap_key, sizeof(out->dhchap_key));
	take(o, "dhchap_ctrlr_key", out->dhchap_ctrlr_key, sizeof(out->dhchap_ctrlr_key));
	take(o, "psk", out->psk, sizeof(out->psk));
	out->leaving = json_is_true(json_object_get(o, "leaving"));
	if (!out->transport[0])
		snprintf(out->transport, sizeof(out->transport), TRANSPORT_TCP);
	if (!out->source[0])
		snprintf(out->source, sizeof(out->source), SOURCE_WHOLE);
}

/* Cinder's words for the limits; NULL where there are none. */
static json_t *qos_specs(const struct qos *q)
{
	json_t *o;

	if (!qos_is_set(q))
		return json_null();
	o = json_object();
	if (q->rw_ios)
		json_object_set_new(o, "total_iops_sec", json_integer((json_int_t)q->rw_ios));
	if (q->rw_mb)
		json_object_set_new(o, "total_bytes_sec",
				    json_integer((json_int_t)(q->rw_mb << 20)));
	if (q->r_mb)
		json_object_set_new(o, "read_bytes_sec", json_integer((json_int_t)(q->r_mb << 20)));
	if (q->w_mb)
		json_object_set_new(o, "write_bytes_sec",
				    json_integer((json_int_t)(q->w_mb << 20)));
	return o;
}

/* A vhost-user disk is reached by its socket, whose owner is the machine's own hypervisor. */
static json_t *vhost_connection(const struct attachment *a)
{
	return json_pack("{s:s, s:{s:s, s:s, s:I, s:s, s:b, s:b, s:b, s:o}}", "driver_volume_type",
			 "vhost_user_blk", "data", "device_path", a->socket, "vol_uuid", a->uuid,
			 "size", (json_int_t)a->size, "access_mode", a->read_only ? "ro" : "rw",
			 "discard", 1, "encrypted", 0, "cacheable", 0, "qos_specs",
			 qos_specs(&a->qos));
}

/*
 * The members that os-brick's NVMeOFConnector reads: target_nqn, vol_uuid, portals of (address,
 * port, transport), ns_id, volume_nguid, host_nqn, alias; and Nova's generic ones. The port is a
 * text there, as it goes onto a command line.
 */
json_t *attachment_connection(const struct attachment *a)
{
	char port[8], alias[STATE_NAME_SIZE + 16];

	if (!strcmp(a->transport, TRANSPORT_VHOST))
		return vhost_connection(a);
	snprintf(port, sizeof(port), "%u", a->port);
	snprintf(alias, sizeof(alias), "cyborg-spdk-%s", a->instance);
	return json_pack("{s:s, s:{s:s, s:s, s:[[s, s, s]], s:s, s:I, s:s, s:s, s:b, s:s, s:b, "
			 "s:b, s:o}}",
			 "driver_volume_type", "nvmeof", "data", "target_nqn", a->nqn, "vol_uuid",
			 a->uuid, "portals", a->address, port, "tcp", "volume_nguid", a->nguid,
			 "ns_id", (json_int_t)a->nsid, "host_nqn", a->host, "alias", alias,
			 "discard", 1, "access_mode", a->read_only ? "ro" : "rw", "encrypted", 0,
			 "cacheable", 0, "qos_specs", qos_specs(&a->qos));
}

/* The command is for a shell, and what stands in it may come from a tenant. */
static void print_word(FILE *f, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "@%+=:,./_-";

	if (*text && !text[strspn(text, plain)]) {
		fputs(text, f);
		return;
	}
	fputc('\'', f);
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\'", f);
		fputc(*text, f);
	}
	fputc('\'', f);
}

/* With a blank before them: an option, and what stands behind it. */
static void print_option(FILE *f, const char *option, const char *text)
{
	fprintf(f, " %s", option);
	print_word(f, text);
}

/* Keys are named by their files: what stands in a command line is seen by all. */
static void print_key(FILE *f, const char *option, const char *file)
{
	fprintf(f, " %s\"$(cat ", option);
	print_word(f, file);
	fputs(")\"", f);
}

/*
 * QEMU's ids begin with a letter, which an instance's need not. A comma in a value is doubled
 * there. It connects again after the target was replaced or has died.
 */
static void print_vhost(FILE *f, const struct attachment *a)
{
	char name[VHOST_NAME_SIZE], path[2 * sizeof(a->socket)], text[sizeof(path) + 96];
	size_t n = 0;

	vhost_name(a, name);
	for (const char *s = a->socket; *s; s++) {
		path[n++] = *s;
		if (*s == ',')
			path[n++] = *s;
	}
	path[n] = '\0';
	snprintf(text, sizeof(text), "socket,id=%s,path=%s,reconnect=1", name, path);
	fputs("-chardev ", f);
	print_word(f, text);
	fprintf(f, " -device vhost-user-blk-pci,chardev=%s", name);
}

static void print_tcp(FILE *f, const struct attachment *a)
{
	if (a->psk[0]) {
		fputs("nvme check-tls-key --insert", f);
		print_option(f, "--hostnqn=", a->host);
		print_option(f, "--subsysnqn=", a->nqn);
		print_key(f, "--keydata=", a->psk);
		fputs(" && ", f);
	}
	fprintf(f, "nvme connect -t tcp -a %s -s %u -n %s", a->address, a->port, a->nqn);
	print_option(f, "-q ", a->host);
	if (a->dhchap_key[0])
		print_key(f, "-S ", a->dhchap_key);
	if (a->dhchap_ctrlr_key[0])
		print_key(f, "-C ", a->dhchap_ctrlr_key);
	if (a->psk[0])
		fputs(" --tls", f);
}

json_t *attachment_command(const struct attachment *a)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	json_t *o;

	if (!f)
		return NULL;
	if (!strcmp(a->transport, TRANSPORT_VHOST))
		print_vhost(f, a);
	else
		print_tcp(f, a);
	fclose(f);
	o = text ? json_string(text) : NULL;
	free(text);
	return o;
}
