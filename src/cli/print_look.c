/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of discover and list for a person.
 *
 * Threading: one thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/print.h"

#define WHY_TEXT    600
#define HEALTH_TEXT 48

/* Why not, and what would make it so. */
static const char *why_text(const json_t *o, char out[static WHY_TEXT])
{
	snprintf(out, WHY_TEXT, "%s%s%s", text(o, "reason"), text(o, "remedy")[0] ? "; " : "",
		 text(o, "remedy"));
	return flag(o, "eligible") && !out[0] ? "unused and empty" : out;
}

static const char *use_text(const json_t *o)
{
	if (flag(o, "eligible"))
		return "yes";
	return strcmp(text(o, "verdict"), "holds-data") ? "no" : "forced";
}

/* "ok 41 C, 3% worn"; of what tells nothing but its state only that. */
static const char *health_text(const json_t *device, char out[static HEALTH_TEXT])
{
	const json_t *h = json_object_get(device, "health");
	const char *state = text(h, "state");
	char temperature[16] = "", worn[24] = "";

	if (!strcmp(text(h, "source"), "smart")) {
		state = number(h, "critical_warning") ? "warning" : "ok";
		snprintf(worn, sizeof(worn), ", %" PRId64 "%% worn", number(h, "percentage_used"));
	}
	if (json_is_integer(json_object_get(h, "temperature")))
		snprintf(temperature, sizeof(temperature), "%s%" PRId64 " C", state[0] ? " " : "",
			 number(h, "temperature"));
	snprintf(out, HEALTH_TEXT, "%s%s%s", state, temperature, worn);
	return out;
}

static void print_devices(const json_t *list)
{
	static const char *const heads[] = { "DEVICE", "KIND", "SIZE", "SERIAL",
					     "HEALTH", "SPDK", "WHY" };
	struct table *t = table_create(7, heads);
	char size[SIZE_TEXT], why[WHY_TEXT], health[HEALTH_TEXT];
	json_t *d;
	size_t i;

	json_array_foreach ((json_t *)list, i, d)
		table_add(t, (const char *const[]){ text(d, "path"), text(d, "kind"),
						    size_text(number(d, "size"), size),
						    text(d, "serial"), health_text(d, health),
						    use_text(d), why_text(d, why) });
	table_print(t);
	table_destroy(t);
}

static void print_hugepages(const json_t *list)
{
	char size[SIZE_TEXT], surplus[48];
	json_t *h;
	size_t i;

	json_array_foreach ((json_t *)list, i, h) {
		if (!number(h, "total"))
			continue;
		surplus[0] = '\0';
		if (number(h, "surplus"))
			snprintf(surplus, sizeof(surplus), ", %" PRId64 " of them surplus",
				 number(h, "surplus"));
		printf("hugepages of %s: %" PRId64 " of %" PRId64 " free%s (NUMA node %" PRId64
		       ")\n",
		       size_text(number(h, "page_size"), size), number(h, "free"),
		       number(h, "total"), surplus, number(h, "numa_node"));
	}
}

static void print_modules(const json_t *modules, const char *state)
{
	const char *name, *between = "";
	json_t *v;

	json_object_foreach ((json_t *)modules, name, v) {
		if (strcmp(json_string_value(v), state) != 0)
			continue;
		if (!between[0])
			printf("modules %s:", state);
		printf("%s %s", between, name);
		between = ",";
	}
	if (between[0])
		puts("");
}

static void print_numa(const json_t *list)
{
	char size[SIZE_TEXT], unused[SIZE_TEXT];
	json_t *n;
	size_t i;

	json_array_foreach ((json_t *)list, i, n) {
		if (json_array_size(list) > 1)
			printf("NUMA node %" PRId64 ": cores %s, %s of %s free\n",
			       number(n, "node"), text(n, "cpus"),
			       size_text(number(n, "memory_free"), unused),
			       size_text(number(n, "memory"), size));
	}
}

