/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs: their words and options, and the request made from them.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"

#define SIZE_MAX_BYTES (UINT64_C(1) << 60)
#define WAIT_MAX_NS    (24 * 3600 * NS_PER_SEC)

static int too_many(const char *word, struct error *err)
{
	return error_set(err, -EINVAL, "the word \"%.100s\" is one too many", word);
}

/* ID [TYPE] */
static int take_id_type(struct cli_args *a, int count, char **words, struct error *err)
{
	if (count > 0)
		a->id = words[0];
	if (count > 1)
		a->type = words[1];
	return count > 2 ? too_many(words[2], err) : 0;
}

static int take_id(struct cli_args *a, int count, char **words, struct error *err)
{
	if (count > 0)
		a->id = words[0];
	return count > 1 ? too_many(words[1], err) : 0;
}

static int take_instance(struct cli_args *a, int count, char **words, struct error *err)
{
	if (count > 0 && a->instance)
		return error_set(err, -EINVAL,
				 "the instance is given twice: \"%.100s\" and --instance",
				 words[0]);
	if (count > 0)
		a->instance = words[0];
	return count > 1 ? too_many(words[1], err) : 0;
}

static int take_type(struct cli_args *a, int count, char **words, struct error *err)
{
	if (count > 0)
		a->type = words[0];
	return count > 1 ? too_many(words[1], err) : 0;
}

/* The blueprint's driver-list names a type; a scenario may stand there too; all else is a path. */
static int take_list(struct cli_args *a, int count, char **words, struct error *err)
{
	for (int i = 0; i < count; i++) {
		const char **more;

		if (!strcmp(words[i], "nvmf") || !strcmp(words[i], "vhost")) {
			a->type = words[i];
			continue;
		}
		if (!strcmp(words[i], "blobstore") || !strcmp(words[i], "ceph")) {
			a->scenario = words[i];
			continue;
		}
		more = realloc(a->paths.items, (a->paths.count + 1) * sizeof(*more));
		if (!more)
			return error_set(err, -ENOMEM, "out of memory");
		a->paths.items = more;
		more[a->paths.count++] = words[i];
	}
	return 0;
}

const struct cli_verb cli_verbs[] = {
	{ "discover", "discover-driver", "[TYPE]",
	  "show the node, its devices, SPDK kits and running targets",
	  "Changes nothing. Devices of other users need root to be judged.", "", take_type,
	  cyborg_spdk_discover, print_discover },
	{ "list", "driver-list", "[SCENARIO] [FILE|DEVICE...]",
	  "rank the candidates for a scenario, with yes or no and why",
	  "SCENARIO is blobstore (default) or ceph. Files and devices that are named are judged\n"
	  "too; the serial that is shown is what `install --force` wants to hear. Changes nothing.",
	  "S", take_list, cyborg_spdk_list, print_list },
	{ "install", "install-driver", "ID [TYPE]",
	  "start a supervised target on a file, a device or memory",
	  "ID names the accelerator from now on. The backing must be unused and empty; --size "
	  "makes\n"
	  "a new file. Data found on it stays and is what an instance will see, so it is refused\n"
	  "unless its serial is named. TYPE is nvmf.",
	  "bzmtFagGBy", take_id_type, cyborg_spdk_install, print_install },
	{ "attach", "attach-instance", "[INSTANCE]",
	  "export an accelerator to an instance and prove the data path",
	  "Only the host with that NQN may connect. The same call again gives the same answer.",
	  "ihcluz", take_instance, cyborg_spdk_attach, print_attach },
	{ "detach", "detach-instance", "[INSTANCE]", "take an export back",
	  "Waits until the host has disconnected.", "iwf", take_instance, cyborg_spdk_detach,
	  print_detach },
	{ "update", "update-driver", "[ID [TYPE]]",
	  "replace the running target by another build of it",
	  "Every export comes back with the same NQN, NSID, UUID, serial and model, proved by\n"
	  "connecting as its host; otherwise the old build does. The stall of I/O is told.",
	  "tagGv", take_id_type, cyborg_spdk_update, print_update },
	{ "uninstall", "uninstall-driver", "ID [TYPE]",
	  "stop the target and remove what install made", "Refused while an instance is attached.",
	  "k", take_id_type, cyborg_spdk_uninstall, print_uninstall },
	{ "status", NULL, "[ID]", "show the health of each piece, and what is not as recorded",
	  "Changes nothing. The exit code is 8 when something is degraded or down.", "", take_id,
	  cyborg_spdk_status, print_status },
	{ "recover", NULL, "[ID]", "bring back what is not as recorded",
	  "Completes or undoes interrupted verbs, starts targets that are down, and brings back "
	  "every\n"
	  "attachment. The exit code is 8 when something could not be brought back.",
	  "", take_id, cyborg_spdk_recover, print_recover },
	{ 0 },
};

