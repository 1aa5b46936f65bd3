/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the content of a new volume comes from: a raw file as it is, a qcow2 file through
 * qemu-img(1).
 *
 * Threading: one thread.
 */
#include <endian.h>
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

#include "base/options.h"
#include "blobtool/create.h"

#define QCOW2_HEADER	    80u /* as far as it is looked at */
#define QCOW2_EXTERNAL_DATA (UINT64_C(1) << 2)

extern char **environ;

/* --- qemu-img --------------------------------------------------------------------------------- */

/* What it prints goes to standard error. */
static int spawn_qemu_img(char *const argv[], pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	int rc;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
	rc = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

static int run_qemu_img(char *const argv[], struct error *err)
{
	pid_t pid;
	int status, rc = spawn_qemu_img(argv, &pid);

	if (rc < 0)
		return error_set(err, rc,
				 "qemu-img cannot be started: %s; install qemu-utils, or convert "
				 "the file to raw yourself",
				 error_errno_text(rc));
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return error_set(err, -errno, "qemu-img: %s", error_errno_text(-errno));
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return error_set(err, -EIO, "qemu-img failed; it said why");
}

/*
 * A qcow2 file from outside may name any file of this node as its base or as its data. Its header
 * tells (qcow2 specification, Header): qemu-img must not open it to find out.
 */
static int check_backing(const struct image *img, const struct source_options *o, struct error *err)
{
	uint8_t header[QCOW2_HEADER];
	uint64_t backing, features;
	uint32_t version;
	int rc;

	if (o->backing)
		return 0;
	if (img->bytes < sizeof(header))
		return error_set(err, -EINVAL, "%s is shorter than the header of a qcow2 file",
				 img->path);
	rc = image_read(img, header, 0, sizeof(header), err);
	if (rc < 0)
		return rc;
	memcpy(&version, header + 4, sizeof(version));
	memcpy(&backing, header + 8, sizeof(backing));
	memcpy(&features, header + 72, sizeof(features));
	if (backing == 0 &&
	    (be32toh(version) < 3 || (be64toh(features) & QCOW2_EXTERNAL_DATA) == 0))
		return 0;
	return error_set(
		err, -EPERM,
		"%s takes its content from another file, which whoever made it chose: look "
		"at it with qemu-img info, then give --allow-backing",
		img->path);
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

static int convert(struct source *s, const char *path, struct error *err)
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
	int rc, fd = make_temporary(name, err);

	if (fd < 0)
		return fd;
	rc = run_qemu_img(argv, err);
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
	if (rc == 0 && qcow2)
		rc = check_backing(&s->data, o, err);
	if (rc == 0 && qcow2) {
		/* An absolute path is never taken for a protocol by qemu-img. */
		if (realpath(s->file, path) == NULL)
			return error_set(err, -errno, "%s: %s", s->file, error_errno_text(-errno));
		image_close(&s->data);
		rc = convert(s, path, err);
	}
	s->bytes = s->data.bytes;
	return rc;
}

/* A file that several volumes are made from is opened, locked and converted once. */
static bool share_file(struct source *s, const struct source *earlier, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct image *data = &earlier[i].data;

		if (earlier[i].file == NULL || strcmp(earlier[i].file, s->file) != 0)
			continue;
		s->data = (struct image){ .path = s->file,
					  .fd = fcntl(data->fd, F_DUPFD_CLOEXEC, 0),
					  .is_block = data->is_block,
					  .bytes = data->bytes };
		s->bytes = earlier[i].bytes;
		return s->data.fd >= 0;
	}
	return false;
}

int source_open(struct source *sources, uint32_t i, const char *word,
		const struct source_options *o, struct error *err)
{
	const char *equals = strchr(word, '=');
	struct source *s = &sources[i];
	int rc;

	*s = (struct source){ .data = { .fd = -1 }, .thin = !o->thick };
	rc = take_name(s, word, equals, err);
	if (rc < 0)
		return rc;
	uuid_make(&s->uuid);
	if (access(equals + 1, F_OK) < 0 && parse_size(equals + 1, &s->bytes, NULL) == 0)
		return 0;
	s->file = equals + 1;
	if (share_file(s, sources, i))
		return 0;
	rc = open_file(s, o, err);
	return rc < 0 ? error_prefix(err, "volume \"%s\": ", s->name) : 0;
}

void source_close(struct source *s)
{
	image_close(&s->data);
	blob_map_destroy(s->map);
	free(s->page);
}
