/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the node has and who uses it. Every program that may write to a device or file asks here
 * first.
 *
 * A probe reads /proc and /sys (below a prefix, for tests), the content of devices, and asks the
 * kernel by an exclusive open. It changes nothing. An answer is a picture of one moment: who acts
 * on it opens the device exclusively itself.
 *
 * Threading: a probe belongs to one thread; results belong to the caller.
 */
#ifndef PROBE_PROBE_H
#define PROBE_PROBE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/error.h"

struct probe;

/**
 * probe_create() - a probe of this node
 * @root: NULL for the running system; else a folder that holds proc/ and sys/ of another one: then
 *        no device is opened
 *
 * Return: the probe, or NULL when memory is short.
 */
struct probe *probe_create(const char *root);
void probe_destroy(struct probe *p);

/** enum probe_verdict - may a store be put there; the worst of all findings */
enum probe_verdict {
	PROBE_FREE,	  /* yes */
	PROBE_HOLDS_DATA, /* nobody uses it, but it is not empty: only by naming its serial */
	PROBE_UNFIT,	  /* no: too small, read-only, no storage */
	PROBE_IN_USE,	  /* never while that lasts */
};

/** enum probe_reason - why a device is not free; each has its own words */
enum probe_reason {
	PROBE_REASON_PARTITIONS,
	PROBE_REASON_MOUNT,
	PROBE_REASON_SWAP,
	PROBE_REASON_LVM,
	PROBE_REASON_MD,
	PROBE_REASON_DM,
	PROBE_REASON_HOLDER,
	PROBE_REASON_LOOP,
	PROBE_REASON_OPEN,
	PROBE_REASON_LOCK,
	PROBE_REASON_EXCLUSIVE,
	PROBE_REASON_SIGNATURE,
	PROBE_REASON_BLOBSTORE,
	PROBE_REASON_CONTENT,
	PROBE_REASON_READ_ONLY,
	PROBE_REASON_SIZE,
	PROBE_REASON_KIND,
	PROBE_REASON_UNREADABLE,
};

/** probe_reason_name() - "partitions", "mount", ... for JSON */
const char *probe_reason_name(enum probe_reason reason);
/** probe_verdict_name() - "free", "holds-data", "unfit", "in-use" */
const char *probe_verdict_name(enum probe_verdict verdict);

/**
 * struct probe_finding - one thing that stands against a device
 * @text: what was found, with its owner's name
 * @remedy: what would make the device eligible
 */
struct probe_finding {
	enum probe_reason reason;
	enum probe_verdict verdict;
	char text[320];
	char remedy[192];
};

/**
 * struct probe_device - a block device, or a file that may back a store
 * @name: kernel name, or the last part of a file's path
 * @path: /dev/NAME, or the file's real path
 * @kind: "disk", "partition", "loop", "dm", "md", "file"
 * @serial: what --force wants to hear; never empty: where the hardware tells none it is made from
 *          what is stable (world-wide name, else kind and number; a file's device and inode)
 * @size: bytes
 * @block_size: logical block size in bytes
 * @numa_node: -1 when unknown
 * @rotational: a spinning disk
 */
struct probe_device {
	char name[NAME_MAX + 1];
	char path[PATH_MAX];
	const char *kind;
	dev_t dev;
	char model[64];
	char serial[96];
	char firmware[32];
	char driver[32];
	uint64_t size;
	uint32_t block_size;
	int numa_node;
	bool rotational;
	struct probe_finding *findings;
	size_t finding_count;
};

/** probe_device_verdict() - the worst verdict of all findings */
enum probe_verdict probe_device_verdict(const struct probe_device *d);
/** probe_device_reason() - the finding behind the verdict; NULL when the device is free */
const struct probe_finding *probe_device_reason(const struct probe_device *d);
void probe_device_fini(struct probe_device *d);
/** probe_device_json() - new reference; NULL when memory is short */
json_t *probe_device_json(const struct probe_device *d);

struct probe_devices {
	struct probe_device *items;
	size_t count;
};

/**
 * probe_devices() - all block devices of the node with their partitions, each with its findings
 * @out: filled; given back by probe_devices_fini() in any case
 *
 * Devices without a medium (loop devices without a file, empty readers) are left out.
 * Return: 0, -ENOMEM, or -ENOENT (with @err) when there is no /sys.
 */
int probe_devices(struct probe *p, struct probe_devices *out, struct error *err);
void probe_devices_fini(struct probe_devices *d);

/**
 * probe_path() - the block device or regular file at @path, with its findings
 * @out: given back by probe_device_fini() after 0
 *
 * Return: 0; -ENOENT when nothing is there; -EINVAL when it is neither a block device nor a
 * regular file; other errno of the lookup.
 */
int probe_path(struct probe *p, const char *path, struct probe_device *out, struct error *err);

/* The node as a whole. */

#define PROBE_HUGEPAGES_MAX 64

struct probe_hugepages {
	int numa_node;	    /* -1: the whole node, where sizes are not told by NUMA node */
	uint64_t page_size; /* bytes */
	uint64_t total;
	uint64_t free;
};

struct probe_nvme {
	char address[32]; /* PCI: 0000:01:00.0 */
	char driver[32];  /* "" when none is bound */
	char model[64], serial[96], firmware[32];
	char vendor_device[16]; /* 144d:a808 */
	int numa_node;
	int iommu_group; /* -1 when there is none */
};

/**
 * struct probe_node - what a target would find here
 * @io_uring_reason: why io_uring is not allowed; "" when it is
 */
struct probe_node {
	char hostname[HOST_NAME_MAX + 1];
	char kernel[65];
	unsigned int cpus;
	unsigned int numa_nodes;
	uint64_t memory; /* bytes */
	bool iommu;
	bool io_uring;
	char io_uring_reason[160];
	bool vfio; /* the vfio-pci module is there */
	struct probe_hugepages hugepages[PROBE_HUGEPAGES_MAX];
	size_t hugepage_count;
	struct probe_nvme *nvme;
	size_t nvme_count;
};

/** probe_node() - 0 or -ENOMEM; what cannot be read stays zero */
int probe_node(struct probe *p, struct probe_node *out);
void probe_node_fini(struct probe_node *n);
json_t *probe_node_json(const struct probe_node *n);

/** struct probe_socket - a listening UNIX socket with a path */
struct probe_socket {
	char path[128];
	pid_t pid; /* who holds it; 0 when that is not visible */
	char command[32];
};

/**
 * probe_sockets() - listening UNIX sockets whose path contains @word, each path once
 * @out: array to be freed by the caller
 *
 * Return: how many, or -ENOMEM.
 */
ssize_t probe_sockets(struct probe *p, const char *word, struct probe_socket **out);

#endif
