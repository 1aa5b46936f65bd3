/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus text (exposition format 0.0.4) of what was seen. A family is printed in one piece, its
 * rows in the order of the accelerators, so that two scrapes differ in values only.
 *
 * Threading: one thread.
 */
#include <inttypes.h>
#include <string.h>

#include "agent/agent.h"

#define PREFIX "cyborg_spdk_"

/** struct writer - where to, and of which accelerator */
struct writer {
	FILE *f;
	const struct metrics_target *t;
	const char *id;
};

/** struct family - one metric: what it is called, and who prints its rows for one accelerator */
struct family {
	const char *name, *type, *help;
	void (*rows)(struct writer *w, const struct family *family);
	const char *member; /* of the answer, for those that share a printer */
	const char *ticks;  /* member of the answer: how many are a second; NULL: no division */
};

/* Label values: backslash, quote and newline are escaped; nothing else has a meaning. */
static void label(FILE *f, const char *separator, const char *name, const char *value)
{
	fprintf(f, "%s%s=\"", separator, name);
	for (const char *c = value ? value : ""; *c; c++) {
		if (*c == '\n')
			fputs("\\n", f);
		else if (*c == '\\' || *c == '"')
			fprintf(f, "\\%c", *c);
		else
			fputc(*c, f);
	}
	fputc('"', f);
}

