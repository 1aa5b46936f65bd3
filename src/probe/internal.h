/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the probe room share.
 *
 * Threading: as probe.h.
 */
#ifndef PROBE_INTERNAL_H
#define PROBE_INTERNAL_H

#include <dirent.h>

#include "probe/probe.h"

struct probe_mount {
	dev_t dev;
	char source[256];
	char where[256];
	pid_t pid; /* a process that sees it */
	struct probe_mount *next;
};

struct probe_open {
	dev_t dev;	  /* of the block device, or of the file's file system */
	ino_t ino;	  /* 0 for block devices */
	char target[256]; /* text of the link in /proc/PID/fd */
	pid_t pid;
	char command[32];
	struct probe_open *next;
};

/**
 * struct probe - see probe_create()
 * @mounts, @opens: read once for a whole listing, forgotten by probe_forget()
 */
struct probe {
	char root[PATH_MAX];
	bool live;
	struct probe_mount *mounts;
	struct probe_open *opens;
	bool have_mounts, have_opens;
};

/* root.c: files below the prefix */
FILE *probe_fopen(const struct probe *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
DIR *probe_opendir(const struct probe *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/** probe_read() - first line without blanks at its ends; false and "" when there is no file */
bool probe_read(const struct probe *p, char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/** probe_read_u64() - a decimal number; @otherwise when there is none */
uint64_t probe_read_u64(const struct probe *p, uint64_t otherwise, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** probe_readlink() - the link's text; false and "" when there is none */
bool probe_readlink(const struct probe *p, char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
bool probe_exists(const struct probe *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/** probe_is_pid() - the name of a folder of /proc that is a process */
bool probe_is_pid(const char *name);

/* who.c: mounts and open files of all processes */
const struct probe_mount *probe_mounts(struct probe *p);
const struct probe_open *probe_opens(struct probe *p);
void probe_forget(struct probe *p);
/** probe_unescape() - decode the \040 of mountinfo and swaps, in place */
void probe_unescape(char *text);

/* find.c: findings */
int probe_find(struct probe_device *d, enum probe_reason reason, enum probe_verdict verdict,
	       const char *remedy, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/** probe_find_users() - mounts, swap, holders, loop, open files of a block device */
int probe_find_users(struct probe *p, struct probe_device *d, const char *sys);
int probe_find_swap(struct probe *p, struct probe_device *d);

/* content.c: what is on it */
int probe_find_content(struct probe_device *d, int fd);

/* block.c */
int probe_block_fill(struct probe *p, struct probe_device *d, const char *sys, const char *name);
int probe_block_path(struct probe *p, dev_t dev, struct probe_device *out, struct error *err);

#endif
