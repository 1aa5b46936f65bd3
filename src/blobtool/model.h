/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store as its pages tell it, damaged or not: pages, blobs, who owns what, what a load would do.
 *
 * Unlike a load it goes on behind each thing that is wrong, and notes it. Memory follows from what
 * is written on the image, not from the numbers that stand there.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_MODEL_H
#define BLOBTOOL_MODEL_H

#include "base/uuid.h"
#include "blob/page.h"
#include "blob/super.h"
#include "blobtool/findings.h"
#include "blobtool/image.h"

#define NO_BLOB	     UINT32_MAX
#define NAME_SIZE    256u /* a name as it is shown: longer ones are damage anyway */
#define LVOL_NAME    63u
#define LVOL_BSTYPE  "LVOLSTORE"
#define OVERLAPS_MAX 65536u

/**
 * struct md_page - a metadata page that is not all zeroes
 * @kind: of an enum blob_page_kind; EMPTY here is a page without a valid checksum
 * @owner: the blob whose it is; NO_BLOB
 * @lists: how often it was read as an extent page
 */
struct md_page {
	uint32_t index;
	uint32_t owner;
	uint8_t kind;
	uint8_t lists;
};

/** struct run - clusters that follow each other, in the blob and on the device; @page lists them */
struct run {
	uint64_t index;
	uint32_t cluster, count;
	uint32_t page;
};

enum damage {
	DAMAGE_NONE,
	DAMAGE_ROOT,	   /* the root page's checksum */
	DAMAGE_CHAIN_PAGE, /* @bad_page: no such page, or its checksum */
	DAMAGE_CHAIN_LOOP, /* @bad_page comes a second time */
	DAMAGE_CONTENT,	   /* descriptors of @bad_page */
	DAMAGE_EXTENTS,	   /* extent page @bad_page */
	DAMAGE_SHARED,	   /* @bad_page is another blob's too */
	DAMAGE_CLUSTER,	   /* a cluster is another blob's too: all is readable, nothing is safe */
	DAMAGE_PARENT,	   /* what it stands on is missing, damaged, or itself */
};

/** enum fate - what the next load does to a snapshot of an interrupted operation */
enum fate { FATE_NONE, FATE_KEEP, FATE_DROP, FATE_LEAVE };

/**
 * struct volume - a blob; of an lvol store also a volume
 * @chain: its pages, the root first
 * @good: how many pages of the chain could be read
 * @listed: a clean load would find it
 * @cut: its table on disk is longer than the blob
 * @runs: what it owns, by index; what was readable, if it is damaged
 * @parent: NO_BLOB
 * @name: NUL-terminated, "" without one; @name_len as on disk, UINT32_MAX: none
 */
struct volume {
	uint64_t id;
	uint32_t root;
	uint32_t *chain;
	uint32_t chain_len;
	struct blob_content content;
	enum damage damage;
	uint32_t bad_page;
	char *damage_text;
	bool listed, cut, has_uuid, sees_external;
	enum fate fate;
	uint64_t clusters, allocated;
	struct run *runs;
	uint32_t run_count, run_room;
	uint32_t parent, children;
	uint64_t parent_id;
	uint32_t name_len;
	char name[NAME_SIZE];
	struct uuid uuid;
};

/** struct owner - a run on the device, ascending by cluster */
struct owner {
	uint32_t cluster, count;
	uint32_t blob;
	uint32_t run;
};

/** struct overlap - clusters that two blobs claim, or one twice */
struct overlap {
	uint32_t cluster, count;
	struct owner a, b;
	bool with_parent; /* @b lists them at the same place as @a, its parent */
};

/** struct mask - as on disk; @bits is NULL when it was not read */
struct mask {
	uint8_t *bits;
	uint64_t count;
	bool sound;
};

/**
 * struct model
 * @code: 0, or why nothing can be said: the super block
 * @pages, @blobs: ascending
 * @masks: by enum blob_disk_mask_type; of a clean store only
 * @free_clusters: as a load finds them
 */
