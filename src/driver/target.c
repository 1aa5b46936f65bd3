/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target of an accelerator: its files, its process, its connection.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/function.h"

#define RESTARTS_MAX 3
#define END_NS	     (1 * NS_PER_SEC)
#define LOG_TAIL     16384

/* Of the lines of a target's log. */
#define ERROR_MARK	"*ERROR*: "
#define SUPERVISOR_MARK "] supervise: "

static int join(char *out, const char *dir, const char *name, struct error *err)
{
	if (snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX)
		return 0;
	return error_set(err, -ENAMETOOLONG, "path %.100s.../%s is too long", dir, name);
}

int target_paths(const struct driver *d, const char *id, struct target_paths *out,
		 struct error *err)
{
	char sub[STATE_ID_SIZE + 16];
	int rc;

	snprintf(sub, sizeof(sub), "targets/%s", id);
	rc = join(out->dir, d->dir, sub, err);
	if (rc == 0)
		rc = join(out->sock, out->dir, "rpc.sock", err);
	if (rc == 0)
		rc = join(out->config, out->dir, "config.json", err);
	if (rc == 0)
		rc = join(out->log, out->dir, "target.log", err);
	if (rc == 0)
		rc = join(out->pidfile, out->dir, "pid", err);
	if (rc == 0)
		rc = join(out->history, out->dir, "history.json", err);
	if (rc == 0 && strlen(out->sock) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		rc = error_set(
			err, -EINVAL,
			"socket path %s has %zu bytes; a UNIX socket's has at most 107: use a "
			"shorter --state-dir or id",
			out->sock, strlen(out->sock));
	return rc;
}

void target_pids(const struct driver *d, const char *id, pid_t *supervisor, pid_t *target)
{
	struct target_paths p;
	char text[64];
	ssize_t n;
	int fd, a = 0, b = 0;

	*supervisor = *target = 0;
	if (target_paths(d, id, &p, NULL) < 0)
		return;
	fd = open(p.pidfile, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* The supervisor holds the lock as long as it lives; what a dead one wrote says nothing. */
	if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		n = pread(fd, text, sizeof(text) - 1, 0);
		text[n > 0 ? n : 0] = '\0';
		sscanf(text, "%d\n%d", &a, &b);
	}
	close(fd);
	*supervisor = a;
	*target = b;
}

json_t *target_history(const struct driver *d, const char *id)
{
	struct target_paths p;

	return target_paths(d, id, &p, NULL) == 0 ? json_load_file(p.history, 0, NULL) : NULL;
}

int target_make_folder(const struct driver *d, const char *dir, struct error *err)
{
	char targets[PATH_MAX + 16];

	snprintf(targets, sizeof(targets), "%s/targets", d->dir);
	if ((mkdir(targets, 0700) < 0 && errno != EEXIST) ||
	    (mkdir(dir, 0700) < 0 && errno != EEXIST))
		return error_set(err, -errno, "folder %s cannot be made: %s", dir,
				 error_errno_text(-errno));
	return 0;
}

int target_start(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct target_paths p;
	pid_t supervisor, target;
	int rc = target_paths(d, a->id, &p, err);

	if (rc == 0)
		rc = target_make_folder(d, p.dir, err);
	if (rc < 0)
		return rc;
	target_pids(d, a->id, &supervisor, &target);
	/* Also where the supervisor tries again and again to start one with it. */
	if (!supervisor || !target)
		rc = config_put_aside(p.config, err);
	if (rc < 0 || supervisor)
		return rc;
	if (is_function(a))
		rc = function_check_slot(d, a, err);
	if (rc == 0 && is_function(a))
		rc = function_hold_back(d, a, err);
	if (rc == 0)
		rc = env_ensure(d, a->id, err);
	return rc < 0 ? rc : service_start(d, a, &p, err);
}

int target_stop(struct driver *d, const struct accelerator *a, struct error *err)
{
	struct target_paths p;
	int rc = target_paths(d, a->id, &p, err);

	return rc < 0 ? rc : service_stop(d, a, &p, err);
}

/* The socket may listen before the saved configuration is replayed. */
static int wait_initialised(struct client *c, struct error *err)
{
	int rc = client_learn(c, err);

	if (rc == 0 && client_has(c, "framework_wait_init"))
		rc = client_wait(c, "framework_wait_init", NULL, NULL, err);
	return rc;
}

/* What a target before left takes connections for a moment, and then hangs up. */
static int check_listener(struct driver *d, const struct accelerator *a, const struct client *c,
			  struct error *err)
{
	pid_t supervisor, target;

