/* SPDX-License-Identifier: Apache-2.0 */
/*
 * create: what its two files share.
 *
 * Threading: one thread.
 */
#ifndef BLOBTOOL_CREATE_H
#define BLOBTOOL_CREATE_H

#include "base/uuid.h"
#include "blobtool/image.h"

/**
 * struct source - a volume that is to be made, and where its content comes from
 * @name: of the volume
 * @file: NULL: it is empty
 * @bytes: its size, before it is rounded up to clusters
 * @data: the content, raw; of a qcow2 file a temporary one
 * @thin: holes and zeroes stay holes
 */
struct source {
	char name[64];
	const char *file;
	uint64_t bytes;
	struct image data;
	bool thin;
	struct uuid uuid;
};

/** struct source_options - @format: "raw", "qcow2" or NULL: look; @backing: follow backing files */
struct source_options {
	const char *format;
	bool thick, backing;
};

/** source_open() - from a word VOLUME=FILE or VOLUME=SIZE */
int source_open(struct source *s, const char *word, const struct source_options *o,
		struct error *err);
void source_close(struct source *s);

#endif