struct model {
	struct image *img;
	struct findings *f;
	int code;
	struct blob_geometry geo;
	uint8_t super[BLOB_PAGE_BYTES];
	bool is_lvol, trusts_masks;
	struct md_page *pages;
	uint32_t page_count, page_room;
	struct volume *blobs;
	uint32_t blob_count, blob_room;
	struct owner *owners;
	uint64_t owner_count, owner_room;
	struct overlap *overlaps;
	uint32_t overlap_count, overlap_room;
	struct mask masks[3];
	uint64_t free_clusters;
	uint32_t super_blob;
	bool store_has_uuid;
	char store_name[NAME_SIZE];
	struct uuid store_uuid;
};

/**
 * model_load() - look at everything; findings go to @f
 *
 * Return: 0, also of a damaged store; -ENOMEM, -EIO with @err filled. @m->code says whether there
 * is a store at all.
 */
int model_load(struct model *m, struct image *img, struct findings *f, struct error *err);
void model_free(struct model *m);

/** volume_is_read_only() - as the next load has it */
static inline bool volume_is_read_only(const struct volume *v)
{
	return v->content.data_ro != 0 || v->fate == FATE_KEEP;
}

/* scan.c */
int model_scan(struct model *m, struct error *err);
/** model_page() - the page @index; NULL when it is all zeroes */
struct md_page *model_page(const struct model *m, uint32_t index);
int model_read_page(const struct model *m, uint32_t index, void *page, struct error *err);

/* blobs.c: chains and content */
int model_read_blobs(struct model *m, struct error *err);
/** model_find() - by id; NO_BLOB */
uint32_t model_find(const struct model *m, uint64_t id);
void model_damage(struct model *m, struct volume *v, enum damage damage, uint32_t page,
		  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static inline bool model_is_super(const struct model *m, const struct volume *v)
{
	return m->geo.super_blob == v->id;
}
/** volume_spoil() - note why @v cannot be used, without a finding; takes @text */
void volume_spoil(struct volume *v, enum damage damage, uint32_t page, char *text);
/** volume_counts() - its facts are known, and the next load does not drop it */
static inline bool volume_counts(const struct volume *v)
{
	return v->listed && v->fate != FATE_DROP &&
	       (v->damage == DAMAGE_NONE || v->damage == DAMAGE_CLUSTER);
}
/** volume_claims() - what it lists is its own until somebody decides otherwise */
static inline bool volume_claims(const struct volume *v)
{
	return v->listed && v->fate != FATE_DROP;
}

/* extents.c: which clusters a blob has */
int model_read_extents(struct model *m, struct error *err);
/** volume_cluster() - the device's cluster behind cluster @index of @v itself; 0: a hole */
uint32_t volume_cluster(const struct volume *v, uint64_t index);
/** volume_run() - the run at or behind @index; NULL */
const struct run *volume_run(const struct volume *v, uint64_t index);

/* tree.c: parents, interrupted operations */
int model_read_tree(struct model *m, struct error *err);

/* names.c: what makes blobs volumes of an lvol store */
int model_read_names(struct model *m, struct error *err);

/* owners.c: who has which cluster and extent page */
int model_read_owners(struct model *m, struct error *err);

/* masks.c */
int model_read_masks(struct model *m, struct error *err);
/** model_check_masks() - against what the pages say */
int model_check_masks(struct model *m, struct error *err);
/** model_build_mask() - what the mask should say: bits in bytes, as on disk; NULL */
uint8_t *model_build_mask(const struct model *m, enum blob_disk_mask_type type);
uint64_t model_mask_bits(const struct model *m, enum blob_disk_mask_type type);
/** model_mask_region() - where a mask is on the device, in pages */
const struct blob_region *model_mask_region(const struct model *m, enum blob_disk_mask_type type);

static inline bool mask_get(const uint8_t *bits, uint64_t i)
{
	return (bits[i / 8] >> (i % 8) & 1) != 0;
}
static inline void mask_set(uint8_t *bits, uint64_t i)
{
	bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8));
}

#endif
