/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is recorded, as JSON; an attachment in os-brick's connection form.
 *
 * Threading: pure functions.
 */
#include <stdio.h>
#include <string.h>

#include "driver/driver.h"

json_t *accelerator_json(const struct accelerator *a)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "id",
			 a->id, "type", a->type, "kind", a->kind, "backing", a->path, "made",
			 a->made, "size", (json_int_t)a->size, "block_size",
			 (json_int_t)a->block_size, "serial", a->serial, "bdev", a->bdev, "uuid",
			 a->uuid, "target", a->target, "version", a->version, "arguments",
			 a->arguments);
}

json_t *attachment_json(const struct attachment *a)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I}",
			 "instance", a->instance, "accelerator", a->accelerator, "bdev", a->bdev,
			 "host", a->host, "nqn", a->nqn, "nsid", (json_int_t)a->nsid, "uuid",
			 a->uuid, "nguid", a->nguid, "serial", a->serial, "model", a->model,
			 "family", a->family, "address", a->address, "port", (int)a->port, "size",
			 (json_int_t)a->size);
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
}

/*
 * The members that os-brick's NVMeOFConnector reads: target_nqn, vol_uuid, portals of (address,
 * port, transport), ns_id, volume_nguid, host_nqn, alias; and Nova's generic ones. The port is a
 * text there, as it goes onto a command line.
 */
json_t *attachment_connection(const struct attachment *a)
{
	char port[8], alias[STATE_NAME_SIZE + 16];

	snprintf(port, sizeof(port), "%u", a->port);
	snprintf(alias, sizeof(alias), "cyborg-spdk-%s", a->instance);
	return json_pack("{s:s, s:{s:s, s:s, s:[[s, s, s]], s:s, s:I, s:s, s:s, s:b, s:s, s:b, "
			 "s:b, s:n}}",
			 "driver_volume_type", "nvmeof", "data", "target_nqn", a->nqn, "vol_uuid",
			 a->uuid, "portals", a->address, port, "tcp", "volume_nguid", a->nguid,
			 "ns_id", (json_int_t)a->nsid, "host_nqn", a->host, "alias", alias,
			 "discard", 1, "access_mode", "rw", "encrypted", 0, "cacheable", 0,
			 "qos_specs");
}

void attachment_command(const struct attachment *a, char *out, size_t size)
{
	snprintf(out, size, "nvme connect -t tcp -a %s -s %u -n %s -q %s", a->address, a->port,
		 a->nqn, a->host);
}
