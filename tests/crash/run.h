/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doing things to a store on the disk that records, and telling the model what they promise.
 *
 * Threading: a fiber of reactor 0; data I/O from any reactor.
 */
#ifndef TESTS_CRASH_RUN_H
#define TESTS_CRASH_RUN_H

#include "blob/blob.h"
#include "disk.h"
#include "kit.h"
#include "model.h"

#define CLUSTER_BLOCKS	   8u
#define CLUSTER		   (CLUSTER_BLOCKS * BLOCK)
#define STORE_CLUSTERS	   1400u
#define STORE_CLUSTERS_MAX 1600u /* that it can grow to */
#define STORE_MD_PAGES	   128u
#define STORE_MD_FIRST	   (4u * PAGE_BLOCKS) /* super block and three masks of a page each */
#define STORE_MD_BLOCKS	   (STORE_MD_FIRST + STORE_MD_PAGES * PAGE_BLOCKS)

struct run_io;

/**
 * struct run
 * @start: the event behind which cuts begin; what the disk held there is @base
 * @own: by volume and cluster, what it has written itself; NULL: not known any more
 */
struct run {
	struct disk *disk, *external;
	struct record *record;
	struct model *model;
	struct blob_store *store;
	struct bdev_desc *desc;
	struct random random, late;
	bool unmap_zeroes;
	struct blob *open[MODEL_VOLUMES];
	uint8_t *own[MODEL_VOLUMES];
	struct run_io *flying;
	uint32_t next_value, next_label;
	uint32_t start;
	uint8_t *base;
};

/** run_begin() - a new store on a disk full of poison; everything is recorded */
void run_begin(struct run *r, uint64_t seed, bool unmap_zeroes);
/** run_start() - all is durable now; cuts begin here */
void run_start(struct run *r);
/** run_end() - store and disk go; record, model and base are there until run_free() */
void run_end(struct run *r);
void run_free(struct run *r);

/* Fill and read back blocks of data: which value, or one of those below. */
#define VALUE_POISON  (UINT32_MAX - 1)
#define VALUE_GARBAGE UINT32_MAX
void data_fill(uint8_t *buffer, uint64_t block, uint64_t blocks, uint32_t value);
uint32_t data_value(const uint8_t *buffer, uint64_t block);

/* --- changes of metadata; volumes are numbers ---------------------------------------------------
 */

#define PAD_NAME   "pad"
#define PAD_NAME_1 "pad1"
#define PAD_NAME_2 "pad2"
#define PAD_BYTES  3900u

#define CREATE_THIN	(1u << 0)
#define CREATE_PADDED	(1u << 1) /* so many xattrs that it takes several metadata pages */
#define CREATE_EXTERNAL (1u << 2) /* stands on the external snapshot */
int run_create(struct run *r, uint64_t clusters, unsigned int flags, enum blob_clear clear);
/** run_create_runs() - a thin volume that keeps runs, not extent pages */
int run_create_runs(struct run *r, uint64_t clusters);
void run_delete(struct run *r, int v);
void run_resize(struct run *r, int v, uint64_t clusters);
int run_snapshot(struct run *r, int v);
int run_clone(struct run *r, int v);
void run_inflate(struct run *r, int v);
void run_decouple(struct run *r, int v);
void run_set_parent(struct run *r, int v, int parent);
void run_set_external(struct run *r, int v);
void run_rename(struct run *r, int v);
/** run_pad() - set an xattr of so many bytes, at most PAD_BYTES, in front of what the root page
 * says */
void run_pad(struct run *r, int v, uint16_t bytes);
void run_read_only(struct run *r, int v);
void run_grow(struct run *r);
void run_set_super(struct run *r, int v);
/** run_reload() - unload and load again */
void run_reload(struct run *r);
/** run_grow_at_load() - the same, on a larger device */
void run_grow_at_load(struct run *r);
/** run_destroy() - there is no store behind it until run_init() */
void run_destroy(struct run *r);
/** run_init() - a new store over what is there */
void run_init(struct run *r);

/* --- data: in the air until run_wait() ---------------------------------------------------------
 */

void run_write(struct run *r, int v, unsigned int reactor, uint64_t block, uint64_t blocks,
	       bool fua);
void run_zeroes(struct run *r, int v, unsigned int reactor, uint64_t block, uint64_t blocks);
void run_unmap(struct run *r, int v, unsigned int reactor, uint64_t block, uint64_t blocks);
void run_wait(struct run *r);
/** run_flush() - through a volume, and wait for it; others may be in the air */
void run_flush(struct run *r, int v, unsigned int reactor);
/** run_put() - write, wait, flush */
void run_put(struct run *r, int v, uint64_t block, uint64_t blocks);

#endif
