/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: what its files share.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_CREATE_H
#define BLOBTOOL_CREATE_H

#include "base/bit_array.h"
#include "base/uuid.h"
#include "blob/page.h"
#include "blobtool/image.h"
#include "blobtool/tool.h"

/**
 * struct source - a volume that is to be made, and where its content comes from
 * @name: of the volume
 * @file: NULL: it is empty
 * @bytes: its size, before it is rounded up to clusters
 * @data: the content, raw; of a qcow2 file a temporary one
 * @thin: holes and zeroes stay holes
 * @root: its root page; @map: what it has
 * @page: the root page's content, written when all else is durable
 */
struct source {
	char name[64];
	const char *file;
	uint64_t bytes;
	struct image data;
	bool thin;
	struct uuid uuid;
	uint32_t root;
	struct blob_map *map;
	uint8_t *page;
};

/** struct source_options - @format: "raw", "qcow2" or NULL: look; @backing: follow backing files */
struct source_options {
	const char *format;
	bool thick, backing;
};

/** source_open() - @sources[@i], from a word VOLUME=FILE or VOLUME=SIZE; those before are open */
int source_open(struct source *sources, uint32_t i, const char *word,
		const struct source_options *o, struct error *err);
void source_close(struct source *s);

/**
 * struct maker - a store that is made, or that gets more volumes
 * @adds: the store is there already
 * @was_clean: it was unloaded cleanly; @super: its super block as it was
 * @pages, @clusters, @ids: as the masks will have them
 * @fresh: metadata pages that this run wrote
 */
struct maker {
	struct image img;
	struct blob_geometry geo;
	const char *store;
	struct uuid uuid;
	bool adds, was_clean;
	uint8_t super[BLOB_PAGE_BYTES];
	struct source *sources;
	uint32_t count;
	struct bit_array *pages, *clusters, *ids, *fresh;
	uint8_t *piece;
	struct progress progress;
	uint64_t done, total;
};

/** maker_prepare() - memory for a store of @mk->geo; the metadata's own clusters are taken */
int maker_prepare(struct maker *mk, struct error *err);
uint64_t maker_free_clusters(const struct maker *mk);
/** maker_write_volumes() - data => extent pages, continuation pages => roots, all durable */
int maker_write_volumes(struct maker *mk, struct error *err);
int maker_write_masks(struct maker *mk, struct error *err);

/* create_add.c: volumes for a store that is there */
/**
 * adder_open() - take the store on @mk->img if it is the one that is named
 *
 * Return: 0, @mk->adds tells whether it is; -EILSEQ it is damaged, -EBUSY something in it waits for
 * a load, -EEXIST a name is taken.
 */
int adder_open(struct maker *mk, struct error *err);
/** adder_run() - what fails or is interrupted leaves the store as it was */
int adder_run(struct maker *mk, struct error *err);

#endif
