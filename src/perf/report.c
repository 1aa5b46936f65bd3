/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a run came to.
 *
 * Threading: on reactor 0, after all workers have told that they ended.
 */
#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "base/clock.h"
#include "perf/perf.h"

struct totals {
	struct histogram reads, writes;
	uint64_t elapsed_ns, cpu_ns;
	uint64_t checked, unchecked, mismatches, errors;
};

static const struct share {
	const char *name, *label;
	uint32_t share;
} shares[] = {
	{ "p50", "p50", 50000 },
	{ "p90", "p90", 90000 },
	{ "p99", "p99", 99000 },
	{ "p99_9", "p99.9", 99900 },
};
#define SHARES (sizeof(shares) / sizeof(shares[0]))

static void add_up(const struct perf_run *run, struct totals *t)
{
	histogram_init(&t->reads);
	histogram_init(&t->writes);
	t->elapsed_ns = t->cpu_ns = 0;
	t->checked = t->unchecked = t->mismatches = t->errors = 0;
	for (unsigned int i = 0; i < run->count; i++) {
		const struct perf_worker *w = &run->workers[i];

		histogram_merge(&t->reads, &w->reads);
		histogram_merge(&t->writes, &w->writes);
		if (w->elapsed_ns > t->elapsed_ns)
			t->elapsed_ns = w->elapsed_ns;
		t->cpu_ns += w->cpu_ns;
		t->checked += w->checked;
		t->unchecked += w->unchecked;
		t->mismatches += w->mismatches;
		t->errors += w->errors;
	}
}

static double us_of(uint64_t ticks)
{
	return (double)ticks * 1e6 / (double)clock_ticks_hz();
}

static double seconds_of(const struct totals *t)
{
	return (double)(t->elapsed_ns ? t->elapsed_ns : 1) / (double)NS_PER_SEC;
}

static double cpu_us(const struct totals *t)
{
	uint64_t ios = t->reads.count + t->writes.count;

	return ios ? (double)t->cpu_ns / 1e3 / (double)ios : 0;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *side_json(const struct histogram *h, const struct totals *t, uint64_t io_size)
{
	double iops = (double)h->count / seconds_of(t);
	json_t *latency = json_object();

	if (h->count) {
		json_object_set_new(latency, "min", json_real(us_of(h->min)));
		json_object_set_new(latency, "mean", json_real(us_of(h->sum) / (double)h->count));
		for (size_t i = 0; i < SHARES; i++)
			json_object_set_new(
				latency, shares[i].name,
				json_real(us_of(histogram_percentile(h, shares[i].share))));
		json_object_set_new(latency, "max", json_real(us_of(h->max)));
	}
	return json_pack("{s:I,s:f,s:f,s:o}", "ios", (json_int_t)h->count, "iops", iops, "mib_s",
			 iops * (double)io_size / (1 << 20), "latency_us", latency);
}

static void print_json(const struct perf_run *run, const struct totals *t)
{
	const struct perf_options *o = run->o;
	json_t *root = json_pack(
		"{s:s,s:s,s:I,s:s,s:I,s:I,s:I,s:I,s:I,s:b,s:f,s:f}", "subnqn", o->ctrlr.path.subnqn,
		"hostnqn", o->ctrlr.path.hostnqn, "nsid", (json_int_t)run->nsid, "workload",
		o->verify_only ? "verify-only" : o->workload->name, "io_size",
		(json_int_t)o->io_size, "queue_depth", (json_int_t)o->depth, "queue_pairs",
		(json_int_t)(o->qpairs * run->count), "cores", (json_int_t)run->count, "seed",
		(json_int_t)(o->seed & INT64_MAX), "interrupted", run->interrupted, "seconds",
		seconds_of(t), "cpu_us_per_io", cpu_us(t));

	json_object_set_new(root, "read", side_json(&t->reads, t, o->io_size));
	json_object_set_new(root, "write", side_json(&t->writes, t, o->io_size));
	json_object_set_new(root, "errors", json_integer((json_int_t)t->errors));
	if (o->verify)
		json_object_set_new(root, "verify",
				    json_pack("{s:I,s:I,s:I}", "checked", (json_int_t)t->checked,
					      "unchecked", (json_int_t)t->unchecked,
					      "mismatched_blocks", (json_int_t)t->mismatches));
	json_dumpf(root, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(root);
}

/* --- text ------------------------------------------------------------------------------------- */

static void print_side(const char *name, const struct histogram *h, const struct totals *t,
		       uint64_t io_size)
{
	double iops = (double)h->count / seconds_of(t);

	if (h->count == 0)
		return;
	printf("%-6s %12" PRIu64 " I/Os %12.0f IOPS %10.1f MiB/s\n", name, h->count, iops,
	       iops * (double)io_size / (1 << 20));
	printf("       latency (us): mean %.1f", us_of(h->sum) / (double)h->count);
	for (size_t i = 0; i < SHARES; i++)
		printf("  %s %.1f", shares[i].label,
		       us_of(histogram_percentile(h, shares[i].share)));
	printf("  max %.1f\n", us_of(h->max));
}

static void print_text(const struct perf_run *run, const struct totals *t)
{
	const struct perf_options *o = run->o;

	printf("%s of %" PRIu64 " bytes, depth %" PRIu64 ", %" PRIu64 " queue pair%s, %u core%s, "
	       "%.2f s%s\n",
	       o->verify_only ? "verify-only" : o->workload->name, o->io_size, o->depth,
	       o->qpairs * run->count, o->qpairs * run->count == 1 ? "" : "s", run->count,
	       run->count == 1 ? "" : "s", seconds_of(t), run->interrupted ? " (interrupted)" : "");
	print_side("read", &t->reads, t, o->io_size);
	print_side("write", &t->writes, t, o->io_size);
	printf("CPU    %.2f us an I/O\n", cpu_us(t));
	if (o->verify)
		printf("Checked %" PRIu64 " reads: %" PRIu64 " wrong blocks; %" PRIu64
		       " reads of what this run had not written\n",
		       t->checked, t->mismatches, t->unchecked);
}

void perf_report(struct perf_run *run)
{
	static struct totals t;

	add_up(run, &t);
	if (run->o->json)
		print_json(run, &t);
	else
		print_text(run, &t);
}
