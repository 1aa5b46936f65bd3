/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob-crash: the power-cut simulator of Blobstore.
 *
 * Each scenario is run once on a disk that records; then every image that a cut may leave is put
 * together, loaded and judged. A fault is told with the scenario, the seed and what the image has,
 * so that it can be had again.
 *
 * Threading: the main thread, and one more where a scenario wants two reactors.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/options.h"
#include "cut.h"
#include "mutant.h"
#include "scenario.h"
#include "verify.h"

struct args {
	const char *operation;
	const char *mutant;
	const char *tool;
	uint64_t seed, limit, mode, rounds, repair;
	bool longer, mutants, flushes, list, events, help;
};

/**
 * struct session - a scenario, recorded, and a pass over its cuts
 * @order: NULL: as recorded
 * @unguarded: struct verify
 */
struct session {
	const struct scenario *scenario;
	const struct args *args;
	struct run run;
	uint64_t seed;
	bool unmap_zeroes;
	unsigned int mode;
	uint32_t limit;
	unsigned int nested;
	uint32_t *order;
	uint32_t order_count;
	bool quiet; /* a fault is what is wanted */
	bool unguarded;
	bool good;
	struct cut_count count;
	struct verify verify;
};

/* What is looked at, for when the program dies of it. */
static char looking_at[256];

static void dying(int sig)
{
	ssize_t n = write(STDERR_FILENO, looking_at, strlen(looking_at));

	(void)n;
	signal(sig, SIG_DFL);
	raise(sig);
}

/* --- a pass ----------------------------------------------------------------------------------- */

static bool look(const struct cut_image *image, void *arg)
{
	struct session *s = arg;
	char text[4096];

	snprintf(looking_at, sizeof(looking_at),
		 "died of: %s, seed %" PRIu64 ", mode %u, cut before event %" PRIu32
		 ", image %" PRIu64 "\n",
		 s->scenario->name, s->seed, s->mode, image->at, s->count.images);
	if (verify_image(image, &s->verify))
		return true;
	if (!s->quiet) {
		cut_explain(image, text, sizeof(text));
		printf("FAULT: %s, seed %" PRIu64 ", mode %u, unmap %s, cut before event %" PRIu32
		       ": %s\nof what was not flushed:\n%s",
		       s->scenario->name, s->seed, s->mode, s->unmap_zeroes ? "zeroes" : "does not",
		       image->at, s->verify.why, text);
		fflush(stdout);
	}
	return false;
}

static void record_fiber(void *arg)
{
	struct session *s = arg;

	kit_turns_begin();
	run_begin(&s->run, s->seed, s->unmap_zeroes);
	s->scenario->make(&s->run);
	run_end(&s->run);
	kit_turns_end();
}

static void record(struct session *s)
{
	/* Mutants name their steps by number, also where there is one core only. */
	unsigned int cores = s->quiet ? 1 : kit_cores();

	snprintf(looking_at, sizeof(looking_at), "died while recording %s, seed %" PRIu64 "\n",
		 s->scenario->name, s->seed);
	kit_fiber(s->scenario->reactors < cores ? s->scenario->reactors : cores, record_fiber, s);
}

static void cut_fiber(void *arg)
{
	struct session *s = arg;
	struct cut_options opts = {
		.record = s->run.record,
		.order = s->order,
		.order_count = s->order_count,
		.begin = s->run.start,
		.limit = s->limit,
		.mode = s->mode,
		.md_first = STORE_MD_FIRST,
		.md_blocks = STORE_MD_BLOCKS,
		.seed = s->seed,
		.look = look,
		.arg = s,
	};
	uint64_t bytes = (uint64_t)STORE_CLUSTERS_MAX * CLUSTER;
	struct disk *disk = disk_create("cut", bytes, bytes, s->unmap_zeroes);

	memcpy(disk_data(disk), s->run.base, bytes);
	verify_begin(&s->verify, disk, s->run.model, s->mode);
	s->verify.nested = s->nested;
	s->verify.seed = s->seed;
	s->verify.unguarded = s->unguarded;
	s->verify.copied = s->scenario->copied;
	s->verify.tool = s->mode == 2 ? s->args->tool : NULL;
	s->verify.repair_every = (unsigned int)s->args->repair;
	s->good = cut_run(disk, &opts, &s->count);
	verify_end(&s->verify);
	disk_delete(disk);
}

