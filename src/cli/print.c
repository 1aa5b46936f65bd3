/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers for a person.
 *
 * Threading: one thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/print.h"

const char *size_text(int64_t bytes, char out[static SIZE_TEXT])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit < 5) {
		value /= 1024;
		unit++;
	}
	snprintf(out, SIZE_TEXT, value == (double)(int64_t)value ? "%.0f %s" : "%.1f %s", value,
		 units[unit]);
	return out;
}

/* Bytes of a control character at @s, of C0, DEL or C1 (U+0080 to U+009F); 0 when it is none. */
static size_t control_len(const unsigned char *s)
{
	if (s[0] < 0x20 || s[0] == 0x7f)
		return 1;
	return s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0 ? 2 : 0;
}

static void clean_string(json_t *v)
{
	char *copy = strdup(json_string_value(v)), *at = copy;

	while (at && *at) {
		size_t len = control_len((unsigned char *)at);

		memset(at, '?', len);
		at += len ? len : 1;
	}
	if (copy)
		json_string_set(v, copy);
	free(copy);
}

void print_clean(json_t *answer)
{
	const char *key;
	json_t *v;
	size_t i;

	if (json_is_string(answer))
		clean_string(answer);
	json_array_foreach (answer, i, v)
		print_clean(v);
	json_object_foreach (answer, key, v)
		print_clean(v);
}

void print_steps(const json_t *answer)
{
	json_t *s;
	size_t i;

	puts("nothing was changed; these steps would be taken:");
	json_array_foreach (json_object_get(answer, "steps"), i, s)
		printf("  %zu. %s\n", i + 1, text(s, "title"));
}

void print_install(const json_t *answer)
{
	const json_t *a = json_object_get(answer, "accelerator");
	char size[SIZE_TEXT];

	printf("accelerator %s is installed: %s on %s\n", text(a, "id"),
	       size_text(number(a, "size"), size),
	       text(a, "backing")[0] ? text(a, "backing") : "memory (its content does not last)");
	if (text(a, "store")[0])
		printf("  store       %s, %s, clusters of %s, %zu volumes\n", text(a, "store"),
		       flag(a, "store_made") ? "made" : "taken over",
		       size_text(number(a, "cluster_size"), size),
		       json_array_size(json_object_get(answer, "volumes")));
	printf("  target      %s (%s)\n", text(a, "target"), text(a, "version"));
	printf("  supervised  by %s\n", text(answer, "supervisor"));
	printf("  socket      %s\n  log         %s\n", text(answer, "socket"), text(answer, "log"));
}

static void print_limits(const json_t *qos)
{
	const char *name;
	json_t *value;
	bool first = true;

	json_object_foreach ((json_t *)qos, name, value) {
		if (json_integer_value(value) == 0)
			continue;
		printf("%s%s=%" JSON_INTEGER_FORMAT, first ? "  limits     " : ",", name,
		       json_integer_value(value));
		first = false;
	}
	if (!first)
		puts(" a second");
}

static void print_place(const json_t *a)
{
	bool keys = text(a, "dhchap_key")[0] || text(a, "psk")[0];

	if (text(a, "socket")[0])
		printf("  reached    vhost-user-blk, %s\n", text(a, "socket"));
	else
		printf("  reached    TCP, %s port %" PRId64 ", only by host %s%s\n",
		       text(a, "address"), number(a, "port"), text(a, "host"),
		       keys ? " with its keys" : "");
}

void print_attach(const json_t *answer)
{
	const json_t *a = json_object_get(answer, "attachment");
	bool vhost = text(a, "socket")[0];
	char size[SIZE_TEXT];

	printf("instance %s is attached to accelerator %s: %s%s\n", text(a, "instance"),
	       text(a, "accelerator"), size_text(number(a, "size"), size),
	       flag(a, "read_only") ? ", read-only" : "");
	if (text(a, "volume")[0])
		printf("  volume     %s (%s%s%s)\n", text(a, "volume"), text(a, "source"),
		       text(a, "origin")[0] ? " of " : "", text(a, "origin"));
	if (vhost)
		printf("  UUID       %s\n", text(a, "uuid"));
	else
		printf("  subsystem  %s\n  namespace  %" PRId64 ", UUID %s\n  serial     %s\n",
		       text(a, "nqn"), number(a, "nsid"), text(a, "uuid"), text(a, "serial"));
	print_limits(json_object_get(a, "qos"));
	print_place(a);
	printf("  proved     %s, %.1f ms\n",
	       vhost ? "opened it as a machine does and read its size and rights"
		     : "connected as that host and identified it",
	       (double)number(answer, "proof_ns") / 1e6);
	printf("%s:\n  %s\n", vhost ? "give to QEMU, whose memory must be shared" : "connect with",
	       text(answer, "command"));
}