	target_pids(d, a->id, &supervisor, &target);
	if (!client_is_stale(c, target))
		return 0;
	return error_set(err, -EHOSTDOWN, "no target answers at %s: who listened there has ended",
			 client_path(c));
}

int target_connect_within(struct driver *d, const struct accelerator *a, uint64_t timeout_ns,
			  struct client **out, struct error *err)
{
	struct target_paths p;
	int rc = target_paths(d, a->id, &p, err);

	*out = NULL;
	if (rc == 0)
		rc = client_connect(d->loop, p.sock, out, err);
	if (rc == 0 && timeout_ns)
		client_set_timeout(*out, timeout_ns);
	if (rc == 0)
		rc = check_listener(d, a, *out, err);
	if (rc == 0)
		rc = wait_initialised(*out, err);
	if (rc < 0) {
		client_destroy(*out);
		*out = NULL;
	}
	return rc;
}

int target_connect(struct driver *d, const struct accelerator *a, struct client **out,
		   struct error *err)
{
	return target_connect_within(d, a, 0, out, err);
}

static uint64_t restarts(const struct driver *d, const char *id)
{
	json_t *history = target_history(d, id);
	json_int_t n = json_integer_value(json_object_get(history, "restarts"));

	json_decref(history);
	return n > 0 ? (uint64_t)n : 0;
}

/* One error follows from another: the first since the last start. Of one that ended without, its
 * last line. */
static void telling_line(char *text, bool ended, char *out, size_t size)
{
	char *save, *line = strtok_r(text, "\n", &save);
	bool found = false;

	for (; line; line = strtok_r(NULL, "\n", &save)) {
		const char *mark = strstr(line, ERROR_MARK);

		if (strstr(line, SUPERVISOR_MARK "started ")) {
			found = false;
			out[0] = ended ? out[0] : '\0';
		} else if (mark && !found) {
			snprintf(out, size, "%s", mark + strlen(ERROR_MARK));
			found = true;
		} else if (ended && !found && !strstr(line, SUPERVISOR_MARK)) {
			snprintf(out, size, "%s", line);
		}
	}
}

static void last_words(const char *log, bool ended, char *out, size_t size)
{
	char *tail = malloc(LOG_TAIL + 1);
	FILE *f = fopen(log, "re");
	size_t n;

	out[0] = '\0';
	if (f && tail) {
		if (fseek(f, -(long)LOG_TAIL, SEEK_END) < 0)
			rewind(f);
		n = fread(tail, 1, LOG_TAIL, f);
		tail[n] = '\0';
		telling_line(tail, ended, out, size);
		error_clean_words(out);
	}
	if (f)
		fclose(f);
	free(tail);
}

/* The supervisor notes it a moment after the connection broke. */
static bool wait_end(struct driver *d, const char *id, uint64_t before, char *how, size_t size)
{
	uint64_t until = clock_ns() + END_NS;
	pid_t supervisor, target;
	json_t *history;

	how[0] = '\0';
	for (;;) {
		if (restarts(d, id) > before) {
			history = target_history(d, id);
			snprintf(how, size, "%s", view_text(history, "last_end"));
			json_decref(history);
			return how[0];
		}
		target_pids(d, id, &supervisor, &target);
		if (!supervisor || clock_ns() > until || loop_sleep(d->loop, 20 * NS_PER_MSEC) < 0)
			return false;
	}
}

int target_tell_end(struct driver *d, const struct accelerator *a, uint64_t before, bool keeps_log,
		    int rc, struct error *err)
{
	struct target_paths p;
	char how[96], said[256];
	bool ended;
	size_t at;

	if (!err || (rc != -EHOSTDOWN && rc != -ECONNRESET) || target_paths(d, a->id, &p, NULL) < 0)
		return rc;
	ended = wait_end(d, a->id, before, how, sizeof(how));
	if (ended)
		error_set(err, rc, "target %s %s while it started", a->target, how);
	last_words(p.log, ended, said, sizeof(said));
	at = strlen(err->text);
	if (said[0] && keeps_log)
		snprintf(err->text + at, sizeof(err->text) - at, "; its log (%s) says: %s", p.log,
			 said);
	else if (said[0])
		snprintf(err->text + at, sizeof(err->text) - at, "; its last words: %s", said);
	return rc;
}

/*
 * A supervisor that lives may be in a pause between two starts, and what closes the connection may
 * be the target before, on its way out: wait for that, unless it dies again and again.
 */
static int connect_patiently(struct driver *d, const struct accelerator *a, struct client **out,
			     struct error *err)
{
	uint64_t start = clock_ns(), before = restarts(d, a->id);
	int rc = target_connect(d, a, out, err);