static const char *text_of(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

static double number_of(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

/* Begins a row up to its value; names and values of further labels in pairs, ends with NULL. */
static void row_begin(struct writer *w, const struct family *m, const char *const *labels)
{
	fprintf(w->f, PREFIX "%s", m->name);
	label(w->f, "{", "accelerator", w->id);
	for (; *labels; labels += 2)
		label(w->f, ",", labels[0], labels[1]);
	fputc('}', w->f);
}

#define ROW(w, m, value, ...)                                                                      \
	do {                                                                                       \
		const char *const labels_[] = { __VA_ARGS__ __VA_OPT__(, ) NULL };                 \
		row_begin(w, m, labels_);                                                          \
		fprintf((w)->f, " %.15g\n", (double)(value));                                      \
	} while (0)

static const json_t *answer_of(const struct writer *w, enum sample_of of)
{
	return w->t->sample ? w->t->sample->answers[of].result : NULL;
}

/* --- what is recorded, from status --- */

static void rows_info(struct writer *w, const struct family *m)
{
	ROW(w, m, 1, "backing", text_of(w->t->status, "backing"), "version",
	    text_of(w->t->status, "running_version"));
}

static void rows_up(struct writer *w, const struct family *m)
{
	const char *health = text_of(w->t->status, "health");

	ROW(w, m, health && strcmp(health, "down") != 0);
}

static void rows_healthy(struct writer *w, const struct family *m)
{
	const char *health = text_of(w->t->status, "health");

	ROW(w, m, health && !strcmp(health, "ok"));
}

static void rows_drift(struct writer *w, const struct family *m)
{
	ROW(w, m, json_array_size(json_object_get(w->t->status, "drift")));
}

static void rows_attachments(struct writer *w, const struct family *m)
{
	ROW(w, m, json_array_size(json_object_get(w->t->status, "attachments")));
}

static void rows_attachment_info(struct writer *w, const struct family *m)
{
	const json_t *list = json_object_get(w->t->status, "attachments"), *a;
	size_t i;

	json_array_foreach (list, i, a)
		ROW(w, m, 1, "instance", text_of(a, "instance"), "nqn", text_of(a, "nqn"), "host",
		    text_of(a, "host"), "bdev", text_of(a, "bdev"));
}

static void rows_recoveries(struct writer *w, const struct family *m)
{
	const struct patient *p = w->t->patient;

	ROW(w, m, p ? p->recoveries : 0, "outcome", "done");
	ROW(w, m, p ? p->tries - p->recoveries : 0, "outcome", "failed");
}

/* --- what the target serves --- */

static void rows_bdev_capacity(struct writer *w, const struct family *m)
{
	const json_t *b;
	size_t i;

	json_array_foreach (answer_of(w, SAMPLE_BDEVS), i, b)
		ROW(w, m, number_of(b, "num_blocks") * number_of(b, "block_size"), "bdev",
		    text_of(b, "name"));
}

static void rows_iostat(struct writer *w, const struct family *m)
{
	const json_t *answer = answer_of(w, SAMPLE_IOSTAT), *b;
	double hz = m->ticks ? number_of(answer, m->ticks) : 1;
	size_t i;

	json_array_foreach (json_object_get(answer, "bdevs"), i, b) {
		if (hz > 0 && json_is_number(json_object_get(b, m->member)))
			ROW(w, m, number_of(b, m->member) / hz, "bdev", text_of(b, "name"));
	}
}

static void rows_reactors(struct writer *w, const struct family *m)
{
	const json_t *answer = answer_of(w, SAMPLE_REACTORS), *r;
	double hz = number_of(answer, "tick_rate");
	static const char *const modes[] = { "busy", "idle" };
	size_t i;

	json_array_foreach (json_object_get(answer, "reactors"), i, r) {
		char core[24];

		snprintf(core, sizeof(core), "%.0f", number_of(r, "lcore"));
		for (size_t k = 0; hz > 0 && k < 2; k++) {
			if (json_is_number(json_object_get(r, modes[k])))
				ROW(w, m, number_of(r, modes[k]) / hz, "core", core, "mode",
				    modes[k]);
		}
	}
}

/* Arrays of a subsystem are counted. */
static void rows_subsystem(struct writer *w, const struct family *m)
{
	const json_t *s;
	size_t i;

	json_array_foreach (answer_of(w, SAMPLE_SUBSYSTEMS), i, s) {
		const json_t *list = json_object_get(s, m->member);

		if (json_is_array(list))
			ROW(w, m, json_array_size(list), "nqn", text_of(s, "nqn"));
	}
}

static void rows_controllers(struct writer *w, const struct family *m)
{
	const char *nqn;
	json_t *count;

	if (!w->t->sample || !w->t->sample->controllers)
		return;
	json_object_foreach (w->t->sample->controllers, nqn, count)
		ROW(w, m, json_number_value(count), "nqn", nqn);
}

static void rows_lvstore(struct writer *w, const struct family *m)
{
	const json_t *s;
	size_t i;

	json_array_foreach (answer_of(w, SAMPLE_LVSTORES), i, s)
		ROW(w, m, number_of(s, m->member) * number_of(s, "cluster_size"), "lvstore",
		    text_of(s, "name"));
}

static void rows_rpc(struct writer *w, const struct family *m)
{
	for (size_t i = 0; w->t->sample && i < SAMPLE_ANSWERS; i++) {
		const struct sample_answer *a = &w->t->sample->answers[i];

		if (a->result)
			ROW(w, m, a->seconds, "method", a->method);
	}
}

#define FAMILY(name_, type_, help_, rows_)                                                         \
	{                                                                                          \
		.name = name_, .type = type_, .help = help_, .rows = rows_                         \
	}
#define FAMILY_OF(name_, type_, help_, rows_, member_)                                             \
	{                                                                                          \
		.name = name_, .type = type_, .help = help_, .rows = rows_, .member = member_      \
	}
#define TIME_OF(name_, help_, member_)                                                             \
	{                                                                                          \
		.name = name_, .type = "counter", .help = help_, .rows = rows_iostat,              \
		.member = member_, .ticks = "tick_rate"                                            \
	}

static const struct family families[] = {
	FAMILY("accelerator_info", "gauge", "An installed accelerator and what serves it.",
	       rows_info),
	FAMILY("accelerator_up", "gauge", "The target answers.", rows_up),
	FAMILY("accelerator_healthy", "gauge", "All is as recorded.", rows_healthy),
	FAMILY("accelerator_drift", "gauge", "Things that are not as recorded.", rows_drift),
	FAMILY("accelerator_recoveries_total", "counter", "Tries of the agent to bring it back.",
	       rows_recoveries),
	FAMILY("attachments", "gauge", "Recorded attachments.", rows_attachments),
	FAMILY("attachment_info", "gauge", "An attachment.", rows_attachment_info),
	FAMILY("bdev_capacity_bytes", "gauge", "Size of a block device.", rows_bdev_capacity),
	FAMILY_OF("bdev_reads_completed_total", "counter", "Reads that ended.", rows_iostat,
		  "num_read_ops"),
	FAMILY_OF("bdev_writes_completed_total", "counter", "Writes that ended.", rows_iostat,
		  "num_write_ops"),
	FAMILY_OF("bdev_unmaps_completed_total", "counter", "Unmaps that ended.", rows_iostat,
		  "num_unmap_ops"),
	FAMILY_OF("bdev_read_bytes_total", "counter", "Bytes read.", rows_iostat, "bytes_read"),
	FAMILY_OF("bdev_written_bytes_total", "counter", "Bytes written.", rows_iostat,
		  "bytes_written"),
	TIME_OF("bdev_read_seconds_total", "Time of all reads, each from begin to end.",
		"read_latency_ticks"),
	TIME_OF("bdev_write_seconds_total", "Time of all writes, each from begin to end.",
		"write_latency_ticks"),
	FAMILY_OF("lvstore_capacity_bytes", "gauge", "Clusters of a store of logical volumes.",
		  rows_lvstore, "total_data_clusters"),
	FAMILY_OF("lvstore_free_bytes", "gauge", "Clusters of a store that nobody has.",
		  rows_lvstore, "free_clusters"),
	FAMILY("reactor_seconds_total", "counter", "Time of a reactor that was busy or idle.",
	       rows_reactors),
	FAMILY_OF("subsystem_namespace_count", "gauge", "Namespaces of a subsystem.",
		  rows_subsystem, "namespaces"),
	FAMILY_OF("subsystem_listener_count", "gauge", "Listeners of a subsystem.", rows_subsystem,
		  "listen_addresses"),
	FAMILY_OF("subsystem_host_count", "gauge", "Hosts that may connect to a subsystem.",
		  rows_subsystem, "hosts"),
	FAMILY("subsystem_controller_count", "gauge", "Controllers that hosts have in a subsystem.",
	       rows_controllers),
	FAMILY("rpc_method_seconds", "gauge", "How long the target took for the agent's last call.",
	       rows_rpc),
};

static void print_agent(FILE *f, const struct metrics_agent *agent)
{
	fprintf(f,
		"# HELP " PREFIX "agent_looks_total Rounds over all accelerators.\n"
		"# TYPE " PREFIX "agent_looks_total counter\n" PREFIX "agent_looks_total %" PRIu64
		"\n"
		"# HELP " PREFIX "agent_look_seconds How long the last round took.\n"
		"# TYPE " PREFIX "agent_look_seconds gauge\n" PREFIX "agent_look_seconds %.9g\n"
		"# HELP " PREFIX "agent_looked_at_seconds When the last round ended (Unix time).\n"
		"# TYPE " PREFIX "agent_looked_at_seconds gauge\n" PREFIX
		"agent_looked_at_seconds %.3f\n",
		agent->looks, agent->look_seconds, agent->looked_at);
}

void metrics_print(FILE *f, const struct metrics_target *targets, size_t count,
		   const struct metrics_agent *agent)
{
	for (size_t k = 0; k < sizeof(families) / sizeof(families[0]); k++) {
		const struct family *m = &families[k];

		fprintf(f, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", m->name, m->help,
			m->name, m->type);
		for (size_t i = 0; i < count; i++) {
			struct writer w = { f, &targets[i], text_of(targets[i].status, "id") };

			m->rows(&w, m);
		}
	}
	print_agent(f, agent);
}
