/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver: its parts, its state directory, its progress.
 *
 * Threading: as driver.h.
 */
#include "driver/driver.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define SYSTEM_DIR "/var/lib/cyborg-spdk"

int driver_default_dir(char *out, size_t size, struct error *err)
{
	const char *set = getenv("CYBORG_SPDK_STATE_DIR");
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	struct stat st;
	int n;

	if (set && *set)
		n = snprintf(out, size, "%s", set);
	else if (geteuid() == 0 || (stat(SYSTEM_DIR, &st) == 0 && st.st_uid == geteuid()))
		n = snprintf(out, size, "%s", SYSTEM_DIR);
	else if (xdg && *xdg == '/')
		n = snprintf(out, size, "%s/cyborg-spdk", xdg);
	else if (home && *home == '/')
		n = snprintf(out, size, "%s/.local/state/cyborg-spdk", home);
	else
		return error_set(err, -EINVAL,
				 "no state directory: give --state-dir DIR, or set "
				 "CYBORG_SPDK_STATE_DIR or HOME");
	return n > 0 && (size_t)n < size
		       ? 0
		       : error_set(err, -ENAMETOOLONG, "the state directory's path is too long");
}

static void on_tick(void *arg)
{
	struct driver *d = arg;

	if (!d->progress || !d->at.step)
		return;
	d->at.elapsed_ns = clock_ns() - d->began_ns;
	d->progress(d->progress_arg, &d->at);
}

void driver_step(struct driver *d, const char *title, unsigned int at, unsigned int of)
{
	d->at.step = title;
	d->at.at = at;
	d->at.of = of;
	on_tick(d);
}

void driver_begin(struct driver *d, const char *verb)
{
	d->began_ns = clock_ns();
	d->at = (struct cyborg_spdk_progress){ .verb = verb };
	json_decref(d->finished);
	d->finished = json_array();
}

