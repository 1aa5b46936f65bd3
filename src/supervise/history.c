/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often the target was started again, and why: a small JSON file that outlives the supervisor,
 * so that who asks later learns of crashes and of boots of the node.
 *
 * Threading: one thread.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "supervise/supervise.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static void read_boot(char *out, size_t size)
{
	FILE *f = fopen(BOOT_ID, "re");

	out[0] = '\0';
	if (f && !fgets(out, (int)size, f))
		out[0] = '\0';
	if (f)
		fclose(f);
	out[strcspn(out, "\n")] = '\0';
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

/* What cannot be written is lost: a full disk is no reason to stop. */
static void write_file(const struct history *h, const char *state)
{
	char tmp[PATH_MAX + 8];
	json_t *o;
	int fd;

	if (!h->path)
		return;
	o = json_pack("{s:s, s:s, s:I, s:b, s:s, s:I}", "boot", h->boot, "state", state, "restarts",
		      (json_int_t)h->restarts, "after_boot", h->after_boot, "last_end", h->end,
		      "last_end_at", (json_int_t)h->end_at);
	snprintf(tmp, sizeof(tmp), "%s.new", h->path);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0 && json_dumpfd(o, fd, JSON_COMPACT) == 0)
		rename(tmp, h->path);
	if (fd >= 0)
		close(fd);
	json_decref(o);
}

void history_open(struct history *h, const char *path)
{
	json_t *o = path ? json_load_file(path, 0, NULL) : NULL;

	memset(h, 0, sizeof(*h));
	h->path = path;
	read_boot(h->boot, sizeof(h->boot));
	h->after_boot = o && strcmp(text_of(o, "boot"), h->boot) != 0;
	if (o && !h->after_boot && strcmp(text_of(o, "state"), "stopped") != 0) {
		h->restarts = (uint64_t)json_integer_value(json_object_get(o, "restarts")) + 1;
		snprintf(h->end, sizeof(h->end), "lost its supervisor");
		h->end_at = time(NULL);
	}
	json_decref(o);
}

void history_started(const struct history *h)
{
	write_file(h, "running");
}

void history_ended(struct history *h, const char *how)
{
	h->restarts++;
	snprintf(h->end, sizeof(h->end), "%s", how);
	h->end_at = time(NULL);
	write_file(h, "down");
}

void history_stopped(const struct history *h)
{
	write_file(h, "stopped");
}