static void tell(const struct session *s)
{
	printf("%-22s mode %u unmap %-8s %6" PRIu64 " cuts %5" PRIu64 " whole %7" PRIu64
	       " images %6" PRIu64 " again",
	       s->scenario->name, s->mode, s->unmap_zeroes ? "zeroes" : "does not", s->count.cuts,
	       s->count.exhaustive, s->count.images, s->verify.nested_images);
	if (s->mode == 2)
		printf(" %5" PRIu64 " damaged %4" PRIu64 " super %4" PRIu64 " repaired %3" PRIu64
		       " lost",
		       s->verify.damaged, s->verify.torn_supers, s->verify.repaired,
		       s->verify.lost);
	printf(" %s\n", s->good ? "ok" : "FAULT");
	fflush(stdout);
}

static bool pass(struct session *s, unsigned int mode)
{
	s->mode = mode;
	s->count = (struct cut_count){ 0 };
	kit_fiber(1, cut_fiber, s);
	if (!s->quiet)
		tell(s);
	return s->good;
}

/* --- scenarios -------------------------------------------------------------------------------- */

static bool run_scenario(const struct scenario *scenario, const struct args *args, uint64_t seed,
			 bool unmap_zeroes)
{
	struct session s = {
		.scenario = scenario,
		.args = args,
		.seed = seed,
		.unmap_zeroes = unmap_zeroes,
		.limit = (uint32_t)args->limit,
		.nested = args->longer ? 2 : 16,
	};
	bool good = true;

	record(&s);
	if (args->mode != 2)
		good &= pass(&s, 1);
	if (args->mode != 1 && PAGE_BLOCKS > 1)
		good &= pass(&s, 2);
	run_free(&s.run);
	return good;
}

static bool run_scenarios(const struct args *args)
{
	bool good = true;

	for (unsigned int i = 0; i < scenario_count; i++) {
		bool random = strcmp(scenarios[i].name, "random") == 0;
		uint64_t rounds = random || args->longer ? args->rounds : 1;

		if (args->operation != NULL && strcmp(args->operation, scenarios[i].name) != 0)
			continue;
		for (uint64_t k = 0; k < rounds; k++) {
			/* Both kinds of disk; a short run takes turns. */
			uint64_t seed = args->seed + k;

			if (args->longer || (i + seed) % 2 == 0)
				good &= run_scenario(&scenarios[i], args, seed, true);
			if (args->longer || (i + seed) % 2 == 1)
				good &= run_scenario(&scenarios[i], args, seed, false);
		}
	}
	return good;
}

/* --- mutants ---------------------------------------------------------------------------------- */

static bool run_mutant(const struct mutant *m, const struct args *args)
{
	struct session s = {
		.scenario = scenario_find(m->scenario),
		.args = args,
		.seed = args->seed,
		.unmap_zeroes = m->mutation == MUTATE_CLEAR,
		.limit = (uint32_t)args->limit,
		.quiet = true,
	};
	bool found;

	record(&s);
	if (m->mutation != MUTATE_GUARD)
		s.order = mutant_order(m, s.run.record, s.run.start, &s.order_count);
	s.unguarded = m->mutation == MUTATE_GUARD;
	found = !pass(&s, m->mutation == MUTATE_GUARD || m->mutation == MUTATE_COPY ? 2 : 1);
	printf("%-28s %-22s %s\n", m->name, m->scenario, found ? "found:" : "NOT FOUND");
	if (found)
		printf("    %s\n    %s\n", m->help, s.verify.why);
	fflush(stdout);
	free(s.order);
	run_free(&s.run);
	return found;
}