	while (((rc == -EHOSTDOWN && clock_ns() - start < 10 * NS_PER_SEC) ||
		(rc == -ECONNRESET && clock_ns() - start < 2 * NS_PER_SEC)) &&
	       restarts(d, a->id) < before + RESTARTS_MAX) {
		rc = loop_sleep(d->loop, 20 * NS_PER_MSEC);
		if (rc == 0)
			rc = target_connect(d, a, out, err);
	}
	return rc < 0 ? target_tell_end(d, a, before, true, rc, err) : rc;
}

/* One that cannot be brought back keeps no other from it: status and its own verb tell why. */
static int restore(struct driver *d, const struct accelerator *a, struct client *c,
		   struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, a->id, &list, err);
	int rc = n < 0 ? (int)n : export_backing(c, a, err);

	for (ssize_t i = 0; rc == 0 && i < n; i++) {
		struct error why = ERROR_INIT;

		if (export_ensure(c, a, &list[i], &why) == 0 && !list[i].leaving &&
		    !strcmp(list[i].transport, TRANSPORT_VHOST))
			vhost_socket_again(d, c, &list[i], &why);
	}
	free(list);
	return rc;
}

/* One that was put aside: without it the supervisor's own restarts would bring nothing back. */
static int save_if_absent(struct driver *d, const struct accelerator *a, struct client *c,
			  struct error *err)
{
	struct target_paths p;
	int rc = target_paths(d, a->id, &p, err);

	return rc == 0 && access(p.config, F_OK) < 0 ? config_save(c, p.config, err) : rc;
}

int target_ensure(struct driver *d, const struct accelerator *a, struct client **out,
		  struct error *err)
{
	int rc = target_start(d, a, err);

	*out = NULL;
	if (rc == 0)
		rc = connect_patiently(d, a, out, err);
	if (rc == 0)
		rc = restore(d, a, *out, err);
	if (rc == 0)
		rc = save_if_absent(d, a, *out, err);
	if (rc < 0) {
		client_destroy(*out);
		*out = NULL;
	}
	return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

int target_remove_files(struct driver *d, const char *id, struct error *err)
{
	struct target_paths p;
	int rc = target_paths(d, id, &p, err);

	if (rc < 0)
		return rc;
	if (nftw(p.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
		return error_set(err, -errno, "folder %s cannot be removed: %s", p.dir,
				 error_errno_text(-errno));
	return 0;
}
