/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node agent: looks at every accelerator of a state directory in turn, brings back what is not
 * as recorded, and publishes what it saw as Prometheus metrics and as JSON.
 *
 * Threading: one thread looks, mends and renders; a second, of libmicrohttpd, only hands out the
 * texts that the first left in a board (board.h).
 */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "base/error.h"
#include "base/log.h"
#include "driver/loop.h"

/* journal.c: structured log */

/** journal_set_json() - one JSON object a line instead of key=value (logfmt) */
void journal_set_json(bool json);
/**
 * journal() - one line on standard error: time, level, event, and @fields
 * @event: a word in snake case that never changes its meaning
 * @fields: object of strings and numbers, stolen; NULL for none
 *
 * Under systemd the line begins with its priority (sd-daemon(3)) and has no time of its own.
 */
void journal(enum log_level level, const char *event, json_t *fields);

/* sample.c: asking a target */

/** struct sample_answer - one call; @result NULL when it failed or the target has no such method */
struct sample_answer {
	const char *method;
	json_t *result;
	double seconds;
};

#define SAMPLE_ANSWERS 5

/**
 * struct sample - what a target said of itself, all asked at once on one connection
 * @answers: of those methods that it has, in the order of enum sample_of
 * @controllers: object: NQN -> how many controllers of hosts; asked after the subsystems
 */
struct sample {
	struct sample_answer answers[SAMPLE_ANSWERS];
	json_t *controllers;
};

enum sample_of { SAMPLE_BDEVS, SAMPLE_IOSTAT, SAMPLE_REACTORS, SAMPLE_SUBSYSTEMS, SAMPLE_LVSTORES };

/**
 * sample_take() - ask the target at @socket, each call at most @timeout_ns
 *
 * Return: 0, also when single calls were refused; a negative errno when nobody answers. @s is given
 * back by sample_fini() in any case.
 */
int sample_take(struct loop *l, const char *socket, uint64_t timeout_ns, struct sample *s,
		struct error *err);
void sample_fini(struct sample *s);

/* reconcile.c: when to mend */

#define RECONCILE_PAUSE_MIN_NS UINT64_C(1000000000)
#define RECONCILE_PAUSE_MAX_NS UINT64_C(60000000000)

/**
 * struct patient - an accelerator that is not as recorded, or was not
 * @pause_ns: until the next try after one that did not help; doubles from 1 s to 60 s
 * @reason: why it is tried; of the last look
 */
struct patient {
	char id[64];
	uint64_t pause_ns, next_ns;
	uint64_t tries, recoveries;
	char reason[256];
	bool sick;
	struct patient *next;
};

/** patient_of() - the one with that id, made when there is none; NULL when memory is short */
struct patient *patient_of(struct patient **list, const char *id);
/** patients_keep() - forget those that @accelerators, of status, no longer has */
void patients_keep(struct patient **list, const json_t *accelerators);
void patients_free(struct patient **list);
/**
 * patient_look() - take in what status says of the accelerator at @now_ns
 *
 * Return: true when it shall be recovered now.
 */
bool patient_look(struct patient *p, const json_t *accelerator, uint64_t now_ns);
/** patient_tried() - a recovery was tried; @helped: status says so */
void patient_tried(struct patient *p, bool helped, uint64_t now_ns);

/* metrics.c: Prometheus text, version 0.0.4 */

/** struct metrics_target - one accelerator: its part of status, and its sample (may be empty) */
struct metrics_target {
	const json_t *status;
	const struct sample *sample;
	const struct patient *patient;
};

struct metrics_agent {
	uint64_t looks;
	double look_seconds; /* of the last one */
	double looked_at;    /* seconds since 1970 */
};

/** metrics_print() - all families, each with HELP and TYPE, in a fixed order */
void metrics_print(FILE *f, const struct metrics_target *targets, size_t count,
		   const struct metrics_agent *agent);

#endif
