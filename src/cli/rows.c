/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of the verbs, and the request made from them.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"

#define SIZE_MAX_BYTES (UINT64_C(1) << 60)
#define WAIT_MAX_NS    (24 * 3600 * NS_PER_SEC)
#define ALL_ROWS_MAX   64

static const char *const limits[CLI_LIMITS] = { "rw_ios", "rw_mb", "r_mb", "w_mb" };

static int take_limit(struct cli_args *a, const char *word, struct error *err)
{
	const char *equals = strchr(word, '=');

	for (size_t i = 0; equals && i < CLI_LIMITS; i++) {
		size_t len = strlen(limits[i]);

		if (len == (size_t)(equals - word) && !strncmp(word, limits[i], len) &&
		    parse_u64(equals + 1, &a->qos[i]) == 0 && a->qos[i] <= INT64_MAX)
			return 0;
	}
	return error_set(err, -EINVAL,
			 "limit \"%.60s\": write rw_ios=N, rw_mb=N, r_mb=N or w_mb=N, with commas "
			 "between them",
			 word);
}

static int take_qos(const char *value, void *arg, struct error *err)
{
	char copy[256], *save, *word;
	int rc = 0;

	if (strlen(value) >= sizeof(copy))
		return error_set(err, -EINVAL, "limits \"%.60s...\" are too long", value);
	snprintf(copy, sizeof(copy), "%s", value);
	word = strtok_r(copy, ",", &save);
	if (!word)
		return take_limit(arg, value, err);
	for (; word && rc == 0; word = strtok_r(NULL, ",", &save))
		rc = take_limit(arg, word, err);
	return rc;
}

