/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that a power cut tore: some 512-byte sectors are old, some new, the checksum stands in the
 * last one.
 *
 * A CRC is linear: for each word of a page there is exactly one change of it that makes the
 * checksum right, so that the checksum tells which entry of an extent page was written.
 *
 * Threading: pure functions.
 */
#ifndef BLOBTOOL_TORN_H
#define BLOBTOOL_TORN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blob/format.h"

#define TORN_SECTOR 512u

/** torn_difference() - between the checksum that stands in @page and that of its content */
uint32_t torn_difference(const uint8_t *page);

/** torn_retreat() - what a difference was one byte earlier */
uint32_t torn_retreat(uint32_t difference);

/**
 * torn_word() - the change (to be XORed) of the word at byte @at that explains @difference
 * @at: at most BLOB_PAGE_BYTES - 8; any alignment
 */
uint32_t torn_word(uint32_t difference, uint32_t at);

/** struct torn_entry - an entry of an extent page, and the cluster that it should name */
struct torn_entry {
	uint32_t entry, cluster;
};
typedef bool (*torn_may_be_fn)(uint32_t cluster, void *arg);

/**
 * torn_entries() - single entries of extent page @page that explain its checksum
 * @may_be: whether an entry can name this cluster
 *
 * Return: how many there are; at most @max are in @out.
 */
uint32_t torn_entries(const uint8_t *page, torn_may_be_fn may_be, void *arg, struct torn_entry *out,
		      uint32_t max);

/**
 * torn_empty_run() - entries, each behind the one before, that make the checksum right as holes
 *
 * Return: whether there is exactly one such run of at least two; @page has holes there then.
 */
bool torn_empty_run(uint8_t *page);

/**
 * torn_trim() - zeroes behind the descriptors of @page, and behind a table of extents when what
 * follows is none
 *
 * Return: false: a descriptor before that goes beyond the page.
 */
bool torn_trim(uint8_t *page);

#endif
