/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the reactors do: framework_get_reactors, thread_get_stats, iobuf_get_stats.
 *
 * A reactor is one thread for everything it does, so it shows one lightweight thread.
 *
 * Threading: reactor 0; each reactor writes its own entry while it is asked, and answers by a
 * message, which orders it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/cpuset.h"
#include "reactor/reactor.h"
#include "rpc/areas.h"
#include "rpc/framework.h"

struct entry {
	struct reactor_stats stats;
	pid_t tid;
	unsigned int numa;
	uint64_t user_ns, system_ns;
};

struct survey {
	struct reactor_each each;
	struct rpc_request *req;
	json_t *(*answer)(const struct survey *s);
	struct entry entries[];
};

static bool polling;

void framework_set_polling(bool on)
{
	polling = on;
}

static uint64_t ns_of(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * NS_PER_SEC + (uint64_t)tv.tv_usec * NS_PER_USEC;
}

static void look(struct reactor_each *each)
{
	struct survey *s = container_of(each, struct survey, each);
	struct entry *e = &s->entries[reactor_index(reactor_self())];
	struct rusage usage = { .ru_nvcsw = 0 };

	reactor_stats_get(&e->stats);
	e->tid = gettid();
	if (getcpu(NULL, &e->numa) < 0)
		e->numa = 0;
	getrusage(RUSAGE_THREAD, &usage);
	e->user_ns = ns_of(usage.ru_utime);
	e->system_ns = ns_of(usage.ru_stime);
	reactor_each_next(each);
}

static void looked(struct reactor_each *each)
{
	struct survey *s = container_of(each, struct survey, each);

	rpc_reply(s->req, s->answer(s));
	free(s);
}

static void survey(struct rpc_request *req, json_t *(*answer)(const struct survey *s))
{
	struct survey *s = calloc(1, sizeof(*s) + reactor_count() * sizeof(s->entries[0]));

	if (!s) {
		rpc_done(req, -ENOMEM, 0, NULL);
		return;
	}
	s->req = req;
	s->answer = answer;
	s->each.fn = look;
	s->each.done = looked;
	reactor_for_each(&s->each);
}

static json_int_t ticks(uint64_t ns)
{
	return (json_int_t)((double)ns * (double)clock_ticks_hz() / (double)NS_PER_SEC);
}

static json_int_t centiseconds(uint64_t ns)
{
	return (json_int_t)(ns / (NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK)));
}

/* Clock ticks that a core spent on interrupts, as /proc/stat counts them since boot. */
static json_int_t interrupt_ticks(unsigned int core)
{
	char line[256], name[32];
	unsigned long long irq = 0, soft = 0;
	FILE *f = fopen("/proc/stat", "re");

	if (!f)
		return 0;
	snprintf(name, sizeof(name), "cpu%u ", core);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, strlen(name)) == 0 &&
		    sscanf(line, "%*s %*u %*u %*u %*u %*u %llu %llu", &irq, &soft) == 2)
			break;
	}
	fclose(f);
	return (json_int_t)(irq + soft);
}

static json_t *mask_json(unsigned int core)
{
	char text[300];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	cpuset_print(&set, text, sizeof(text));
	/* SPDK writes it without 0x. */
	return json_string(text + 2);
}

static json_t *thread_json(unsigned int i)
{
	char name[32];

	snprintf(name, sizeof(name), "reactor_%u", i);
	return json_pack("{s:s,s:i,s:o}", "name", name, "id", (int)i + 1, "cpumask",
			 mask_json(reactor_core(reactor_at(i))));
}

static json_t *reactors_json(const struct survey *s)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < reactor_count(); i++) {
		const struct entry *e = &s->entries[i];
		json_t *thread = thread_json(i);

		json_object_set_new(thread, "elapsed",
				    json_integer(ticks(e->stats.busy_ns + e->stats.idle_ns)));
		json_array_append_new(
			array, json_pack("{s:i,s:i,s:i,s:I,s:I,s:b,s:I,s:I,s:I,s:[o]}", "lcore",
					 (int)reactor_core(reactor_at(i)), "numa_id", (int)e->numa,
					 "tid", (int)e->tid, "busy", ticks(e->stats.busy_ns),
					 "idle", ticks(e->stats.idle_ns), "in_interrupt", !polling,
					 "irq", interrupt_ticks(reactor_core(reactor_at(i))), "sys",
					 centiseconds(e->system_ns), "usr",
					 centiseconds(e->user_ns), "lw_threads", thread));
	}
	return json_pack("{s:I,s:i,s:o}", "tick_rate", (json_int_t)clock_ticks_hz(), "pid",
			 (int)getpid(), "reactors", array);
}

static json_t *threads_json(const struct survey *s)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < reactor_count(); i++) {
		const struct entry *e = &s->entries[i];
		json_t *thread = thread_json(i);

		json_object_set_new(thread, "busy", json_integer(ticks(e->stats.busy_ns)));
		json_object_set_new(thread, "idle", json_integer(ticks(e->stats.idle_ns)));
		json_object_set_new(thread, "active_pollers_count", json_integer(e->stats.pollers));
		json_object_set_new(thread, "timed_pollers_count", json_integer(e->stats.timers));
		json_object_set_new(thread, "paused_pollers_count", json_integer(0));
		json_array_append_new(array, thread);
	}
	return json_pack("{s:I,s:o}", "tick_rate", (json_int_t)clock_ticks_hz(), "threads", array);
}

static json_t *pool_json(uint32_t used, uint32_t total)
{
	return json_pack("{s:I,s:I}", "used", (json_int_t)used, "total", (json_int_t)total);
}

static json_t *iobuf_json(const struct survey *s)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < reactor_count(); i++) {
		const struct reactor_stats *st = &s->entries[i].stats;
		char name[32];

		snprintf(name, sizeof(name), "reactor_%u", i);
		json_array_append_new(
			array, json_pack("{s:s,s:o,s:o,s:I}", "module", name, "small_pool",
					 pool_json(st->small_buffers_used, st->small_buffers_total),
					 "large_pool",
					 pool_json(st->large_buffers_used, st->large_buffers_total),
					 "waits", (json_int_t)st->buffer_waits));
	}
	return array;
}

static void get_reactors(struct rpc_request *req, void *params)
{
	(void)params;
	survey(req, reactors_json);
}

static void get_thread_stats(struct rpc_request *req, void *params)
{
	(void)params;
	survey(req, threads_json);
}

static void get_iobuf_stats(struct rpc_request *req, void *params)
{
	(void)params;
	survey(req, iobuf_json);
}

static const struct rpc_method methods[] = {
	{ .name = "framework_get_reactors",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_reactors },
	{ .name = "thread_get_stats",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_thread_stats },
	{ .name = "iobuf_get_stats",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = get_iobuf_stats },
};
RPC_AREA(reactors, methods);
