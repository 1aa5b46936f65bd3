/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node and its Ceph clusters as JSON, for programs.
 *
 * Threading: pure functions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "probe/internal.h"

/* Words separated by blanks. */
static json_t *words_json(const char *words)
{
	json_t *list = json_array();
	char *copy = strdup(words), *save, *word;

	for (word = copy ? strtok_r(copy, " ", &save) : NULL; word;
	     word = strtok_r(NULL, " ", &save))
		json_array_append_new(list, json_string(word));
	free(copy);
	return list;
}

static const struct probe_group *group_of(const struct probe_node *n, int number)
{
	for (size_t i = 0; i < n->group_count; i++) {
		if (n->groups[i].number == number)
			return &n->groups[i];
	}
	return NULL;
}

static json_t *nvme_json(const struct probe_node *n, const struct probe_nvme *v)
{
	const struct probe_group *g = group_of(n, v->iommu_group);
	json_t *o = json_object();

	probe_set_text(o, "address", v->address);
	probe_set_text(o, "driver", v->driver);
	probe_set_text(o, "controller", v->controller);
	probe_set_text(o, "model", v->model);
	probe_set_text(o, "serial", v->serial);
	probe_set_text(o, "firmware", v->firmware);
	probe_set_text(o, "id", v->vendor_device);
	json_object_set_new(o, "numa_node", json_integer(v->numa_node));
	json_object_set_new(o, "iommu_group", json_integer(v->iommu_group));
	json_object_set_new(o, "iommu_group_members", words_json(g ? g->members : ""));
	json_object_set_new(o, "namespaces", words_json(v->namespaces));
	json_object_set_new(o, "size", json_integer((json_int_t)v->size));
	json_object_set_new(o, "health", probe_health_json(&v->health));
	json_object_set_new(o, "eligible", json_boolean(v->finding.verdict == PROBE_FREE));
	probe_set_text(o, "verdict", probe_verdict_name(v->finding.verdict));
	probe_set_text(o, "reason", v->finding.text);
	probe_set_text(o, "remedy", v->finding.remedy);
	return o;
}

static json_t *hugepages_json(const struct probe_node *n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n->hugepage_count; i++) {
		const struct probe_hugepages *h = &n->hugepages[i];

		json_array_append_new(
			list, json_pack("{s:i, s:I, s:I, s:I, s:I}", "numa_node", h->numa_node,
					"page_size", (json_int_t)h->page_size, "total",
					(json_int_t)h->total, "free", (json_int_t)h->free,
					"surplus", (json_int_t)h->surplus));
	}
	return list;
}

static json_t *numa_json(const struct probe_node *n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n->numa_count; i++) {
		const struct probe_numa *m = &n->numa[i];

		json_array_append_new(list,
				      json_pack("{s:i, s:s, s:I, s:I}", "node", m->node, "cpus",
						m->cpus, "memory", (json_int_t)m->memory,
						"memory_free", (json_int_t)m->memory_free));
	}
	return list;
}

static json_t *modules_json(const struct probe_node *n)
{
	static const char *const states[] = {
		[PROBE_MODULE_ABSENT] = "absent",
		[PROBE_MODULE_AVAILABLE] = "available",
		[PROBE_MODULE_LOADED] = "loaded",
		[PROBE_MODULE_BUILT_IN] = "built-in",
	};
	json_t *o = json_object();

	for (size_t i = 0; i < n->module_count; i++)
		json_object_set_new(o, n->modules[i].name,
				    json_string(states[n->modules[i].state]));
	return o;
}

static json_t *groups_json(const struct probe_node *n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n->group_count; i++)
		json_array_append_new(list, json_pack("{s:i, s:o}", "group", n->groups[i].number,
						      "devices", words_json(n->groups[i].members)));
	return list;
}

json_t *probe_node_json(const struct probe_node *n)
{
	json_t *o = json_object(), *nvme = json_array();

	probe_set_text(o, "hostname", n->hostname);
	probe_set_text(o, "kernel", n->kernel);
	json_object_set_new(o, "cpus", json_integer(n->cpus));
	json_object_set_new(o, "cpus_allowed", json_integer(n->cpus_allowed));
	probe_set_text(o, "cpus_online", n->cpus_online);
	probe_set_text(o, "cpus_isolated", n->cpus_isolated);
	json_object_set_new(o, "numa_nodes", json_integer(n->numa_nodes));
	json_object_set_new(o, "numa", numa_json(n));
	json_object_set_new(o, "memory", json_integer((json_int_t)n->memory));
	json_object_set_new(o, "iommu", json_boolean(n->iommu));
	json_object_set_new(o, "iommu_groups", groups_json(n));
	json_object_set_new(o, "vfio", json_boolean(n->vfio));
	json_object_set_new(o, "vfio_noiommu", json_boolean(n->noiommu));
	json_object_set_new(o, "modules", modules_json(n));
	json_object_set_new(o, "io_uring", json_boolean(n->io_uring));
	probe_set_text(o, "io_uring_reason", n->io_uring_reason);
	json_object_set_new(o, "io_uring_disabled",
			    n->io_uring_disabled < 0 ? json_null()
						     : json_integer(n->io_uring_disabled));
	json_object_set_new(o, "hugepages", hugepages_json(n));
	for (size_t i = 0; i < n->nvme_count; i++)
		json_array_append_new(nvme, nvme_json(n, &n->nvme[i]));
	json_object_set_new(o, "nvme", nvme);
	return o;
}

static json_t *monitors_json(const struct probe_ceph *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->monitor_count; i++) {
		const struct probe_ceph_monitor *m = &c->monitors[i];
		json_t *o = json_object();

		probe_set_text(o, "host", m->host);
		json_object_set_new(o, "port", json_integer(m->port));
		json_object_set_new(o, "answers", json_boolean(m->protocol[0]));
		probe_set_text(o, "protocol", m->protocol);
		probe_set_text(o, "error", m->error);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *keyrings_json(const struct probe_ceph *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->keyring_count; i++) {
		const struct probe_ceph_keyring *k = &c->keyrings[i];
		json_t *o = json_object();

		probe_set_text(o, "path", k->path);
		probe_set_text(o, "user", k->user);
		json_object_set_new(o, "readable", json_boolean(k->readable));
		json_array_append_new(list, o);
	}
	return list;
}

json_t *probe_ceph_json(const struct probe_ceph *c)
{
	json_t *o = json_object(), *pools = json_array();

	probe_set_text(o, "name", c->name);
	probe_set_text(o, "configuration", c->path);
	probe_set_text(o, "fsid", c->fsid);
	json_object_set_new(o, "monitors", monitors_json(c));
	json_object_set_new(o, "keyrings", keyrings_json(c));
	json_object_set_new(o, "reachable", json_boolean(c->reachable));
	for (size_t i = 0; i < c->pool_count; i++)
		json_array_append_new(pools, json_string(c->pools[i]));
	json_object_set_new(o, "pools", pools);
	probe_set_text(o, "user", c->user);
	json_object_set_new(o, "librbd", json_boolean(c->librbd));
	probe_set_text(o, "error", c->error);
	return o;
}