static bool run_mutants(const struct args *args)
{
	unsigned int found = 0, count = 0;

	for (unsigned int i = 0; i < mutant_count; i++) {
		if (args->mutant != NULL && strcmp(args->mutant, mutants[i].name) != 0)
			continue;
		count++;
		found += run_mutant(&mutants[i], args);
	}
	printf("%u of %u broken orders found\n", found, count);
	return found == count && count > 0;
}

/* Each flush of each scenario left out by itself: which ones nothing depends on. */
static void run_flushes_of(const struct scenario *scenario, const struct args *args)
{
	struct session s = {
		.scenario = scenario,
		.args = args,
		.seed = args->seed,
		.limit = (uint32_t)args->limit,
		.quiet = true,
	};
	unsigned int count = 0, found = 0;

	record(&s);
	for (uint32_t i = s.run.start; i < s.run.record->count; i++) {
		if (s.run.record->at[i].kind != EVENT_FLUSH)
			continue;
		count++;
		s.order = mutant_without_flush(s.run.record, i, &s.order_count);
		if (!pass(&s, 1))
			found++;
		else
			printf("%s: nothing depends on the flush at event %" PRIu32 "\n",
			       scenario->name, i);
		free(s.order);
	}
	printf("%-22s %u of %u flushes missed\n", scenario->name, found, count);
	run_free(&s.run);
}

static bool run_flushes(const struct args *args)
{
	for (unsigned int i = 0; i < scenario_count; i++) {
		if (args->operation == NULL || strcmp(args->operation, scenarios[i].name) == 0)
			run_flushes_of(&scenarios[i], args);
	}
	return true;
}

static void print_event(const struct run *r, uint32_t i)
{
	const struct event *e = &r->record->at[i];

	if (e->kind == EVENT_WRITE)
		printf("%6" PRIu32 "  %-8s blocks %" PRIu64 " + %" PRIu64 "%s\n", i,
		       event_name(e, STORE_MD_FIRST, STORE_MD_BLOCKS), e->block, e->blocks,
		       e->fua ? ", FUA" : "");
	else if (e->kind == EVENT_FLUSH)
		printf("%6" PRIu32 "  flush\n", i);
	else if (e->kind == EVENT_END && e->promise)
		printf("%6" PRIu32 "  answered\n", i);
}

static void print_operation(const struct state *st, uint32_t *from, const struct run *r)
{
	for (; *from < r->record->count && *from < st->begin; ++*from)
		print_event(r, *from);
	printf("%6" PRIu32 "  -- %s\n", *from, st->by);
}

/* What the disk saw. */
static void print_events_of(const struct scenario *scenario, const struct args *args)
{
	struct session s = {
		.scenario = scenario,
		.args = args,
		.seed = args->seed,
		.unmap_zeroes = true,
	};
	uint32_t from;

	record(&s);
	from = s.run.start;
	for (uint32_t i = 0; i < s.run.model->state_count; i++) {
		if (s.run.model->states[i]->begin >= from)
			print_operation(s.run.model->states[i], &from, &s.run);
	}
	for (; from < s.run.record->count; from++)
		print_event(&s.run, from);
	run_free(&s.run);
}

static bool print_events(const struct args *args)
{
	for (unsigned int i = 0; i < scenario_count; i++) {
		if (args->operation == NULL || strcmp(args->operation, scenarios[i].name) == 0)
			print_events_of(&scenarios[i], args);
	}
	return true;
}

/* --- the command line ------------------------------------------------------------------------- */

static void list_all(void)
{
	for (unsigned int i = 0; i < scenario_count; i++)
		printf("%-24s %s\n", scenarios[i].name, scenarios[i].help);
	for (unsigned int i = 0; i < mutant_count; i++)
		printf("mutant %-28s %s\n", mutants[i].name, mutants[i].help);
}

