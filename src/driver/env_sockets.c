/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder in which an SPDK makes its vhost-user sockets, see env.h. The target makes its sockets
 * anew at each start, also when nobody of us is there: who may open them follows from the folder's
 * default access control list, which needs neither the group's membership nor a right of root.
 *
 * Threading: as driver.h.
 */
#include "driver/env.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SYSTEM_FOLDER "/run/cyborg-spdk"
#define NAME_LENGTH   39 /* of a controller: "cs-" and a UUID */

static int find_group(const char *name, gid_t *out, struct error *err)
{
	struct group *g = getgrnam(name);
	unsigned long number;
	char *end;

	number = strtoul(name, &end, 10);
	if (!g && (*end || !*name || number >= UINT32_MAX))
		return error_set(err, -EINVAL,
				 "--socket-group %.60s: there is no such group on this node", name);
	*out = g ? g->gr_gid : (gid_t)number;
	return 0;
}

static int check_length(const char *path, struct error *err)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (strlen(path) + 1 + NAME_LENGTH <= most)
		return 0;
	return error_set(err, -EINVAL,
			 "vhost-user sockets in %.120s would have paths of %zu bytes; a UNIX "
			 "socket's has at most %zu: name a shorter --socket-dir",
			 path, strlen(path) + 1 + NAME_LENGTH, most);
}

/* Others who could put things beside it could be what a machine connects to. */
static int check_parent(const char *dir, struct error *err)
{
	struct stat st;

	if (stat(dir, &st) < 0)
		return error_set(err, -errno, "--socket-dir %.100s: %s", dir,
				 error_errno_text(-errno));
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -EINVAL, "--socket-dir %.100s is no folder", dir);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX))
		return error_set(err, -EPERM,
				 "--socket-dir %.100s may be written to by others (mode %04o): "
				 "`chmod go-w` it, or name another",
				 dir, st.st_mode & 07777);
	return 0;
}

static int take_folder(const char *dir, const char *group, struct env_sockets *s, struct error *err)
{
	char real[PATH_MAX];

	if (dir && !realpath(dir, real))
		return error_set(err, -errno, "--socket-dir %.100s: %s", dir,
				 error_errno_text(-errno));
	if (dir && check_parent(real, err) < 0)
		return err->code;
	snprintf(s->group, sizeof(s->group), "%.*s", (int)sizeof(s->group) - 1, group ? group : "");
	if (!dir)
		snprintf(real, sizeof(real), SYSTEM_FOLDER);
	if (check_length(real, err) < 0)
		return err->code;
	snprintf(s->dir, sizeof(s->dir), "%.*s", (int)sizeof(s->dir) - 1, real);
	return 0;
}

int env_sockets_plan(const json_t *request, const struct kit *kit, bool has_option,
		     const struct environment *old, struct environment *e, struct error *err)
{
	const char *dir = request_text(request, "socket_dir", err);
	const char *group = request_text(request, "socket_group", err);
	gid_t ignored;

	if (err->code)
		return err->code;
	if ((dir || group) && !has_option)
		return error_set(err, -ENOTSUP,
				 "--socket-dir and --socket-group: target %s makes no vhost-user "
				 "sockets: name one that was built --with-vhost by --target, or "
				 "leave them away",
				 kit->path);
	if (old)
		e->sockets = old->sockets;
	e->sockets.told = has_option;
	if (group && find_group(group, &ignored, err) < 0)
		return err->code;
	return dir || group ? take_folder(dir, group, &e->sockets, err) : 0;
}