static int choose_dir(struct driver *d, const char *state_dir, struct error *err)
{
	char cwd[PATH_MAX / 2] = "", chosen[PATH_MAX];
	int rc = 0;

	if (!state_dir)
		rc = driver_default_dir(chosen, sizeof(chosen), err);
	else
		snprintf(chosen, sizeof(chosen), "%s", state_dir);
	if (rc < 0)
		return rc;
	if (!chosen[0])
		return error_set(err, -EINVAL, "the state directory's path is empty");
	if (!utf8_is_valid(chosen))
		return error_set(err, -EINVAL, "state directory %.200s: its path is no UTF-8",
				 chosen);
	if (strlen(chosen) >= PATH_MAX / 2)
		return error_set(err, -ENAMETOOLONG, "the state directory's path is too long");
	if (chosen[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return error_set(err, -errno, "working directory: %s", error_errno_text(-errno));
	snprintf(d->dir, sizeof(d->dir), "%s%s%s", cwd, cwd[0] ? "/" : "", chosen);
	return 0;
}

static int refuse_owner(const char *dir, uid_t owner, struct error *err)
{
	const struct passwd *user = getpwuid(owner);
	char who[64];

	snprintf(who, sizeof(who), "#%u", (unsigned int)owner);
	return error_set(
		err, -EPERM,
		"state directory %s belongs to the user %u, and you are %u: act as that user "
		"(sudo -u %s), or use one of your own",
		dir, (unsigned int)owner, (unsigned int)geteuid(), user ? user->pw_name : who);
}

/* What may not be seen is not nothing. */
static bool is_absent(void)
{
	return errno == ENOENT || errno == ENOTDIR;
}

static int refuse_sight(const char *path, struct error *err)
{
	return error_set(err, -errno, "%s cannot be seen: %s", path, error_errno_text(-errno));
}

/* What is recorded there is run with the caller's rights, so nobody else may have written it. */
static int check_dir(const char *dir, struct error *err)
{
	struct stat st;

	if (stat(dir, &st) < 0)
		return is_absent() ? 0 : refuse_sight(dir, err);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "state directory %s is no directory", dir);
	if (st.st_uid != geteuid() && (st.st_uid != 0 || access(dir, X_OK) < 0))
		return refuse_owner(dir, st.st_uid, err);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(
			err, -EPERM,
			"state directory %s may be written by others (mode %04o): chmod 700, "
			"or use another",
			dir, (unsigned int)st.st_mode & 07777);
	return 0;
}

/* While the probe waits for a dead device, answers of targets are taken and progress is told. */
static int wait_meanwhile(void *arg, int fd, uint64_t until_ns)
{
	struct driver *d = arg;

	return loop_wait(d->loop, fd, until_ns);
}

static void turn_meanwhile(void *arg)
{
	struct driver *d = arg;

	loop_turn(d->loop);
}

int driver_open(const char *state_dir, struct driver **out, struct error *err)
{
	struct driver *d = calloc(1, sizeof(*d));
	int rc;

	*out = NULL;
	if (!d)
		return error_set(err, -ENOMEM, "out of memory");
	d->lock_wait_ns = 60 * NS_PER_SEC;
	d->loop = loop_create();
	d->probe = probe_create(NULL);
	rc = d->loop && d->probe ? choose_dir(d, state_dir, err)
				 : error_set(err, -ENOMEM, "out of memory");
	if (rc < 0) {
		driver_close(d);
		return rc;
	}
	loop_set_tick(d->loop, on_tick, d);
	probe_set_meanwhile(d->probe, wait_meanwhile, turn_meanwhile, d);
	*out = d;
	return 0;
}

void driver_close(struct driver *d)
{
	if (!d)
		return;
	json_decref(d->finished);
	state_close(d->state);
	probe_destroy(d->probe);
	loop_destroy(d->loop);
	free(d);
}

/*
 * Who keeps a driver for long, as the agent does, would go on with a database that somebody has
 * removed meanwhile, and never see the one that stands there now.
 */
static void forget_replaced(struct driver *d, const char *path)
{
	struct stat st;

	if (!d->state || d->state_is_trial)
		return;
	if (!d->still.code && stat(path, &st) == 0 && st.st_dev == d->state_dev &&
	    st.st_ino == d->state_ino)
		return;
	state_close(d->state);
	d->state = NULL;
}

static void note_identity(struct driver *d, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	d->state_dev = st.st_dev;
	d->state_ino = st.st_ino;
}

int driver_state(struct driver *d, enum driver_state_use use, struct error *err)
{
	char path[PATH_MAX + 16], real[PATH_MAX];
	bool there;
	int rc;

	snprintf(path, sizeof(path), "%s/state.db", d->dir);
	forget_replaced(d, path);
	if (d->state)
		return 0;
	rc = check_dir(d->dir, err);
	if (rc < 0)
		return rc;
	there = access(path, F_OK) == 0;
	if (!there && !is_absent())
		return refuse_sight(path, err);
	if (!there && use == DRIVER_STATE_READ)
		return -ENOENT;
	d->state_is_trial = !there && use == DRIVER_STATE_TRY;
	d->still = (struct error)ERROR_INIT;
	rc = state_open(d->dir, !d->state_is_trial, &d->state, err);
	if (rc < 0 && rc != -EAGAIN && use == DRIVER_STATE_READ &&
	    state_open_still(d->dir, &d->state, NULL) == 0) {
		d->still = *err;
		*err = (struct error)ERROR_INIT;
		rc = 0;
	}
	if (rc == 0)
		note_identity(d, path);
	if (rc == 0 && realpath(d->dir, real))
		snprintf(d->dir, sizeof(d->dir), "%s", real);
	return rc;
}

void driver_end(struct driver *d)
{
	d->at.step = NULL;
	if (!d->state_is_trial && !d->still.code)
		return;
	state_close(d->state);
	d->state = NULL;
	d->state_is_trial = false;
	d->still = (struct error)ERROR_INIT;
}