const struct cli_verb *cli_verb_find(const char *name)
{
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		if (!strcmp(v->name, name) || (v->alias && !strcmp(v->alias, name)))
			return v;
	}
	return NULL;
}

/* The rows of all verbs; the character says in cli_verb.options who has which. */
static size_t all_rows(struct cli_args *a, struct option_row rows[static 32], char *keys)
{
	const struct {
		char key;
		struct option_row row;
	} all[] = {
		{ 'S',
		  { "scenario", 0, OPTION_STRING, "NAME", "blobstore (default) or ceph",
		    &a->scenario, 0, 0, NULL, NULL } },
		{ 'b',
		  { "backing", 'b', OPTION_STRING, "PATH", "file or block device to serve",
		    &a->backing, 0, 0, NULL, NULL } },
		{ 'z',
		  { "size", 's', OPTION_SIZE, "SIZE",
		    "size of a file to be made; of an attachment: the accelerator's", &a->size, 1,
		    SIZE_MAX_BYTES, NULL, NULL } },
		{ 'm',
		  { "memory", 'm', OPTION_SIZE, "SIZE", "serve memory; its content does not last",
		    &a->memory, 1, SIZE_MAX_BYTES, NULL, NULL } },
		{ 't',
		  { "target", 't', OPTION_STRING, "PATH",
		    "target program (default: the newest stable one)", &a->target, 0, 0, NULL,
		    NULL } },
		{ 'F',
		  { "force", 0, OPTION_STRING, "SERIAL",
		    "use a backing that holds data; its serial proves that it is meant",
		    &a->force_serial, 0, 0, NULL, NULL } },
		{ 'g',
		  { "hugepages", 0, OPTION_SIZE, "SIZE",
		    "hugepages of a target that takes them, reserved if too few are free "
		    "(default 1G)",
		    &a->hugepages, 1, SIZE_MAX_BYTES, NULL, NULL } },
		{ 'G',
		  { "no-huge", 0, OPTION_FLAG, NULL, "give that target ordinary memory",
		    &a->no_huge, 0, 0, NULL, NULL } },
		{ 'B',
		  { "bind", 0, OPTION_STRINGS, "PCI-ADDRESS",
		    "give this NVMe function to vfio-pci until uninstall; may be repeated",
		    &a->bind, 0, 0, NULL, NULL } },
		{ 'a',
		  { "target-argument", 0, OPTION_STRINGS, "ARG",
		    "further argument of the target; may be repeated", &a->arguments, 0, 0, NULL,
		    NULL } },
		{ 'y',
		  { "type", 0, OPTION_STRING, "TYPE", "nvmf (default)", &a->type, 0, 0, NULL,
		    NULL } },
		{ 'i',
		  { "instance", 'i', OPTION_STRING, "ID", "the instance", &a->instance, 0, 0, NULL,
		    NULL } },
		{ 'h',
		  { "host", 'H', OPTION_STRING, "NQN", "the only host that may connect (required)",
		    &a->host, 0, 0, NULL, NULL } },
		{ 'c',
		  { "accelerator", 'a', OPTION_STRING, "ID",
		    "which accelerator (default: the only free one)", &a->accelerator, 0, 0, NULL,
		    NULL } },
		{ 'l',
		  { "listen", 'l', OPTION_STRING, "ADDR[:PORT]",
		    "where the host connects to (default: 127.0.0.1, first free port from 4420)",
		    &a->listen, 0, 0, NULL, NULL } },
		{ 'w',
		  { "wait", 'w', OPTION_SECONDS, "TIME",
		    "how long to wait for the host to disconnect (default 30s)", &a->wait_ns, 0,
		    WAIT_MAX_NS, NULL, NULL } },
		{ 'f',
		  { "force", 'f', OPTION_FLAG, NULL, "do not wait for the host to disconnect",
		    &a->force, 0, 0, NULL, NULL } },
		{ 'v',
		  { "lose-volatile", 0, OPTION_FLAG, NULL, "the content of memory may be lost",
		    &a->lose_volatile, 0, 0, NULL, NULL } },
		{ 'k',
		  { "keep-backing", 0, OPTION_FLAG, NULL, "a file that install made stays",
		    &a->keep_backing, 0, 0, NULL, NULL } },
	};
	size_t n = sizeof(all) / sizeof(all[0]);

	for (size_t i = 0; i < n; i++) {
		rows[i] = all[i].row;
		keys[i] = all[i].key;
	}
	return n;
}

