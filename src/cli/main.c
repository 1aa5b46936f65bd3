/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cyborg-spdk: the command line.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "base/utf8.h"
#include "base/version.h"
#include "cli/cli.h"

#define PROGRAM "cyborg-spdk"

enum cli_exit cli_exit_of(int rc)
{
	switch (-rc) {
	case 0:
		return CLI_EXIT_OK;
	case EINVAL:
		return CLI_EXIT_USAGE;
	case EBUSY:
	case EEXIST:
	case ENOTEMPTY:
	case EOPNOTSUPP:
	case EPERM:
	case ENOSPC:
		return CLI_EXIT_REFUSED;
	case ENOENT:
		return CLI_EXIT_NOT_FOUND;
	case EHOSTDOWN:
	case ETIMEDOUT:
	case ECONNRESET:
	case EBADMSG:
	case EMSGSIZE:
	case EREMOTEIO:
	case ENOSYS:
	case EPROTO:
		return CLI_EXIT_TARGET;
	case EAGAIN:
		return CLI_EXIT_LOCKED;
	case ECANCELED:
		return CLI_EXIT_ROLLED_BACK;
	default:
		return CLI_EXIT_FAILURE;
	}
}

static void overview(FILE *f)
{
	fputs("usage: cyborg-spdk VERB [options]\n\n"
	      "Storage acceleration for instances, on top of an SPDK target.\n\n",
	      f);
	for (const struct cli_verb *v = cli_verbs; v->name; v++)
		fprintf(f, "  %-10s %s\n", v->name, v->what);
	for (const struct cli_extern *e = cli_externs; e->name; e++)
		fprintf(f, "  %-10s %s\n", e->name, e->what);
	fputs("\n`cyborg-spdk VERB --help` tells the options of a verb; all take --json and "
	      "--state-dir DIR.\n"
	      "The blueprint's names are taken too:",
	      f);
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		if (v->alias)
			fprintf(f, " %s", v->alias);
	}
	fputs(".\n", f);
}

static void verb_help(const struct cli_verb *v, const struct option_row *rows)
{
	printf("usage: cyborg-spdk %s %s [options]\n\n%s.\n\n%s\n\n", v->name, v->words, v->what,
	       v->text);
	options_help(stdout, rows);
}

static enum cli_exit complain(bool as_json, int rc, const char *message)
{
	json_t *o;

	fprintf(stderr, PROGRAM ": %s\n", message);
	if (as_json) {
		o = json_pack("{s:{s:i, s:s, s:s}}", "error", "code", rc, "name",
			      strerrorname_np(-rc) ? strerrorname_np(-rc) : "", "message", message);
		json_dumpf(o, stdout, JSON_INDENT(2));
		puts("");
		json_decref(o);
	}
	return cli_exit_of(rc);
}

static enum cli_exit show(const struct cli_verb *v, const struct cli_args *a, const char *text)
{
	bool tells_health = v->call == cyborg_spdk_status || v->call == cyborg_spdk_recover;
	/* A large answer is not read again only to be printed as it came. */
	json_t *answer = a->json && !tells_health ? NULL : json_loads(text, 0, NULL);
	const char *health = json_string_value(json_object_get(answer, "health"));
	enum cli_exit code = tells_health && health && strcmp(health, "ok") != 0
				     ? CLI_EXIT_UNHEALTHY
				     : CLI_EXIT_OK;

	/* This gives back the texts of the answer. */
	if (!a->json)
		print_clean(answer);
	if (a->json)
		puts(text);
	else if (a->dry_run && v->call != cyborg_spdk_recover)
		print_steps(answer);
	else
		v->print(answer);
	json_decref(answer);
	return code;
}

static enum cli_exit run(const struct cli_verb *v, const struct cli_args *a)
{
	json_t *request = cli_request(v, a);
	char *text = json_dumps(request, 0), *answer = NULL;
	struct cyborg_spdk *h = NULL;
	enum cli_exit code;
	int rc = text ? cyborg_spdk_open(a->state_dir, &h) : -ENOMEM;

	if (rc == 0) {
		progress_start(h);
		rc = v->call(h, text, &answer);
		progress_end();
	}
	if (rc < 0)
		code = complain(a->json, rc, text ? cyborg_spdk_error(h) : "out of memory");
	else
		code = show(v, a, answer);
	cyborg_spdk_free(answer);
	cyborg_spdk_close(h);
	free(text);
	json_decref(request);
	return code;
}

/* Also for a command line that is wrong before its --json. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j"))
			return true;
	}
	return false;
}

/* What JSON cannot hold would be left out of the request, as if it had not been asked for. */
static int check_words(int argc, char **argv, struct error *err)
{
	for (int i = 1; i < argc; i++) {
		if (!utf8_is_valid(argv[i]))
			return error_set(err, -EINVAL, "the word \"%.200s\" is not UTF-8", argv[i]);
	}
	return 0;
}

static enum cli_exit verb_main(const struct cli_verb *v, int argc, char **argv)
{
	struct cli_args a = { .wait_ns = UINT64_MAX };
	bool as_json = wants_json(argc, argv);
	struct option_row rows[CLI_ROWS_MAX];
	struct error err = ERROR_INIT;
	enum cli_exit code;
	int words;

	cli_rows(v, &a, rows);
	words = check_words(argc, argv, &err);
	if (words == 0)
		words = options_parse(argc, argv, rows, false, &err);
	if (words >= 0 && !a.help && !a.version)
		words = v->take(&a, words, argv + 1, &err);
	if (words < 0)
		code = complain(as_json, err.code, err.text);
	else if (a.help)
		verb_help(v, rows), code = CLI_EXIT_OK;
	else if (a.version)
		version_print(PROGRAM), code = CLI_EXIT_OK;
	else
		code = run(v, &a);
	options_strings_free(&a.arguments);
	free(a.bind.items);
	free(a.paths.items);
	return code;
}

/* What was done is done; who asked has to know that the answer is not whole. */
static int finish(enum cli_exit code)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return (int)code;
	fprintf(stderr, PROGRAM ": the answer cannot be written to standard output: %s\n",
		errno ? strerror(errno) : "a write failed");
	return code == CLI_EXIT_OK ? CLI_EXIT_FAILURE : (int)code;
}

int main(int argc, char **argv)
{
	const struct cli_verb *v;
	const char *word = argc > 1 ? argv[1] : "--help";
	struct error err = ERROR_INIT;

	process_begin();
	if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
		version_print(PROGRAM);
		return finish(CLI_EXIT_OK);
	}
	if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
		overview(argc > 1 ? stdout : stderr);
		return finish(argc > 1 ? CLI_EXIT_OK : CLI_EXIT_USAGE);
	}
	for (const struct cli_extern *e = cli_externs; e->name; e++) {
		if (!strcmp(word, e->name))
			return (int)cli_extern_run(e, argv + 1);
	}
	v = cli_verb_find(word);
	if (!v) {
		error_set(&err, -EINVAL, "verb \"%.50s\" is not known; --help lists all", word);
		return finish(complain(wants_json(argc, argv), err.code, err.text));
	}
	return finish(verb_main(v, argc - 1, argv + 1));
}
