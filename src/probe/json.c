/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results as JSON, for programs.
 *
 * Threading: pure functions.
 */
#include <stdio.h>

#include "probe/internal.h"

const char *probe_reason_name(enum probe_reason reason)
{
	static const char *const names[] = {
		[PROBE_REASON_PARTITIONS] = "partitions",
		[PROBE_REASON_MOUNT] = "mount",
		[PROBE_REASON_SWAP] = "swap",
		[PROBE_REASON_LVM] = "lvm",
		[PROBE_REASON_MD] = "md",
		[PROBE_REASON_DM] = "device-mapper",
		[PROBE_REASON_BCACHE] = "bcache",
		[PROBE_REASON_DRBD] = "drbd",
		[PROBE_REASON_ZFS] = "zfs",
		[PROBE_REASON_BTRFS] = "btrfs",
		[PROBE_REASON_EXPORT] = "export",
		[PROBE_REASON_HOLDER] = "holder",
		[PROBE_REASON_LOOP] = "loop",
		[PROBE_REASON_OPEN] = "open",
		[PROBE_REASON_LOCK] = "lock",
		[PROBE_REASON_EXCLUSIVE] = "exclusive",
		[PROBE_REASON_SIGNATURE] = "signature",
		[PROBE_REASON_BLOBSTORE] = "blobstore",
		[PROBE_REASON_CONTENT] = "content",
		[PROBE_REASON_REMOTE] = "remote",
		[PROBE_REASON_READ_ONLY] = "read-only",
		[PROBE_REASON_SIZE] = "size",
		[PROBE_REASON_KIND] = "kind",
		[PROBE_REASON_UNREADABLE] = "unreadable",
		[PROBE_REASON_SILENT] = "silent",
		[PROBE_REASON_HEALTH] = "health",
		[PROBE_REASON_USER_SPACE] = "user-space",
		[PROBE_REASON_DRIVER] = "driver",
		[PROBE_REASON_ACCELERATOR] = "accelerator",
	};

	return names[reason];
}

const char *probe_verdict_name(enum probe_verdict verdict)
{
	static const char *const names[] = {
		[PROBE_FREE] = "free",
		[PROBE_HOLDS_DATA] = "holds-data",
		[PROBE_UNFIT] = "unfit",
		[PROBE_IN_USE] = "in-use",
	};

	return names[verdict];
}

static json_t *findings_json(const struct probe_device *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->finding_count; i++) {
		const struct probe_finding *f = &d->findings[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "reason",
						      probe_reason_name(f->reason), "verdict",
						      probe_verdict_name(f->verdict), "text",
						      f->text, "remedy", f->remedy));
	}
	return list;
}

void probe_set_text(json_t *o, const char *key, const char *text)
{
	char clean[PATH_MAX];
	json_t *v = json_string(text);
	size_t i;

	if (!v) {
		for (i = 0; text[i] && i < sizeof(clean) - 1; i++)
			clean[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
		clean[i] = '\0';
		v = json_string(clean);
	}
	json_object_set_new(o, key, v);
}

static json_t *warnings_json(const struct probe_health *h)
{
	json_t *list = json_array();
	const char *text;

	for (size_t i = 0; (text = probe_health_warning(h->critical_warning, i)); i++)
		json_array_append_new(list, json_string(text));
	return list;
}

static void set_number(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key,
			    json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

json_t *probe_health_json(const struct probe_health *h)
{
	json_t *o = json_object();

	probe_set_text(o, "source",
		       h->smart							    ? "smart"
		       : h->state[0] || h->temperature != PROBE_TEMPERATURE_UNKNOWN ? "sysfs"
										    : "");
	probe_set_text(o, "note", h->note);
	probe_set_text(o, "state", h->state);
	json_object_set_new(o, "temperature",
			    h->temperature == PROBE_TEMPERATURE_UNKNOWN
				    ? json_null()
				    : json_integer(h->temperature));
	if (!h->smart)
		return o;
	set_number(o, "critical_warning", h->critical_warning);
	json_object_set_new(o, "warnings", warnings_json(h));
	set_number(o, "available_spare", h->available_spare);
	set_number(o, "spare_threshold", h->spare_threshold);
	set_number(o, "percentage_used", h->percentage_used);
	set_number(o, "bytes_read", h->bytes_read);
	set_number(o, "bytes_written", h->bytes_written);
	set_number(o, "power_cycles", h->power_cycles);
	set_number(o, "power_on_hours", h->power_on_hours);
	set_number(o, "unsafe_shutdowns", h->unsafe_shutdowns);
	set_number(o, "media_errors", h->media_errors);
	set_number(o, "error_log_entries", h->error_log_entries);
	return o;
}

json_t *probe_device_json(const struct probe_device *d)
{
	const struct probe_finding *reason = probe_device_reason(d);
	json_t *o = json_object();

	if (!o)
		return NULL;
	probe_set_text(o, "name", d->name);
	probe_set_text(o, "path", d->path);
	probe_set_text(o, "kind", d->kind);
	probe_set_text(o, "serial", d->serial);
	probe_set_text(o, "model", d->model);
	probe_set_text(o, "firmware", d->firmware);
	probe_set_text(o, "driver", d->driver);
	probe_set_text(o, "address", d->address);
	probe_set_text(o, "transport", d->transport);
	json_object_set_new(o, "size", json_integer((json_int_t)d->size));
	json_object_set_new(o, "block_size", json_integer(d->block_size));
	json_object_set_new(o, "physical_block_size", json_integer(d->physical_block_size));
	json_object_set_new(o, "numa_node", json_integer(d->numa_node));
	json_object_set_new(o, "rotational", json_boolean(d->rotational));
	json_object_set_new(o, "read_only", json_boolean(d->read_only));
	json_object_set_new(o, "removable", json_boolean(d->removable));
	json_object_set_new(o, "health", probe_health_json(&d->health));
	json_object_set_new(o, "eligible", json_boolean(!reason));
	probe_set_text(o, "verdict", probe_verdict_name(probe_device_verdict(d)));
	probe_set_text(o, "reason", reason ? reason->text : "");
	probe_set_text(o, "remedy", reason ? reason->remedy : "");
	json_object_set_new(o, "findings", findings_json(d));
	return o;
}