/* The rows of all verbs; the character says in cli_verb.options who has which. */
static size_t all_rows(struct cli_args *a, struct option_row rows[static ALL_ROWS_MAX], char *keys)
{
	const struct {
		char key;
		struct option_row row;
	} all[] = {
		{ 'S',
		  { "scenario", 0, OPTION_STRING, "NAME", "blobstore (default) or ceph",
		    &a->scenario, 0, 0, NULL, NULL } },
		{ 'b',
		  { "backing", 'b', OPTION_STRING, "PATH",
		    "file, block device or NVMe function (0000:01:00.0[/NSID]) to serve",
		    &a->backing, 0, 0, NULL, NULL } },
		{ 'z',
		  { "size", 's', OPTION_SIZE, "SIZE",
		    "size of a file, or of a volume, that is to be made", &a->size, 1,
		    SIZE_MAX_BYTES, NULL, NULL } },
		{ 'R',
		  { "scenario", 0, OPTION_STRING, "NAME", "whole (default), blobstore, ceph",
		    &a->scenario, 0, 0, NULL, NULL } },
		{ 'o',
		  { "store", 0, OPTION_STRING, "NAME",
		    "scenario blobstore with a store of that name (default: the id)", &a->store, 0,
		    0, NULL, NULL } },
		{ 'u',
		  { "cluster-size", 0, OPTION_SIZE, "SIZE",
		    "clusters of a store to be made (default: the target's, 4M)", &a->cluster_size,
		    1, UINT32_MAX, NULL, NULL } },
		{ 'e',
		  { "clear-method", 0, OPTION_STRING, "HOW",
		    "how a store's space is cleared: unmap (default), write_zeroes, none",
		    &a->clear_method, 0, 0, NULL, NULL } },
		{ 'E',
		  { "ceph-config", 0, OPTION_STRING, "FILE",
		    "of the cluster (default /etc/ceph/ceph.conf)", &a->ceph_config, 0, 0, NULL,
		    NULL } },
		{ 'U',
		  { "ceph-user", 0, OPTION_STRING, "NAME", "who asks the cluster (default admin)",
		    &a->ceph_user, 0, 0, NULL, NULL } },
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
		{ 'Z',
		  { "socket-dir", 0, OPTION_STRING, "DIR",
		    "the target has a folder for vhost-user sockets below this one", &a->socket_dir,
		    0, 0, NULL, NULL } },
		{ 'O',
		  { "socket-group", 0, OPTION_STRING, "GROUP",
		    "whose members may open them (default folder: /run/cyborg-spdk)",
		    &a->socket_group, 0, 0, NULL, NULL } },
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
		  { "host", 'H', OPTION_STRING, "NQN",
		    "the only host that may connect (required for tcp)", &a->host, 0, 0, NULL,
		    NULL } },
		{ 'c',
		  { "accelerator", 'a', OPTION_STRING, "ID",
		    "which accelerator (default: the only one that suits)", &a->accelerator, 0, 0,
		    NULL, NULL } },
		{ 'l',
		  { "listen", 'l', OPTION_STRING, "ADDR[:PORT]",
		    "where the host connects to (default: 127.0.0.1, first free port from 4420)",
		    &a->listen, 0, 0, NULL, NULL } },
		{ 'V',
		  { "volume", 0, OPTION_STRING, "NAME",
		    "a volume of the store; with --size or --clone the new one's name", &a->volume,
		    0, 0, NULL, NULL } },
		{ 'C',
		  { "clone", 0, OPTION_STRING, "SNAPSHOT", "a new volume, a clone of that snapshot",
		    &a->clone, 0, 0, NULL, NULL } },
		{ 'I',
		  { "rbd", 0, OPTION_STRING, "POOL/IMAGE", "an image of the Ceph cluster", &a->rbd,
		    0, 0, NULL, NULL } },
		{ 'T',
		  { "thick", 0, OPTION_FLAG, NULL, "the new volume gets all its space now",
		    &a->thick, 0, 0, NULL, NULL } },
		{ 'r',
		  { "read-only", 0, OPTION_FLAG, NULL, "the host may not write", &a->read_only, 0,
		    0, NULL, NULL } },
		{ 'q',
		  { "qos", 0, OPTION_CALL, "LIMITS",
		    "rw_ios=N,rw_mb=N,r_mb=N,w_mb=N a second, as many as matter (mb: MiB)", NULL, 0,
		    0, take_qos, a } },
		{ 'p',
		  { "transport", 0, OPTION_STRING, "NAME", "tcp (default) or vhost-user-blk",
		    &a->transport, 0, 0, NULL, NULL } },
		{ 'd',
		  { "dhchap-key", 0, OPTION_STRING, "FILE",
		    "DH-HMAC-CHAP key of the host (mode 0600)", &a->dhchap_key, 0, 0, NULL,
		    NULL } },
		{ 'D',
		  { "dhchap-ctrlr-key", 0, OPTION_STRING, "FILE",
		    "the target proves itself to the host with this key", &a->dhchap_ctrlr_key, 0,
		    0, NULL, NULL } },
		{ 'P',
		  { "psk", 0, OPTION_STRING, "FILE", "TLS with this pre-shared key", &a->psk, 0, 0,
		    NULL, NULL } },
		{ 'K',
		  { "keep", 0, OPTION_FLAG, NULL, "keep the volume in any case", &a->keep, 0, 0,
		    NULL, NULL } },
		{ 'x',
		  { "delete", 0, OPTION_FLAG, NULL, "delete the volume; its data is lost",
		    &a->delete, 0, 0, NULL, NULL } },
		{ 'W',
		  { "wipe", 0, OPTION_FLAG, NULL,
		    "write zeroes to all of it first, then delete the volume", &a->wipe, 0, 0, NULL,
		    NULL } },
		{ 'X',
		  { "wipe", 0, OPTION_FLAG, NULL, "write zeroes to all of the backing", &a->wipe, 0,
		    0, NULL, NULL } },
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
	struct option_row all[ALL_ROWS_MAX];
	char keys[ALL_ROWS_MAX];
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

static void set_qos(json_t *o, const struct cli_args *a)
{
	json_t *qos = json_object();

	for (size_t i = 0; i < CLI_LIMITS; i++)
		set_number(qos, limits[i], a->qos[i], 0);
	if (json_object_size(qos) > 0)
		json_object_set(o, "qos", qos);
	json_decref(qos);
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
	set_text(o, "store", a->store);
	set_text(o, "clear_method", a->clear_method);
	set_text(o, "ceph_config", a->ceph_config);
	set_text(o, "ceph_user", a->ceph_user);
	set_text(o, "volume", a->volume);
	set_text(o, "clone", a->clone);
	set_text(o, "rbd", a->rbd);
	set_text(o, "transport", a->transport);
	set_text(o, "dhchap_key", a->dhchap_key);
	set_text(o, "dhchap_ctrlr_key", a->dhchap_ctrlr_key);
	set_text(o, "psk", a->psk);
	set_number(o, "cluster_size", a->cluster_size, 0);
	set_flag(o, "thick", a->thick);
	set_flag(o, "read_only", a->read_only);
	set_flag(o, "keep", a->keep);
	set_flag(o, "delete", a->delete);
	set_flag(o, "wipe", a->wipe);
	set_qos(o, a);
	set_number(o, "size", a->size, 0);
	set_number(o, "memory", a->memory, 0);
	set_number(o, "wait_ns", a->wait_ns, UINT64_MAX);
	set_flag(o, "force", a->force);
	set_flag(o, "lose_volatile", a->lose_volatile);
	set_flag(o, "keep_backing", a->keep_backing);
	set_flag(o, "dry_run", a->dry_run);
	set_number(o, "hugepages", a->hugepages, 0);
	set_flag(o, "no_huge", a->no_huge);
	set_text(o, "socket_dir", a->socket_dir);
	set_text(o, "socket_group", a->socket_group);
	set_texts(o, "bind", &a->bind);
	set_texts(o, "arguments", &a->arguments);
	set_texts(o, "paths", &a->paths);
	return o;
}