static void print_functions(const json_t *list)
{
	static const char *const heads[] = { "FUNCTION", "DRIVER", "MODEL", "SERIAL", "SIZE",
					     "NUMA",	 "GROUP",  "SPDK",  "WHY" };
	struct table *t = table_create(9, heads);
	char size[SIZE_TEXT], numa[16], group[16], why[WHY_TEXT];
	json_t *f;
	size_t i;

	json_array_foreach ((json_t *)list, i, f) {
		snprintf(numa, sizeof(numa), "%" PRId64, number(f, "numa_node"));
		snprintf(group, sizeof(group), "%" PRId64, number(f, "iommu_group"));
		table_add(t, (const char *const[]){
				     text(f, "address"),
				     text(f, "driver")[0] ? text(f, "driver") : "none",
				     text(f, "model"), text(f, "serial"),
				     number(f, "size") ? size_text(number(f, "size"), size) : "-",
				     number(f, "numa_node") < 0 ? "-" : numa,
				     number(f, "iommu_group") < 0 ? "-" : group, use_text(f),
				     why_text(f, why) });
	}
	if (i) {
		puts("");
		table_print(t);
	}
	table_destroy(t);
}

static void print_node(const json_t *n)
{
	const json_t *modules = json_object_get(n, "modules");
	char size[SIZE_TEXT];

	printf("node %s, Linux %s: %" PRId64 " cores (%" PRId64 " for this process), %" PRId64
	       " NUMA node%s, %s of memory\n",
	       text(n, "hostname"), text(n, "kernel"), number(n, "cpus"), number(n, "cpus_allowed"),
	       number(n, "numa_nodes"), number(n, "numa_nodes") == 1 ? "" : "s",
	       size_text(number(n, "memory"), size));
	print_numa(json_object_get(n, "numa"));
	printf("io_uring: %s%s\n",
	       flag(n, "io_uring") ? "allowed" : "not allowed: ", text(n, "io_uring_reason"));
	printf("IOMMU: %s, %zu groups; vfio-pci: %s%s\n", flag(n, "iommu") ? "yes" : "no",
	       json_array_size(json_object_get(n, "iommu_groups")),
	       flag(n, "vfio") ? "loaded" : "not loaded",
	       flag(n, "vfio_noiommu") ? "; allowed without an IOMMU" : "");
	print_modules(modules, "loaded");
	print_modules(modules, "built-in");
	print_modules(modules, "available");
	print_hugepages(json_object_get(n, "hugepages"));
	print_functions(json_object_get(n, "nvme"));
}

static void print_kits(const json_t *list)
{
	static const char *const heads[] = { "KIT", "KIND", "VERSION" };
	struct table *t = table_create(3, heads);
	json_t *k;
	size_t i;

	json_array_foreach ((json_t *)list, i, k)
		table_add(t, (const char *const[]){ text(k, "path"), text(k, "kind"),
						    text(k, "version") });
	table_print(t);
	table_destroy(t);
}

/* "2 bdevs, 1 subsystem"; what there is none of is left out. */
static const char *serves_text(const json_t *target, char *out, size_t size)
{
	static const struct {
		const char *member, *word;
	} parts[] = {
		{ "bdevs", "bdev" },	       { "lvol_stores", "store" },
		{ "subsystems", "subsystem" }, { "vhost_controllers", "vhost controller" },
		{ "threads", "thread" },
	};
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t n = json_array_size(json_object_get(target, parts[i].member));

		if (n && at < size)
			at += (size_t)snprintf(out + at, size - at, "%s%zu %s%s", at ? ", " : "", n,
					       parts[i].word, n == 1 ? "" : "s");
	}
	return out;
}

