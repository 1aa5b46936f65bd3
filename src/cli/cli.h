/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cyborg-spdk: what the files of the command share. It uses the library's public functions only.
 *
 * Threading: one thread.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "base/options.h"
#include "cyborg-spdk/cyborg-spdk.h"

/* Exit codes; cyborg-spdk(1) lists them. */
enum cli_exit {
	CLI_EXIT_OK = 0,
	CLI_EXIT_FAILURE = 1,	  /* of the operating system, or of this program */
	CLI_EXIT_USAGE = 2,	  /* the command line is wrong */
	CLI_EXIT_REFUSED = 3,	  /* in use, holds data, there already, needs consent */
	CLI_EXIT_NOT_FOUND = 4,	  /* no such accelerator, instance, device, program */
	CLI_EXIT_TARGET = 5,	  /* the target or the data path does not do as it should */
	CLI_EXIT_LOCKED = 6,	  /* another process works in the state directory */
	CLI_EXIT_ROLLED_BACK = 7, /* it failed, and all is as it was */
	CLI_EXIT_UNHEALTHY = 8,	  /* status, recover: something is degraded or down */
};

/** cli_exit_of() - the exit code for what a library call returned */
enum cli_exit cli_exit_of(int rc);

#define CLI_LIMITS 4

/** struct cli_args - what the options of all verbs fill */
struct cli_args {
	const char *state_dir, *id, *type, *backing, *target, *force_serial, *instance, *host,
		*accelerator, *listen, *scenario, *store, *clear_method, *ceph_config, *ceph_user,
		*volume, *clone, *rbd, *transport, *dhchap_key, *dhchap_ctrlr_key, *psk,
		*socket_dir, *socket_group;
	uint64_t size, memory, hugepages, wait_ns, cluster_size, qos[CLI_LIMITS];
	bool json, help, version, dry_run, force, lose_volatile, keep_backing, thick, read_only,
		keep, delete, wipe, no_huge;
	struct option_strings arguments, bind, paths;
};

/**
 * struct cli_verb - one verb
 * @alias: the blueprint's name of it
 * @words: what may stand behind it, for the usage line
 * @what: one sentence for the overview; @text: what more --help says
 * @options: letters, see cli_rows()
 * @take: take the words that are no option; -EINVAL with @err
 * @print: the answer for a person
 */
struct cli_verb {
	const char *name, *alias, *words, *what, *text, *options;
	int (*take)(struct cli_args *a, int count, char **words, struct error *err);
	int (*call)(struct cyborg_spdk *h, const char *request, char **answer);
	void (*print)(const json_t *answer);
};

extern const struct cli_verb cli_verbs[];
/** cli_verb_find() - by name or alias; NULL */
const struct cli_verb *cli_verb_find(const char *name);

#define CLI_ROWS_MAX 32
/* rows.c */

/** cli_rows() - the option table of a verb, ending with zeros */
void cli_rows(const struct cli_verb *verb, struct cli_args *a,
	      struct option_row rows[static CLI_ROWS_MAX]);
/** cli_request() - the request for the library, new reference */
json_t *cli_request(const struct cli_verb *verb, const struct cli_args *a);

/* extern.c */

/** struct cli_extern - a verb that is a program of its own */
struct cli_extern {
	const char *name, *program, *what;
};
extern const struct cli_extern cli_externs[];
/** cli_extern_run() - become that program with @argv, from the verb on; returns when there is none
 */
enum cli_exit cli_extern_run(const struct cli_extern *e, char **argv);

/* print.c, print_look.c */

/** print_clean() - make texts safe for a terminal: what a target, a process or a disk says of
 * itself may hold control characters
 */
void print_clean(json_t *answer);
void print_discover(const json_t *answer);
void print_list(const json_t *answer);
void print_install(const json_t *answer);
void print_attach(const json_t *answer);
void print_detach(const json_t *answer);
void print_update(const json_t *answer);
void print_uninstall(const json_t *answer);
void print_status(const json_t *answer);
void print_recover(const json_t *answer);
/** print_steps() - of --dry-run */
void print_steps(const json_t *answer);

/* table.c: columns as wide as their content */

struct table;
struct table *table_create(size_t columns, const char *const *heads);
/** table_add() - one row; NULL cells are empty */
void table_add(struct table *t, const char *const *cells);
void table_print(const struct table *t);
void table_destroy(struct table *t);

/* progress.c */

/** progress_start() - lines on standard error, where that is a terminal, for what takes over 1 s */
void progress_start(struct cyborg_spdk *h);
/** progress_end() - leave the line clean */
void progress_end(void);

#endif
