/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the probe room share.
 *
 * Threading: as probe.h.
 */
#ifndef PROBE_INTERNAL_H
#define PROBE_INTERNAL_H

#include <dirent.h>

#include "base/clock.h"
#include "probe/probe.h"

/**
 * struct probe_mount - one of the mounts of a device
 * @role: of a device that is not mounted itself: "the log of what is "
 * @pid: a process that sees it
 */
struct probe_mount {
	dev_t dev;
	const char *role;
	pid_t pid;
	char source[256];
	char where[256];
};

/**
 * struct probe_open - a file descriptor of a process that leads to storage
 * @type: S_IFBLK, S_IFCHR or S_IFREG; 0 in a made-up system
 * @dev: the device itself, or the file system that a regular file is on
 * @ino: of a regular file
 * @target: text of the link in /proc/PID/fd, only in a made-up system
 */
struct probe_open {
	mode_t type;
	dev_t dev;
	ino_t ino;
	pid_t pid;
	char command[16];
	char *target;
};

/** struct probe_ring - an io_uring of a process; @fdinfo: what tells of it */
struct probe_ring {
	char fdinfo[80];
	pid_t pid;
};

/** struct probe_identity - what is at a path; @type 0: nothing that could be found */
struct probe_identity {
	mode_t type;
	dev_t dev; /* the device itself, or the file system that a regular file is on */
	ino_t ino; /* of a regular file */
};

/** struct probe_netns - a network namespace, "net:[N]", with a process that lives in it */
struct probe_netns {
	char name[32];
	pid_t pid;
};

/** struct probe_holder - a socket that a process holds */
struct probe_holder {
	unsigned long long inode;
	pid_t pid;
};

/**
 * struct probe_loop - a loop device with what is behind it
 * @rdev: of a block device behind it, else 0
 * @dev, @ino: of the file behind it; 0, 0 when only its name is known
 */
struct probe_loop {
	char name[32];
	char backing[PATH_MAX];
	dev_t rdev, dev;
	ino_t ino;
};

/**
 * struct probe - see probe_create()
 * @mounts, @opens, @holders, @netns, @runs_target: read once for a whole listing by probe_look(),
 *         forgotten by probe_refresh(); so are @loops
 * @mounts, @opens, @holders: sorted, see their lookups
 * @file_dev, @file_ino: the regular file of which probe_look() keeps who has it open
 * @runs_target: processes that run a target program
 * @mappings: shared mappings of files, read when they are asked for
 * @pins: paths of mount namespaces that may have no process
 * @paths, @identities: what was asked of paths outside /dev
 * @blind_fds, @blind_mounts: processes whose files, and whose mounts, this user may not see
 * @locks: see probe_keep_locks()
 * @patience_ns: PROBE_PATIENCE_NS; less in tests
 * @stuck: children that could not be killed yet
 * @wait, @turn, @meanwhile_arg: see probe_set_meanwhile(); NULL: nothing else is done
 */
struct probe {
	char root[PATH_MAX];
	bool live;
	struct probe_mount *mounts;
	struct probe_open *opens;
	struct probe_holder *holders;
	struct probe_loop *loops;
	struct probe_netns *netns;
	pid_t *runs_target;
	size_t mount_count, open_count, holder_count, loop_count, netns_count, runs_target_count;
	dev_t file_dev;
	ino_t file_ino;
	struct probe_ring *rings;
	struct probe_open *mappings;
	char **pins, **paths;
	struct probe_identity *identities;
	size_t ring_count, mapping_count, pin_count, path_count;
	bool have_mappings;
	unsigned int blind_fds, blind_mounts;
	bool looked, have_loops;
	char *locks;
	size_t locks_len;
	uint64_t patience_ns;
	pid_t stuck[16];
	size_t stuck_count;
	probe_wait_fn wait;
	probe_turn_fn turn;
	void *meanwhile_arg;
};

/* limited.c: what may block */

