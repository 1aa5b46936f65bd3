/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver remembers: accelerators, attachments, and a journal of verbs, in SQLite (WAL,
 * synchronous=FULL: what was committed survives a power cut).
 *
 * The schema carries its version (PRAGMA user_version); an older one is brought forward by
 * migrations, each in one transaction; a newer one is refused.
 *
 * Threading: a state belongs to one thread. Processes are kept apart by state_lock().
 */
#ifndef DRIVER_STATE_H
#define DRIVER_STATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/uuid.h"

#define STATE_NQN_SIZE	    224 /* NVMe base 2.0, section 4.7: 223 bytes */
#define STATE_ID_SIZE	    49
#define STATE_NAME_SIZE	    129
#define STATE_STORE_SIZE    64	/* SPDK: 63 characters */
#define STATE_VOLUME_SIZE   160 /* a volume's 63 characters, or POOL/IMAGE */
#define STATE_PATH_SIZE	    512
#define STATE_IDENTITY_SIZE 48 /* "uuid." or "eui.", and 36 characters */

struct state;

/**
 * struct accelerator - a backing and the target that serves it
 * @scenario: "whole": the backing is attached as it is; "blobstore": it has a store of volumes;
 *            "ceph": no backing, images of a cluster are attached
 * @kind: "file", "device", "memory", "ceph"
 * @path: of the backing; "" for memory; of a cluster its configuration file
 * @made: install created the file, so uninstall removes it
 * @wiped: data that was on the backing was given up by --force
 * @serial: of the backing
 * @bdev: its name in the target
 * @uuid: identity of the data; the namespace carries it
 * @target: program; @version: what it says of itself
 * @arguments: further arguments of the target, one a line
 * @store, @store_uuid, @cluster_size: of the store; empty until install made or adopted it
 * @store_made: install made the store, so uninstall removes it
 * @ceph_user: who asks the cluster, without "client."
 * @nsid: the namespace of a PCI function (kind "nvme", whose address is @path); 0 of all else
 * @identity: what that namespace calls itself, "uuid.UUID" or "eui.HEX"; "" when it tells nothing
 */
struct accelerator {
	char id[STATE_ID_SIZE];
	char type[16];
	char scenario[16];
	char kind[16];
	char path[PATH_MAX];
	bool made;
	uint64_t size;
	uint32_t block_size;
	char serial[96];
	char bdev[64];
	char uuid[UUID_TEXT_SIZE];
	char target[PATH_MAX];
	char version[160];
	char arguments[512];
	char store[STATE_STORE_SIZE];
	char store_uuid[UUID_TEXT_SIZE];
	uint32_t cluster_size;
	bool store_made;
	char ceph_user[64];
	uint32_t nsid;
	char identity[STATE_IDENTITY_SIZE];
};

/** struct qos - limits of a bdev; 0 for none; I/Os in thousands, bytes in MiB a second */
struct qos {
	uint64_t rw_ios, rw_mb, r_mb, w_mb;
};

/**
 * struct attachment - an export of an accelerator's bdev to one host for one instance
 * @source: how it came to its bdev: "whole", "existing" (a volume), "new", "clone" (of the
 *          snapshot @origin), "snapshot" (of the volume @origin), "rbd"
 * @volume: name in the store, or POOL/IMAGE; "" for the whole backing
 * @transport: "tcp", or "vhost-user-blk" at @socket
 * @dhchap_key, @dhchap_ctrlr_key, @psk: files that hold the host's keys; never their content
 * @leaving: a detach began: it is not brought back any more
 * @host: the only host NQN that may connect
 * @nqn, @nsid, @uuid, @nguid, @serial, @model: what the host sees; never changes while attached
 * @family: "IPv4" or "IPv6"
 */