static void own_folder(const struct env_sockets *s, const char *id, char out[static PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", s->dir, id);
}

void env_sockets_folder(const struct environment *e, const struct target_paths *p, const char *id,
			char out[static PATH_MAX])
{
	if (e->sockets.dir[0])
		own_folder(&e->sockets, id, out);
	else
		snprintf(out, PATH_MAX, "%s", p->dir);
}

int env_sockets_check(struct driver *d, const char *id, struct error *err)
{
	char folder[PATH_MAX];
	struct target_paths p;
	struct environment e;
	int rc = env_load(d, id, &e, err);

	if (rc == 0)
		rc = target_paths(d, id, &p, err);
	if (rc < 0 || !e.sockets.told)
		return rc;
	env_sockets_folder(&e, &p, id, folder);
	return check_length(folder, err);
}

/* acl(5); the kernel's form of it is in posix_acl_xattr.h. */
static int set_list(int fd, const char *attribute, gid_t group, unsigned int allowed)
{
	const struct posix_acl_xattr_entry entries[] = {
		{ htole16(ACL_USER_OBJ), htole16(ACL_READ | ACL_WRITE | ACL_EXECUTE),
		  htole32((uint32_t)ACL_UNDEFINED_ID) },
		{ htole16(ACL_GROUP_OBJ), 0, htole32((uint32_t)ACL_UNDEFINED_ID) },
		{ htole16(ACL_GROUP), htole16((uint16_t)allowed), htole32(group) },
		{ htole16(ACL_MASK), htole16((uint16_t)allowed),
		  htole32((uint32_t)ACL_UNDEFINED_ID) },
		{ htole16(ACL_OTHER), 0, htole32((uint32_t)ACL_UNDEFINED_ID) },
	};
	const struct posix_acl_xattr_header header = { htole32(POSIX_ACL_XATTR_VERSION) };
	uint8_t value[sizeof(header) + sizeof(entries)];

	memcpy(value, &header, sizeof(header));
	memcpy(value + sizeof(header), entries, sizeof(entries));
	return fsetxattr(fd, attribute, value, sizeof(value), 0) < 0 ? -errno : 0;
}

static int let_in(int fd, const char *path, const char *name, struct error *err)
{
	gid_t group;
	int rc = find_group(name, &group, err);

	if (rc < 0)
		return rc;
	rc = set_list(fd, "system.posix_acl_access", group, ACL_READ | ACL_EXECUTE);
	if (rc == 0)
		rc = set_list(fd, "system.posix_acl_default", group,
			      ACL_READ | ACL_WRITE | ACL_EXECUTE);
	return rc < 0 ? error_set(err, rc,
				  "folder %.120s cannot be opened to the group %.60s: %s; name "
				  "another --socket-dir",
				  path, name, error_errno_text(rc))
		      : 0;
}

static int make_folder(const char *path, mode_t mode, struct error *err)
{
	if ((mkdir(path, mode) == 0 && chmod(path, mode) == 0) || errno == EEXIST)
		return 0;
	return error_set(err, -errno,
			 "folder %.120s for vhost-user sockets cannot be made: %s; name one where "
			 "it can be by --socket-dir",
			 path, error_errno_text(-errno));
}

/* Return: an fd of what is a folder of our own and no link to another; -ENOENT, -EPERM. */
static int open_folder(const char *path, struct error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid())
		return fd;
	if (fd >= 0)
		close(fd);
	return error_set(err, -EPERM,
			 "%.120s is no folder of this user: remove it, or name another "
			 "--socket-dir",
			 path);
}

int env_sockets_make(const struct environment *e, const char *id, struct error *err)
{
	char path[PATH_MAX];
	int fd, rc = 0;

	if (!e->sockets.dir[0])
		return 0;
	if (!strcmp(e->sockets.dir, SYSTEM_FOLDER))
		rc = make_folder(SYSTEM_FOLDER, 0755, err);
	own_folder(&e->sockets, id, path);
	if (rc == 0)
		rc = make_folder(path, 0700, err);
	if (rc < 0)
		return rc;
	fd = open_folder(path, err);
	if (fd < 0)
		return fd;
	if (e->sockets.group[0])
		rc = let_in(fd, path, e->sockets.group, err);
	else if (fchmod(fd, 0700) < 0)
		rc = error_set(err, -errno, "folder %.120s: %s", path, error_errno_text(-errno));
	close(fd);
	return rc;
}

/* Only sockets: of anything else in there we know nothing. */
static void remove_sockets(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISSOCK(st.st_mode))
			unlinkat(fd, entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
	else
		close(fd);
}

int env_sockets_remove(const struct environment *e, const char *id, struct error *err)
{
	char path[PATH_MAX];
	int fd;

	if (!e->sockets.dir[0])
		return 0;
	own_folder(&e->sockets, id, path);
	fd = open_folder(path, NULL);
	if (fd < 0)
		return 0; /* not there, or not what we made */
	remove_sockets(fd);
	if (rmdir(path) < 0 && errno != ENOENT)
		return error_set(err, -errno, "folder %.120s cannot be removed: %s", path,
				 error_errno_text(-errno));
	if (!strcmp(e->sockets.dir, SYSTEM_FOLDER))
		rmdir(SYSTEM_FOLDER); /* others may have theirs in it */
	return 0;
}
