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
		[PROBE_REASON_HOLDER] = "holder",
		[PROBE_REASON_LOOP] = "loop",
		[PROBE_REASON_OPEN] = "open",
		[PROBE_REASON_LOCK] = "lock",
		[PROBE_REASON_EXCLUSIVE] = "exclusive",
		[PROBE_REASON_SIGNATURE] = "signature",
		[PROBE_REASON_BLOBSTORE] = "blobstore",
		[PROBE_REASON_CONTENT] = "content",
		[PROBE_REASON_READ_ONLY] = "read-only",
		[PROBE_REASON_SIZE] = "size",
		[PROBE_REASON_KIND] = "kind",
		[PROBE_REASON_UNREADABLE] = "unreadable",
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

/* Text of hardware or file names need not be UTF-8; JSON must be. */
static void set_text(json_t *o, const char *key, const char *text)
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

json_t *probe_device_json(const struct probe_device *d)
{
	const struct probe_finding *reason = probe_device_reason(d);
	json_t *o = json_object();

	if (!o)
		return NULL;
	set_text(o, "name", d->name);
	set_text(o, "path", d->path);
	set_text(o, "kind", d->kind);
	set_text(o, "serial", d->serial);
	set_text(o, "model", d->model);
	set_text(o, "firmware", d->firmware);
	set_text(o, "driver", d->driver);
	json_object_set_new(o, "size", json_integer((json_int_t)d->size));
	json_object_set_new(o, "block_size", json_integer(d->block_size));
	json_object_set_new(o, "numa_node", json_integer(d->numa_node));
	json_object_set_new(o, "rotational", json_boolean(d->rotational));
	json_object_set_new(o, "eligible", json_boolean(!reason));
	set_text(o, "verdict", probe_verdict_name(probe_device_verdict(d)));
	set_text(o, "reason", reason ? reason->text : "");
	set_text(o, "remedy", reason ? reason->remedy : "");
	json_object_set_new(o, "findings", findings_json(d));
	return o;
}

static json_t *nvme_json(const struct probe_nvme *v)
{
	json_t *o = json_object();

	set_text(o, "address", v->address);
	set_text(o, "driver", v->driver);
	set_text(o, "model", v->model);
	set_text(o, "serial", v->serial);
	set_text(o, "firmware", v->firmware);
	set_text(o, "id", v->vendor_device);
	json_object_set_new(o, "numa_node", json_integer(v->numa_node));
	json_object_set_new(o, "iommu_group", json_integer(v->iommu_group));
	return o;
}

json_t *probe_node_json(const struct probe_node *n)
{
	json_t *o = json_object(), *pages = json_array(), *nvme = json_array();

	set_text(o, "hostname", n->hostname);
	set_text(o, "kernel", n->kernel);
	json_object_set_new(o, "cpus", json_integer(n->cpus));
	json_object_set_new(o, "numa_nodes", json_integer(n->numa_nodes));
	json_object_set_new(o, "memory", json_integer((json_int_t)n->memory));
	json_object_set_new(o, "iommu", json_boolean(n->iommu));
	json_object_set_new(o, "vfio", json_boolean(n->vfio));
	json_object_set_new(o, "io_uring", json_boolean(n->io_uring));
	set_text(o, "io_uring_reason", n->io_uring_reason);
	for (size_t i = 0; i < n->hugepage_count; i++) {
		const struct probe_hugepages *h = &n->hugepages[i];

		json_array_append_new(pages,
				      json_pack("{s:i, s:I, s:I, s:I}", "numa_node", h->numa_node,
						"page_size", (json_int_t)h->page_size, "total",
						(json_int_t)h->total, "free", (json_int_t)h->free));
	}
	json_object_set_new(o, "hugepages", pages);
	for (size_t i = 0; i < n->nvme_count; i++)
		json_array_append_new(nvme, nvme_json(&n->nvme[i]));
	json_object_set_new(o, "nvme", nvme);
	return o;
}