void print_detach(const json_t *answer)
{
	const json_t *a = json_object_get(answer, "detached");

	printf("instance %s %s detached from accelerator %s\n", text(a, "instance"),
	       flag(answer, "already") ? "was already" : "is", text(a, "accelerator"));
	if (text(a, "volume")[0])
		printf("  volume     %s is %s%s\n", text(a, "volume"),
		       flag(answer, "wiped") ? "wiped and " : "", text(answer, "volume"));
}

void print_update(const json_t *answer)
{
	const json_t *a = json_object_get(answer, "accelerator");

	printf("accelerator %s is updated\n  from   %s (%s)\n  to     %s (%s)\n", text(a, "id"),
	       text(answer, "old_target"), text(answer, "old_version"), text(a, "target"),
	       text(a, "version"));
	printf("  stall  I/O stood still for at most %.0f ms\n",
	       (double)number(answer, "stall_ns") / 1e6);
}

void print_uninstall(const json_t *answer)
{
	const json_t *a = json_object_get(answer, "uninstalled");

	printf("accelerator %s %s uninstalled\n", text(a, "id"),
	       flag(answer, "already") ? "was already" : "is");
}

static const char *place_text(const json_t *o, char out[static 600])
{
	if (text(o, "socket")[0])
		snprintf(out, 600, "%s", text(o, "socket"));
	else
		snprintf(out, 600, "%s port %" PRId64 ", host %s", text(o, "address"),
			 number(o, "port"), text(o, "host"));
	return out;
}

static void print_history(const json_t *h)
{
	if (number(h, "restarts") > 0)
		printf("  restarts %" PRId64 ", the last because the target %s; replayed\n",
		       number(h, "restarts"), text(h, "last_end"));
	if (flag(h, "after_boot"))
		puts("  started again after a boot of the node");
}

static void print_accelerator_status(const json_t *a)
{
	json_t *list = json_object_get(a, "attachments"), *o;
	char size[SIZE_TEXT], place[600];
	size_t i;

	printf("%s: %s, %s on %s, target pid %" PRId64 " (%s)\n", text(a, "id"), text(a, "health"),
	       size_text(number(a, "size"), size),
	       text(a, "backing")[0] ? text(a, "backing") : "memory", number(a, "target_pid"),
	       text(a, "running_version")[0] ? text(a, "running_version") : text(a, "version"));
	print_history(json_object_get(a, "history"));
	json_array_foreach (list, i, o)
		printf("  instance %s: %s%s%s\n", text(o, "instance"),
		       text(o, "volume")[0] ? text(o, "volume") : "whole",
		       flag(o, "read_only") ? " read-only, " : ", ", place_text(o, place));
	json_array_foreach (json_object_get(a, "drift"), i, o)
		printf("  ! %s\n", json_string_value(o));
}

void print_status(const json_t *answer)
{
	json_t *list = json_object_get(answer, "accelerators"), *a;
	const json_t *interrupted = json_object_get(answer, "interrupted");
	size_t i;

	if (json_array_size(list) == 0)
		printf("no accelerator is installed (state directory %s)\n",
		       text(answer, "state_dir"));
	json_array_foreach (list, i, a)
		print_accelerator_status(a);
	if (text(answer, "state_error")[0])
		printf("! nothing can be changed: %s\n", text(answer, "state_error"));
	if (interrupted)
		printf("! %s of %s was interrupted: the next verb completes or undoes it\n",
		       text(interrupted, "verb"), text(interrupted, "object"));
}

void print_recover(const json_t *answer)
{
	json_t *list = json_object_get(answer, "accelerators"), *a;
	size_t i;

	json_array_foreach (json_object_get(answer, "finished"), i, a)
		printf("%s of %s was interrupted: %s\n", text(a, "verb"), text(a, "object"),
		       !strcmp(text(a, "outcome"), "done") ? "completed" : "undone");
	if (json_array_size(list) == 0)
		printf("no accelerator is installed (state directory %s)\n",
		       text(answer, "state_dir"));
	json_array_foreach (list, i, a) {
		const char *reason = json_string_value(json_object_get(a, "reason"));

		printf("%s: %s%s%s\n", text(a, "id"), text(a, "outcome"), reason ? ": " : "",
		       reason ? reason : "");
	}
}
