/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the content of a new volume comes from: a raw file as it is, a qcow2 file through
 * qemu-img(1).
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/options.h"
#include "blobtool/create.h"

#define INFO_BYTES_MAX (1u << 20)

extern char **environ;

/* --- qemu-img --------------------------------------------------------------------------------- */

static int spawn_qemu_img(char *const argv[], int out, pid_t *pid, struct error *err)
{
	posix_spawn_file_actions_t actions;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	rc = posix_spawnp(pid, "qemu-img", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc != 0)
		return error_set(err, -rc,
				 "qemu-img cannot be started: %s; install qemu-utils, or convert "
				 "the file to raw yourself",
				 error_errno_text(-rc));
	return 0;
}

static int wait_qemu_img(pid_t pid, const char *what, struct error *err)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return error_set(err, -errno, "qemu-img: %s", error_errno_text(-errno));
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return error_set(err, -EIO, "qemu-img %s failed; it said why", what);
}

/* What it prints, at most INFO_BYTES_MAX of it; NULL with @err. */
static char *ask_qemu_img(char *const argv[], struct error *err)
{
	char *text = calloc(1, INFO_BYTES_MAX + 1);
	size_t len = 0;
	ssize_t n = 0;
	int ends[2] = { -1, -1 }, rc;
	pid_t pid;

	if (text == NULL || pipe2(ends, O_CLOEXEC) < 0) {
		free(text);
		error_set(err, -ENOMEM, "no pipe to qemu-img");
		return NULL;
	}
	rc = spawn_qemu_img(argv, ends[1], &pid, err);
	close(ends[1]);
	while (rc == 0 && len < INFO_BYTES_MAX &&
	       ((n = read(ends[0], text + len, INFO_BYTES_MAX - len)) > 0 ||
		(n < 0 && errno == EINTR)))
		len += n > 0 ? (size_t)n : 0;
	close(ends[0]);
	if (rc == 0)
		rc = wait_qemu_img(pid, "info", err);
	if (rc < 0) {
		free(text);
		return NULL;
	}
	return text;
}

static bool names_other_file(const json_t *info)
{
	const json_t *data = json_object_get(json_object_get(info, "format-specific"), "data");

	return json_object_get(info, "backing-filename") != NULL ||
	       json_object_get(data, "data-file") != NULL;
}

/* A qcow2 file from outside may name any file of this node as its base: that is asked for first. */
static int check_backing(const char *path, const struct source_options *o, struct error *err)
{
	char *const argv[] = { (char[]){ "qemu-img" },
			       (char[]){ "info" },
			       (char[]){ "--output=json" },
			       (char[]){ "-f" },
			       (char[]){ "qcow2" },
			       (char *)(uintptr_t)path,
			       NULL };
	char *text = ask_qemu_img(argv, err);
	json_t *info;
	int rc = 0;

	if (text == NULL)
		return err->code;
	info = json_loads(text, 0, NULL);
	free(text);
	if (info == NULL)
		rc = error_set(err, -EIO, "%s: qemu-img tells nothing about it", path);
	else if (!o->backing && names_other_file(info))
		rc = error_set(
			err, -EPERM,
			"%s takes its content from another file, which whoever made it chose: "
			"look at it with qemu-img info, then give --allow-backing",
			path);
	json_decref(info);
	return rc;
}

static int make_temporary(char name[PATH_MAX], struct error *err)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(name, PATH_MAX, "%s/cyborg-spdk-blob.XXXXXX",
		 dir != NULL && dir[0] != '\0' ? dir : "/var/tmp");
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return error_set(err, -errno, "%s: no temporary file: %s; TMPDIR names the folder",
				 name, error_errno_text(-errno));
	return fd;
}

static int convert(struct source *s, const char *path, const struct source_options *o,
		   struct error *err)
{
	char name[PATH_MAX];
	char *const argv[] = { (char[]){ "qemu-img" },
			       (char[]){ "convert" },
			       (char[]){ "-f" },
			       (char[]){ "qcow2" },
			       (char[]){ "-O" },
			       (char[]){ "raw" },
			       (char *)(uintptr_t)path,
			       name,
			       NULL };
	int rc = check_backing(path, o, err), fd;
	pid_t pid;

	if (rc < 0)
		return rc;
	fd = make_temporary(name, err);
	if (fd < 0)
		return fd;
	rc = spawn_qemu_img(argv, STDERR_FILENO, &pid, err);
	if (rc == 0)
		rc = wait_qemu_img(pid, "convert", err);
	/* It may have been made anew under its name. */
	close(fd);
	fd = rc == 0 ? open(name, O_RDONLY | O_CLOEXEC) : -1;
	if (rc == 0 && fd < 0)
		rc = error_set(err, -errno, "%s: %s", name, error_errno_text(-errno));
	unlink(name);
	return rc < 0 ? rc : image_adopt(&s->data, s->file, fd, false, err);
}

/* --- words ------------------------------------------------------------------------------------ */

static int take_name(struct source *s, const char *word, const char *equals, struct error *err)
{
	size_t len = equals != NULL ? (size_t)(equals - word) : 0;

	if (equals == NULL)
		return error_set(err, -EINVAL,
				 "\"%.80s\": a volume is given as NAME=FILE or NAME=SIZE", word);
	if (len == 0 || len >= sizeof(s->name))
		return error_set(err, -EINVAL,
				 "\"%.80s\": the volume's name has %zu characters, 1 to 63 are "
				 "allowed",
				 word, len);
	memcpy(s->name, word, len);
	s->name[len] = '\0';
	return 0;
}

static bool is_qcow2(const struct image *img)
{
	char magic[4];

	return img->bytes >= 4 && image_read(img, magic, 0, 4, NULL) == 0 &&
	       memcmp(magic, "QFI\xfb", 4) == 0;
}

static int open_file(struct source *s, const struct source_options *o, struct error *err)
{
	bool qcow2 = o->format != NULL && !strcmp(o->format, "qcow2");
	char path[PATH_MAX];
	int rc = image_open(&s->data, s->file, false, err);

	if (rc == 0 && o->format == NULL)
		qcow2 = is_qcow2(&s->data);
	if (rc == 0 && qcow2) {
		/* An absolute path is never taken for a protocol by qemu-img. */
		if (realpath(s->file, path) == NULL)
			return error_set(err, -errno, "%s: %s", s->file, error_errno_text(-errno));
		image_close(&s->data);
		rc = convert(s, path, o, err);
	}
	s->bytes = s->data.bytes;
	return rc;
}

int source_open(struct source *s, const char *word, const struct source_options *o,
		struct error *err)
{
	const char *equals = strchr(word, '=');
	int rc;

	*s = (struct source){ .data = { .fd = -1 }, .thin = !o->thick };
	rc = take_name(s, word, equals, err);
	if (rc < 0)
		return rc;
	uuid_make(&s->uuid);
	if (access(equals + 1, F_OK) < 0 && parse_size(equals + 1, &s->bytes, NULL) == 0)
		return 0;
	s->file = equals + 1;
	rc = open_file(s, o, err);
	return rc < 0 ? error_prefix(err, "volume \"%s\": ", s->name) : 0;
}

void source_close(struct source *s)
{
	image_close(&s->data);
}