static bool changes(const struct cli_verb *verb)
{
	return verb->call != cyborg_spdk_discover && verb->call != cyborg_spdk_list &&
	       verb->call != cyborg_spdk_status;
}

void cli_rows(const struct cli_verb *verb, struct cli_args *a,
	      struct option_row rows[static CLI_ROWS_MAX])
{
	const struct option_row common[] = {
		{ "json", 'j', OPTION_FLAG, NULL, "answer in JSON", &a->json, 0, 0, NULL, NULL },
		{ "state-dir", 0, OPTION_STRING, "DIR", "state directory", &a->state_dir, 0, 0,
		  NULL, NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "show this help", &a->help, 0, 0, NULL, NULL },
		{ "version", 'V', OPTION_FLAG, NULL, "show release and commit", &a->version, 0, 0,
		  NULL, NULL },
	};
	struct option_row all[32];
	char keys[32];
	size_t count = all_rows(a, all, keys), n = 0;

	memset(rows, 0, CLI_ROWS_MAX * sizeof(*rows));
	for (const char *key = verb->options; *key; key++) {
		for (size_t i = 0; i < count; i++) {
			if (keys[i] == *key)
				rows[n++] = all[i];
		}
	}
	if (changes(verb))
		rows[n++] = (struct option_row){
			"dry-run",   'n', OPTION_FLAG, NULL, "show the steps, change nothing",
			&a->dry_run, 0,	  0,	       NULL, NULL
		};
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		rows[n++] = common[i];
}

static void set_text(json_t *o, const char *name, const char *text)
{
	if (text)
		json_object_set_new(o, name, json_string(text));
}

static void set_number(json_t *o, const char *name, uint64_t value, uint64_t unset)
{
	if (value != unset)
		json_object_set_new(o, name, json_integer((json_int_t)value));
}

static void set_flag(json_t *o, const char *name, bool value)
{
	if (value)
		json_object_set_new(o, name, json_true());
}

static void set_texts(json_t *o, const char *name, const struct option_strings *s)
{
	json_t *list;

	if (!s->count)
		return;
	list = json_array();
	for (size_t i = 0; i < s->count; i++)
		json_array_append_new(list, json_string(s->items[i]));
	json_object_set_new(o, name, list);
}

json_t *cli_request(const struct cli_verb *verb, const struct cli_args *a)
{
	json_t *o = json_object();

	(void)verb;
	set_text(o, "id", a->id);
	set_text(o, "type", a->type);
	set_text(o, "backing", a->backing);
	set_text(o, "target", a->target);
	set_text(o, "force", a->force_serial);
	set_text(o, "instance", a->instance);
	set_text(o, "host", a->host);
	set_text(o, "accelerator", a->accelerator);
	set_text(o, "listen", a->listen);
	set_text(o, "scenario", a->scenario);
	set_number(o, "size", a->size, 0);
	set_number(o, "memory", a->memory, 0);
	set_number(o, "wait_ns", a->wait_ns, UINT64_MAX);
	set_flag(o, "force", a->force);
	set_flag(o, "lose_volatile", a->lose_volatile);
	set_flag(o, "keep_backing", a->keep_backing);
	set_flag(o, "dry_run", a->dry_run);
	set_number(o, "hugepages", a->hugepages, 0);
	set_flag(o, "no_huge", a->no_huge);
	set_texts(o, "bind", &a->bind);
	set_texts(o, "arguments", &a->arguments);
	set_texts(o, "paths", &a->paths);
	return o;
}
