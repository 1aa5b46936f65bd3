/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blobstore on disk, version 3, as SPDK defines it: a contract. docs/blobstore-format.md tells it
 * in words. All fields little-endian, all structures packed; read them with base/le.h.
 *
 * Threading: constants and types only.
 */
#ifndef BLOB_FORMAT_H
#define BLOB_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define BLOB_SIGNATURE	     "SPDKBLOB"
#define BLOB_VERSION	     3u
#define BLOB_VERSION_MIN     1u
#define BLOB_PAGE_BYTES	     4096u /* structure of a page; a slot may be larger */
#define BLOB_SECTOR_BYTES    512u  /* what a device that tears pages writes whole */
#define BLOB_PAGE_BYTES_MAX  65536u
#define BLOB_ID_BASE	     (UINT64_C(1) << 32) /* a blob's id is this plus its root page's index */
#define BLOB_ID_NONE	     UINT64_MAX
#define BLOB_NEXT_NONE	     UINT32_C(0xffffffff)
#define BLOB_EXTENT_CLUSTERS 512u /* entries of an extent page */

struct blob_disk_super {
	char signature[8];
	uint32_t version;
	uint32_t length;
	uint32_t clean;
	uint64_t super_blob;
	uint32_t cluster_size;
	uint32_t used_page_mask_start;
	uint32_t used_page_mask_len;
	uint32_t used_cluster_mask_start;
	uint32_t used_cluster_mask_len;
	uint32_t md_start;
	uint32_t md_len;
	uint8_t bstype[16];
	uint32_t used_blobid_mask_start;
	uint32_t used_blobid_mask_len;
	uint64_t size;
	uint32_t io_unit_size;
	uint32_t md_page_size;
	uint8_t reserved[3996];
	uint32_t crc;
} __attribute__((packed));
_Static_assert(sizeof(struct blob_disk_super) == BLOB_PAGE_BYTES, "super block");
_Static_assert(offsetof(struct blob_disk_super, super_blob) == 20, "super block");
_Static_assert(offsetof(struct blob_disk_super, md_start) == 48, "super block");
_Static_assert(offsetof(struct blob_disk_super, bstype) == 56, "super block");
_Static_assert(offsetof(struct blob_disk_super, size) == 80, "super block");
_Static_assert(offsetof(struct blob_disk_super, md_page_size) == 92, "super block");
_Static_assert(offsetof(struct blob_disk_super, crc) == 4092, "super block");

enum blob_disk_mask_type {
	BLOB_MASK_PAGES = 0,
	BLOB_MASK_CLUSTERS = 1,
	BLOB_MASK_BLOBIDS = 2,
};

struct blob_disk_mask {
	uint8_t type;
	uint32_t length; /* in bits */
	uint8_t bits[];
} __attribute__((packed));
_Static_assert(sizeof(struct blob_disk_mask) == 5, "mask header");

#define BLOB_DESCRIPTORS_BYTES 4072u

struct blob_disk_page {
	uint64_t id;
	uint32_t sequence;
	uint32_t reserved;
	uint8_t descriptors[BLOB_DESCRIPTORS_BYTES];
	uint32_t next;
	uint32_t crc;
} __attribute__((packed));
_Static_assert(sizeof(struct blob_disk_page) == BLOB_PAGE_BYTES, "metadata page");
_Static_assert(offsetof(struct blob_disk_page, next) == 4088, "metadata page");

enum blob_disk_type {
	BLOB_DESC_PADDING = 0,
	BLOB_DESC_EXTENT_RLE = 1,
	BLOB_DESC_XATTR = 2,
	BLOB_DESC_FLAGS = 3,
	BLOB_DESC_XATTR_INTERNAL = 4,
	BLOB_DESC_EXTENT_TABLE = 5,
	BLOB_DESC_EXTENT_PAGE = 6,
};

struct blob_disk_desc {
	uint8_t type;
	uint32_t length; /* of what follows */
} __attribute__((packed));
_Static_assert(sizeof(struct blob_disk_desc) == 5, "descriptor header");

struct blob_disk_run {
	uint32_t cluster; /* 0: not allocated */
	uint32_t count;
} __attribute__((packed));

struct blob_disk_table_entry {
	uint32_t page; /* 0: none */
	uint32_t count;
} __attribute__((packed));

struct blob_disk_flags {
	struct blob_disk_desc desc;
	uint64_t invalid;
	uint64_t data_ro;
	uint64_t md_ro;
} __attribute__((packed));
_Static_assert(sizeof(struct blob_disk_flags) == 29, "flags descriptor");

#define BLOB_INVALID_THIN	  (UINT64_C(1) << 0)
#define BLOB_INVALID_XATTRS	  (UINT64_C(1) << 1) /* internal xattrs present */
#define BLOB_INVALID_EXTENT_TABLE (UINT64_C(1) << 2)
#define BLOB_INVALID_ESNAP	  (UINT64_C(1) << 3) /* clone of an external snapshot */
#define BLOB_INVALID_KNOWN	  UINT64_C(0xf)
#define BLOB_DATA_RO		  (UINT64_C(1) << 0)
#define BLOB_DATA_RO_KNOWN	  UINT64_C(1)
#define BLOB_MD_RO_CLEAR_MASK	  UINT64_C(3)
#define BLOB_MD_RO_KNOWN	  UINT64_C(3)

#define BLOB_XATTR_BYTES_MAX 4063u /* name and value together */
#define BLOB_XATTR_SNAP	     "SNAP"
#define BLOB_XATTR_SNAPTMP   "SNAPTMP"
#define BLOB_XATTR_SNAPRM    "SNAPRM"
#define BLOB_XATTR_EXTSNAP   "EXTSNAP"

#endif