struct attachment {
	char instance[STATE_NAME_SIZE];
	char accelerator[STATE_ID_SIZE];
	char bdev[64];
	char host[STATE_NQN_SIZE];
	char nqn[STATE_NQN_SIZE];
	uint32_t nsid;
	char uuid[UUID_TEXT_SIZE];
	char nguid[33];
	char serial[21];
	char model[41];
	char family[8];
	char address[64];
	uint16_t port;
	uint64_t size;
	char source[12];
	char volume[STATE_VOLUME_SIZE];
	char origin[STATE_VOLUME_SIZE];
	char transport[16];
	char socket[108];
	bool read_only;
	struct qos qos;
	char dhchap_key[STATE_PATH_SIZE];
	char dhchap_ctrlr_key[STATE_PATH_SIZE];
	char psk[STATE_PATH_SIZE];
	bool leaving;
};

/**
 * struct intent - a verb that was begun
 * @step: the step whose work may have begun; all before it are done, none after it
 * @argument: JSON text of what it was called with
 */
struct intent {
	int64_t seq;
	char verb[16];
	char object[STATE_NAME_SIZE];
	int step;
	char argument[24576];
};

/**
 * state_open() - open or make the state below @dir
 * @keep: false for a trial: nothing is made, all is forgotten by state_close()
 *
 * Return: 0 or a negative errno with @err filled.
 */
int state_open(const char *dir, bool keep, struct state **out, struct error *err);
/**
 * state_open_still() - open it as it is, to be read: where nothing can be written, as on a disk
 * that is full, even SQLite's readers fail
 *
 * Who writes to it meanwhile is not noticed: close it soon. -EIO where it cannot be read alone.
 */
int state_open_still(const char *dir, struct state **out, struct error *err);
void state_close(struct state *s);
/** state_version() - of the schema */
int state_version(const struct state *s);

/**
 * state_lock() - be the only one who changes things; names the holder to others
 * @verb: what for
 * @wait_ns: how long to wait for another one
 *
 * Return: an fd to be closed, or -EAGAIN (with @err naming the holder), other errno.
 */
int state_lock(const char *dir, const char *verb, uint64_t wait_ns, struct error *err);

/* Reads give 0, -ENOENT when there is no such row, or -EIO with @err filled. */
int state_accelerator(struct state *s, const char *id, struct accelerator *out, struct error *err);
int state_attachment(struct state *s, const char *instance, struct attachment *out,
		     struct error *err);
/** state_accelerators() - all, by id; the array is the caller's; -ENOMEM, -EIO, or how many */
ssize_t state_accelerators(struct state *s, struct accelerator **out, struct error *err);
/** state_attachments() - of one accelerator, or all (@accelerator NULL) */
ssize_t state_attachments(struct state *s, const char *accelerator, struct attachment **out,
			  struct error *err);

/** state_put_accelerator() - insert or replace */
int state_put_accelerator(struct state *s, const struct accelerator *a, struct error *err);
int state_put_attachment(struct state *s, const struct attachment *a, struct error *err);
/** state_drop_accelerator() / state_drop_attachment() - 0 also when there is none */
int state_drop_accelerator(struct state *s, const char *id, struct error *err);
int state_drop_attachment(struct state *s, const char *instance, struct error *err);

/** intent_begin() - note a verb before its first step; fills @i->seq */
int intent_begin(struct state *s, struct intent *i, struct error *err);
/** intent_step() - note that step @step may begin now */
int intent_step(struct state *s, struct intent *i, int step, struct error *err);
/** intent_end() - @outcome: "done", "undone" */
int intent_end(struct state *s, const struct intent *i, const char *outcome, struct error *err);
/** intent_open() - the oldest verb that did not end; -ENOENT when all did */
int intent_open(struct state *s, struct intent *out, struct error *err);
/** intent_last_done() - the last @verb on @object that ended well; -ENOENT when there is none */
int intent_last_done(struct state *s, const char *verb, const char *object, struct intent *out,
		     struct error *err);

/**
 * state_note() - a text kept under a key, to be freed by the caller
 *
 * Return: 0; -ENOENT when there is none; -ENOMEM, -EIO with @err filled.
 */
int state_note(struct state *s, const char *key, char **out, struct error *err);
/** state_put_note() - @text NULL: forget it */
int state_put_note(struct state *s, const char *key, const char *text, struct error *err);

/** state_node_uuid() - of this node and state directory: the root of all names */
void state_node_uuid(const struct state *s, struct uuid *out);

#endif