#define PROBE_LIMIT_NS	  (5 * NS_PER_SEC)  /* of one device in a listing */
#define PROBE_PATIENCE_NS (20 * NS_PER_SEC) /* of a device that was named: a disk may sleep */
#define PROBE_LIMITED_ALL 4		    /* what blocks may take that often the limit of one */
#define PROBE_CHILD_NAME  "cyborg-probe"

/**
 * struct probe_limited - a job of many items, done one after another in a child process
 * @size: bytes of an answer
 * @limit_ns: of one item
 * @work: in the child: fill @answer, which is zero; nothing else of the child comes back
 * @done: in the caller, in order; @status 0, -ETIMEDOUT, -ETIME when others had used up the time of
 *        all, -ECHILD when the child died, or a negative errno of starting it; @answer is NULL
 *        unless it is 0
 */
struct probe_limited {
	size_t count, size;
	uint64_t limit_ns;
	void (*work)(void *arg, size_t i, void *answer);
	void (*done)(void *arg, size_t i, int status, const void *answer);
	void *arg;
};

/** probe_limited() - 0 when @done was called for each, or -ENOMEM */
int probe_limited(struct probe *p, const struct probe_limited *job);
/** probe_reap() - see whether stuck children have ended */
void probe_reap(struct probe *p);

/* root.c: files below the prefix */

