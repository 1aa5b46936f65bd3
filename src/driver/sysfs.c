/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes, see sysfs.h.
 *
 * Threading: pure functions.
 */
#include "driver/sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/options.h"

static bool join(char out[static PATH_MAX], const char *root, const char *path)
{
	return snprintf(out, PATH_MAX, "%s%s", root, path) < PATH_MAX;
}

bool sysfs_exists(const char *root, const char *path)
{
	char full[PATH_MAX];

	return join(full, root, path) && access(full, F_OK) == 0;
}

bool sysfs_text(const char *root, const char *path, char *out, size_t size)
{
	char full[PATH_MAX];
	ssize_t n;
	int fd;

	out[0] = '\0';
	fd = join(full, root, path) ? open(full, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return false;
	n = read(fd, out, size - 1);
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return n > 0;
}

int sysfs_u64(const char *root, const char *path, uint64_t *out)
{
	char text[32];

	*out = 0;
	if (!sysfs_text(root, path, text, sizeof(text)))
		return -ENOENT;
	return parse_u64(text, out) == 0 ? 0 : -EINVAL;
}

bool sysfs_link(const char *root, const char *path, char *out, size_t size)
{
	char full[PATH_MAX], target[PATH_MAX];
	const char *slash;
	ssize_t n;

	out[0] = '\0';
	n = join(full, root, path) ? readlink(full, target, sizeof(target) - 1) : -1;
	if (n <= 0)
		return false;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(out, size, "%s", slash ? slash + 1 : target);
	return true;
}

int sysfs_write(const char *root, const char *path, const char *text, struct error *err)
{
	char full[PATH_MAX];
	ssize_t len = (ssize_t)strlen(text);
	int fd, rc = 0;

	fd = join(full, root, path) ? open(full, O_WRONLY | O_CLOEXEC) : -1;
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		rc = error_set(err, -errno, "\"%.*s\" cannot be written to %s: %s",
			       (int)strcspn(text, "\n"), text, full, error_errno_text(-errno));
	if (fd >= 0)
		close(fd);
	return rc;
}