static void print_targets(const json_t *list)
{
	static const char *const heads[] = { "TARGET", "PID", "KIND", "SERVES", "VERSION" };
	struct table *t = table_create(5, heads);
	char pid[16], serves[160];
	json_t *o;
	size_t i;

	json_array_foreach ((json_t *)list, i, o) {
		const char *socket = text(o, "socket");

		snprintf(pid, sizeof(pid), "%" PRId64, number(o, "pid"));
		table_add(t, (const char *const[]){ socket[0] ? socket : "-", pid, text(o, "kind"),
						    serves_text(o, serves, sizeof(serves)),
						    flag(o, "answers") ? text(o, "version")
								       : text(o, "error") });
	}
	table_print(t);
	table_destroy(t);
}

static void print_clusters(const json_t *list)
{
	json_t *c, *p;
	size_t i, k;

	json_array_foreach ((json_t *)list, i, c) {
		printf("Ceph cluster %s %s: %s", text(c, "name"), text(c, "fsid"),
		       flag(c, "reachable") ? "reachable" : "not reachable");
		json_array_foreach (json_object_get(c, "pools"), k, p)
			printf("%s %s", k ? "," : "; pools", json_string_value(p));
		printf("%s%s\n", text(c, "error")[0] ? "; " : "", text(c, "error"));
	}
}

void print_discover(const json_t *answer)
{
	const json_t *unseen = json_object_get(answer, "unseen");
	json_t *s;
	size_t i;

	print_node(json_object_get(answer, "node"));
	puts("");
	print_devices(json_object_get(answer, "devices"));
	puts("");
	print_kits(json_object_get(answer, "kits"));
	puts("");
	print_targets(json_object_get(answer, "targets"));
	if (json_array_size(json_object_get(answer, "ceph")))
		puts("");
	print_clusters(json_object_get(answer, "ceph"));
	json_array_foreach ((json_t *)unseen, i, s)
		printf("%snot seen: %s\n", i ? "" : "\n", json_string_value(s));
}

static void print_ranked(const json_t *list)
{
	static const char *const heads[] = { "DEVICE", "KIND", "SIZE", "SERIAL",
					     "SCORE",  "SPDK", "WHY" };
	struct table *t = table_create(7, heads);
	char size[SIZE_TEXT], why[WHY_TEXT], score[16];
	json_t *d;
	size_t i;

	json_array_foreach ((json_t *)list, i, d) {
		snprintf(score, sizeof(score), "%" PRId64, number(d, "score"));
		table_add(t, (const char *const[]){ text(d, "path"), text(d, "kind"),
						    size_text(number(d, "size"), size),
						    text(d, "serial"), score, use_text(d),
						    why_text(d, why) });
	}
	table_print(t);
	table_destroy(t);
}

static void print_ceph(const json_t *list)
{
	static const char *const heads[] = { "PLACE", "KIND", "SCORE", "SPDK", "WHY" };
	struct table *t = table_create(5, heads);
	char why[WHY_TEXT], score[16];
	json_t *c;
	size_t i;

	json_array_foreach ((json_t *)list, i, c) {
		snprintf(score, sizeof(score), "%" PRId64, number(c, "score"));
		table_add(t, (const char *const[]){ text(c, "path"), text(c, "kind"), score,
						    flag(c, "attach") ? "yes" : "no",
						    why_text(c, why) });
	}
	if (i)
		table_print(t);
	table_destroy(t);
}

void print_list(const json_t *answer)
{
	json_t *installed = json_object_get(answer, "accelerators"), *a;
	const json_t *candidates = json_object_get(answer, "candidates");
	char size[SIZE_TEXT];
	size_t i;

	if (!strcmp(text(answer, "scenario"), "ceph"))
		print_ceph(candidates);
	else
		print_ranked(candidates);
	if (text(answer, "note")[0])
		printf("%s\n", text(answer, "note"));
	json_array_foreach (installed, i, a) {
		if (i == 0)
			puts("");
		printf("installed: %s on %s, %s\n", text(a, "id"),
		       text(a, "backing")[0] ? text(a, "backing") : "memory",
		       size_text(number(a, "size"), size));
	}
}
