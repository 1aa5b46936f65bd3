/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A made-up /proc and /sys, see tree.h.
 *
 * Threading: one thread.
 */
#include "tree.h"

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *tree_make(void)
{
	char name[] = "/tmp/cs-tree-XXXXXX";

	assert_non_null(mkdtemp(name));
	return strdup(name);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void tree_remove(char *root)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(root);
}

static void make_parents(char *path)
{
	for (char *c = path + 1; (c = strchr(c, '/')); c++) {
		*c = '\0';
		mkdir(path, 0755);
		*c = '/';
	}
}

void tree_bytes(const char *root, const char *path, const void *bytes, size_t len)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	make_parents(full);
	f = fopen(full, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

void tree_file(const char *root, const char *path, const char *text)
{
	tree_bytes(root, path, text, strlen(text));
}

void tree_link(const char *root, const char *path, const char *target)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	make_parents(full);
	assert_int_equal(symlink(target, full), 0);
}

void tree_dir(const char *root, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s/", root, path);
	make_parents(full);
}

void tree_disk(const char *root, const char *name, unsigned int minor, const char *sectors)
{
	char path[256], dev[32];

	snprintf(path, sizeof(path), "sys/block/%s/size", name);
	tree_file(root, path, sectors);
	snprintf(path, sizeof(path), "sys/block/%s/dev", name);
	snprintf(dev, sizeof(dev), "8:%u\n", minor);
	tree_file(root, path, dev);
}