static int parse(int argc, char **argv, struct args *args)
{
	const struct option_row rows[] = {
		{ .name = "operation",
		  .kind = OPTION_STRING,
		  .value = "NAME",
		  .help = "only this one",
		  .out = &args->operation },
		{ .name = "seed",
		  .kind = OPTION_U64,
		  .value = "N",
		  .max = UINT32_MAX,
		  .help = "of what is sampled, and of random sequences (default 1)",
		  .out = &args->seed },
		{ .name = "limit",
		  .kind = OPTION_U64,
		  .value = "N",
		  .min = 2,
		  .max = 200,
		  .help = "images of one cut; all where there are no more",
		  .out = &args->limit },
		{ .name = "mode",
		  .kind = OPTION_U64,
		  .value = "1|2",
		  .min = 1,
		  .max = 2,
		  .help = "1: a metadata page is atomic; 2: it tears (default both)",
		  .out = &args->mode },
		{ .name = "tool",
		  .kind = OPTION_STRING,
		  .value = "PROGRAM",
		  .help = "cyborg-spdk-blob, to repair stores with torn pages",
		  .out = &args->tool },
		{ .name = "repair",
		  .kind = OPTION_U64,
		  .value = "N",
		  .min = 1,
		  .max = 1000000,
		  .help = "repair every Nth of them (default 120; with --long 20)",
		  .out = &args->repair },
		{ .name = "rounds",
		  .kind = OPTION_U64,
		  .value = "N",
		  .min = 1,
		  .max = 1000000,
		  .help = "random sequences, with seeds from --seed on",
		  .out = &args->rounds },
		{ .name = "long",
		  .kind = OPTION_FLAG,
		  .help = "more of everything",
		  .out = &args->longer },
		{ .name = "mutants",
		  .kind = OPTION_FLAG,
		  .help = "find the deliberately broken orders",
		  .out = &args->mutants },
		{ .name = "mutant",
		  .kind = OPTION_STRING,
		  .value = "NAME",
		  .help = "one of them",
		  .out = &args->mutant },
		{ .name = "flushes",
		  .kind = OPTION_FLAG,
		  .help = "leave out each flush, and say which ones are missed",
		  .out = &args->flushes },
		{ .name = "events",
		  .kind = OPTION_FLAG,
		  .help = "only tell what the disk saw",
		  .out = &args->events },
		{ .name = "list",
		  .kind = OPTION_FLAG,
		  .help = "name operations and mutants",
		  .out = &args->list },
		{ .name = "help",
		  .letter = 'h',
		  .kind = OPTION_FLAG,
		  .help = "this text",
		  .out = &args->help },
		{ .name = NULL },
	};
	struct error err = ERROR_INIT;

	if (options_parse(argc, argv, rows, false, &err) < 0) {
		fprintf(stderr, "blob-crash: %s\n", err.text);
		return -EINVAL;
	}
	if (args->help) {
		printf("usage: blob-crash [OPTION...]\n");
		options_help(stdout, rows);
	}
	return 0;
}

static bool run_all(const struct args *args)
{
	if (args->operation != NULL && scenario_find(args->operation) == NULL) {
		fprintf(stderr, "blob-crash: no operation \"%s\"; --list names them\n",
			args->operation);
		return false;
	}
	if (args->mutants || args->mutant != NULL)
		return run_mutants(args);
	if (args->flushes)
		return run_flushes(args);
	if (args->events)
		return print_events(args);
	return run_scenarios(args);
}

int main(int argc, char **argv)
{
	struct args args = { .seed = 1 };

	if (parse(argc, argv, &args) < 0)
		return 2;
	if (args.help)
		return 0;
	if (args.list) {
		list_all();
		return 0;
	}
	if (args.limit == 0)
		args.limit = args.longer ? 200 : 16;
	if (args.repair == 0)
		args.repair = args.longer ? 20 : 120;
	if (args.rounds == 0)
		args.rounds = args.longer ? 50 : 2;
	log_set_print_level(LOG_DISABLED);
	log_set_level(LOG_DISABLED);
	signal(SIGABRT, dying);
	signal(SIGSEGV, dying);
	signal(SIGTERM, dying);
	return run_all(&args) ? 0 : 1;
}