/** probe_turn() - let the caller do something else for a moment */
void probe_turn(const struct probe *p);
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
/** probe_last_part() - what stands behind the last slash, cut to @size */
void probe_last_part(char *out, size_t size, const char *path);
bool probe_exists(const struct probe *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/** probe_is_pid() - the name of a folder of /proc that is a process */
bool probe_is_pid(const char *name);

/** probe_array_room() - room for one more of a growing array: at each power of two twice as much */
void *probe_array_room(void *array, size_t count, size_t size);

/* who.c: what all processes have */

/** probe_look() - read /proc, unless that was done since probe_refresh() */
void probe_look(struct probe *p);
/**
 * probe_opened() - the first process that has it open; NULL
 * @path: by which it is known in a made-up system
 * @ino: of a regular file (which was @p->file_ino when probe_look() read), else 0
 */
const struct probe_open *probe_opened(struct probe *p, const char *path, mode_t type, dev_t dev,
				      ino_t ino);
/** probe_socket_pid() - who holds a socket; 0 when that is not visible */
pid_t probe_socket_pid(struct probe *p, unsigned long long inode);

/* targets.c */

/** probe_is_target_program() - one that we know for a target, by the last part of its path */
bool probe_is_target_program(const char *path);

/* mounts.c */

/** probe_take_mount() - keep what a line of mountinfo tells of a device */
void probe_take_mount(struct probe *p, pid_t pid, const char *line);
/** probe_mounted() - a mount of @dev (0: of none), or of what has the name @source; NULL */
const struct probe_mount *probe_mounted(struct probe *p, dev_t dev, const char *source);
/** probe_unescape() - decode the \040 of mountinfo and swaps, in place */
void probe_unescape(char *text);

/* hidden.c */

/**
 * probe_find_hidden() - uses that leave no descriptor: shared mappings, files of an io_uring
 * @ino: of a regular file, else 0
 *
 * Costs more than all else of a look at processes: ask when nothing else speaks against a device.
 */
int probe_find_hidden(struct probe *p, struct probe_device *d, ino_t ino);
void probe_forget_hidden(struct probe *p);

/* pinned.c */

/** probe_take_pin() - keep the path of a mount namespace */
void probe_take_pin(struct probe *p, const char *path);
/**
 * probe_find_pinned() - a mount in a namespace that lives without a process
 * @where: filled
 *
 * Return: whether one was found; only root can.
 */
bool probe_find_pinned(struct probe *p, dev_t dev, char *where, size_t size);
void probe_forget_pins(struct probe *p);

/* same.c */

/**
 * probe_is_same() - the path leads to that device, or to that file, by whatever name
 * @ino: of a regular file, on the file system @d->dev; else 0
 *
 * Never waits long: what is outside /dev may be on a server that is dead.
 */
bool probe_is_same(struct probe *p, const struct probe_device *d, ino_t ino, const char *path);

/* lvm.c */

/**
 * struct probe_lvm - what an LVM physical volume tells
 * @group: the volume group's name; "" when it is in none
 * @id: the group's identity as device-mapper writes it
 */
struct probe_lvm {
	char group[128];
	char id[33];
};

/** probe_lvm_read() - of the device or file open as @fd; all empty when it tells nothing */
void probe_lvm_read(int fd, struct probe_lvm *out);
/** probe_lvm_active() - a device of that group that device-mapper has; false when there is none */
bool probe_lvm_active(struct probe *p, const struct probe_lvm *lvm, char *name, size_t size);
/** probe_lvm_names() - "vg--a-root" is "vg-a" and "root"; @volume is "" without a hyphen */
void probe_lvm_names(const char *name, char group[static 128], char volume[static 128]);

/* loops.c */

/** probe_loops() - all loop devices that have something behind them */
const struct probe_loop *probe_loops(struct probe *p, size_t *count);

/* find.c: findings */
/** probe_find_users() - mounts, swap, holders, loop, exports, open files of a block device */
int probe_find_users(struct probe *p, struct probe_device *d, const char *sys);
/** probe_find_swap() - @ino as for probe_find_loops() */
int probe_find_swap(struct probe *p, struct probe_device *d, ino_t ino);
/** probe_find_loops() - @ino: of a regular file, on the file system @d->dev; 0 for a block device
 */
int probe_find_loops(struct probe *p, struct probe_device *d, ino_t ino);
/** probe_find_exports() - by the kernel's own targets: nvmet and LIO hold without a trace in /proc
 */
int probe_find_exports(struct probe *p, struct probe_device *d, ino_t ino);

/* file.c */

struct stat;
/** probe_lock_pid() - who holds a lock on a file, of any kind; 0 when nobody is known to */
pid_t probe_lock_pid(const struct probe *p, const struct stat *st);
/**
 * probe_keep_locks() - read them once for what follows, until probe_drop_locks(): the kernel takes
 * some ten milliseconds to tell them, since it waits for all cores
 */
void probe_keep_locks(struct probe *p);
void probe_drop_locks(struct probe *p);

/* pci.c */

struct probe_node;
/** probe_pci() - fill NVMe functions and IOMMU groups; 0 or -ENOMEM */
int probe_pci(struct probe *p, const struct probe_devices *devices, struct probe_node *n);

/* health.c */

/** probe_health_sysfs() - what sysfs and hwmon tell of the disk at @sys */
void probe_health_sysfs(struct probe *p, struct probe_health *h, const char *sys);
/** probe_health_smart() - what the NVMe device open as @fd tells; @h->note when it does not */
void probe_health_smart(struct probe_health *h, int fd);
int probe_find_health(struct probe_device *d);

/* json.c */

/** probe_set_text() - text of hardware or file names need not be UTF-8; JSON must be */
void probe_set_text(json_t *o, const char *key, const char *text);
json_t *probe_health_json(const struct probe_health *h);

/* content.c: what is on it */

/** probe_find_content() - @closely: look longer for bytes of no known format */
int probe_find_content(struct probe *p, struct probe_device *d, int fd, bool closely);
/** probe_find_holder_by_content() - of a device that cannot be opened exclusively: who it must be
 */
int probe_find_holder_by_content(struct probe *p, struct probe_device *d, int fd);

/* block.c */
int probe_block_fill(struct probe *p, struct probe_device *d, const char *sys, const char *name);
int probe_block_path(struct probe *p, dev_t dev, struct probe_device *out, struct error *err);

/* inside.c */

/**
 * probe_inside() - ask the kernel and the devices themselves: exclusive open, content, SMART log
 * @closely: as for probe_find_content(); then the limit is that of a device which was named
 *
 * Devices that may not be used anyway are asked only for their SMART log. Does nothing in a made-up
 * system.
 */
int probe_inside(struct probe *p, struct probe_device *devices, size_t count, bool closely);

#endif
