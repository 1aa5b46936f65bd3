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

/**
 * typedef probe_wait_fn - wait until @fd is readable, or until @until_ns of clock_ns()
 *
 * Return: above 0 when it is; 0 when the time is over; or a negative errno.
 */
typedef int (*probe_wait_fn)(void *arg, int fd, uint64_t until_ns);
/** typedef probe_turn_fn - do what can be done now, without waiting */
typedef void (*probe_turn_fn)(void *arg);

/**
 * probe_set_meanwhile() - let the caller do something else while the probe looks
 * @wait: instead of poll(2) where the probe waits for a child
 * @turn: called between two devices
 *
 * Neither may call the probe.
 */
void probe_set_meanwhile(struct probe *p, probe_wait_fn wait, probe_turn_fn turn, void *arg);

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
	PROBE_REASON_BCACHE,
	PROBE_REASON_DRBD,
	PROBE_REASON_ZFS,
	PROBE_REASON_BTRFS,
	PROBE_REASON_EXPORT,
	PROBE_REASON_HOLDER,
	PROBE_REASON_LOOP,
	PROBE_REASON_OPEN,
	PROBE_REASON_LOCK,
	PROBE_REASON_EXCLUSIVE,
	PROBE_REASON_SIGNATURE,
	PROBE_REASON_BLOBSTORE,
	PROBE_REASON_CONTENT,
	PROBE_REASON_REMOTE,
	PROBE_REASON_READ_ONLY,
	PROBE_REASON_SIZE,
	PROBE_REASON_KIND,
	PROBE_REASON_UNREADABLE,
	PROBE_REASON_SILENT,
	PROBE_REASON_HEALTH,
	PROBE_REASON_USER_SPACE,
	PROBE_REASON_DRIVER,
	PROBE_REASON_ACCELERATOR,
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

#define PROBE_TEMPERATURE_UNKNOWN INT_MIN

/**
 * struct probe_health - what a disk tells of itself
 * @smart: the SMART log page was read; without it only @state and @temperature say anything
 * @note: why it was not read; "" when it was
 * @state: sysfs's word: "live", "running", "dead"; "" when there is none
 * @temperature: degrees Celsius, or PROBE_TEMPERATURE_UNKNOWN
 * @critical_warning: NVMe's bits, see probe_health_warning()
 * @available_spare, @spare_threshold, @percentage_used: percent
 */
struct probe_health {
	bool smart;
	char note[128];
	char state[16];
	int temperature;
	unsigned int critical_warning;
	unsigned int available_spare, spare_threshold, percentage_used;
	uint64_t bytes_read, bytes_written;
	uint64_t power_cycles, power_on_hours, unsafe_shutdowns, media_errors, error_log_entries;
};

/** probe_health_warning() - the words of the @i-th bit that is set; NULL when there are no more */
const char *probe_health_warning(unsigned int critical_warning, size_t i);

/**
 * struct probe_device - a block device, or a file that may back a store
 * @name: kernel name, or the last part of a file's path
 * @path: /dev/NAME, or the file's real path
 * @kind: "disk", "partition", "loop", "dm", "md", "file"
 * @serial: what --force wants to hear; never empty: where the hardware tells none it is made from
 *          what is stable (world-wide name, else kind and number; a file's device and inode)
 * @size: bytes
 * @block_size, @physical_block_size: bytes
 * @numa_node: -1 when unknown
 * @rotational: a spinning disk
 * @address: of the PCI function it is on; "" when that is not known
 * @transport: of an NVMe namespace: "pcie", "tcp", "rdma", "fc", "loop"; else ""
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
	char address[32];
	char transport[16];
	uint64_t size;
	uint32_t block_size, physical_block_size;
	int numa_node;
	bool rotational, read_only, removable;
	struct probe_health health;
	struct probe_finding *findings;
	size_t finding_count;
};

/** probe_device_verdict() - the worst verdict of all findings */
enum probe_verdict probe_device_verdict(const struct probe_device *d);
/** probe_device_reason() - the finding behind the verdict; NULL when the device is free */
const struct probe_finding *probe_device_reason(const struct probe_device *d);
/** probe_find() - add a finding, also one of the caller's own; 0 or -ENOMEM */
int probe_find(struct probe_device *d, enum probe_reason reason, enum probe_verdict verdict,
	       const char *remedy, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
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
/** probe_devices_seen() - probe_devices() without a probe_refresh() */
int probe_devices_seen(struct probe *p, struct probe_devices *out, struct error *err);
void probe_devices_fini(struct probe_devices *d);

/**
 * probe_path() - the block device or regular file at @path, with its findings
 * @out: given back by probe_device_fini() after 0
 *
 * Return: 0; -ENOENT when nothing is there; -EINVAL when it is neither a block device nor a
 * regular file; -ETIMEDOUT when its file system does not answer; other errno of the lookup.
 */
int probe_path(struct probe *p, const char *path, struct probe_device *out, struct error *err);

/**
 * probe_is_same_path() - both lead to one file or device, however they are written
 *
 * False where one is not there, or its file system does not answer within five seconds.
 */
bool probe_is_same_path(struct probe *p, const char *path, const char *other);

/**
 * probe_refresh() - forget what was read of processes
 *
 * probe_devices() and probe_path() do so; probe_devices_seen(), probe_targets() and probe_unseen()
 * use the picture that is there, so that one reading of /proc does for all of them.
 */
void probe_refresh(struct probe *p);

/**
 * probe_unseen() - what this user could not see of the last listing, sentence by sentence
 * @i: from 0 on
 *
 * Return: true and @text filled, or false when there is no more.
 */
bool probe_unseen(struct probe *p, size_t i, char *text, size_t size);

/* The node as a whole. */

#define PROBE_HUGEPAGES_MAX 64

struct probe_hugepages {
	int numa_node;	    /* -1: the whole node, where sizes are not told by NUMA node */
	uint64_t page_size; /* bytes */
	uint64_t total;
	uint64_t free;
	uint64_t surplus; /* of the total: taken over the pool's size, given back when freed */
};

#define PROBE_NUMA_MAX 64

struct probe_numa {
	int node;
	char cpus[128];		      /* "0-7,16-23" */
	uint64_t memory, memory_free; /* bytes */
};

/** enum probe_module_state - a module of the kernel */
enum probe_module_state {
	PROBE_MODULE_ABSENT,
	PROBE_MODULE_AVAILABLE, /* modprobe would find it */
	PROBE_MODULE_LOADED,
	PROBE_MODULE_BUILT_IN,
};

struct probe_module {
	const char *name;
	enum probe_module_state state;
};

#define PROBE_MODULES_MAX 24

/**
 * struct probe_nvme - an NVMe controller on PCI, whichever driver it is bound to
 * @driver: "" when none is bound
 * @controller: "nvme0"; "" unless the nvme driver has it
 * @model, @serial, @firmware: known only through the nvme driver
 * @vendor_device: 144d:a808
 * @iommu_group: -1 when there is none
 * @namespaces: names of its block devices, separated by blanks; @size: of all of them, bytes
 * @finding: what stands against it; its verdict is PROBE_FREE when nothing does
 */
struct probe_nvme {
	char address[32];
	char driver[32];
	char controller[32];
	char model[64], serial[96], firmware[32];
	char vendor_device[16];
	int numa_node;
	int iommu_group;
	char namespaces[512];
	uint64_t size;
	struct probe_health health;
	struct probe_finding finding;
};

/** struct probe_group - an IOMMU group, the smallest thing that can be given to user space */
struct probe_group {
	int number;
	char members[512]; /* PCI addresses, separated by blanks */
};

/**
 * struct probe_node - what a target would find here
 * @cpus: there are; @cpus_online, @cpus_isolated: lists; @cpus_allowed: how many this process may
 *        use
 * @noiommu: VFIO may be used without an IOMMU
 * @io_uring_reason: why io_uring is not allowed; "" when it is
 * @io_uring_disabled: the sysctl; -1 when this kernel has none
 */
struct probe_node {
	char hostname[HOST_NAME_MAX + 1];
	char kernel[65];
	unsigned int cpus, cpus_allowed;
	char cpus_online[128], cpus_isolated[128];
	unsigned int numa_nodes;
	struct probe_numa numa[PROBE_NUMA_MAX];
	size_t numa_count;
	uint64_t memory; /* bytes */
	bool iommu, noiommu;
	bool io_uring;
	char io_uring_reason[160];
	int io_uring_disabled;
	bool vfio; /* the vfio-pci module is there */
	struct probe_module modules[PROBE_MODULES_MAX];
	size_t module_count;
	struct probe_hugepages hugepages[PROBE_HUGEPAGES_MAX];
	size_t hugepage_count;
	struct probe_nvme *nvme;
	size_t nvme_count;
	struct probe_group *groups;
	size_t group_count;
};

/**
 * probe_node() - 0 or -ENOMEM; what cannot be read stays zero
 * @devices: of the same moment, for the verdicts on NVMe functions; NULL: none are given
 */
int probe_node(struct probe *p, const struct probe_devices *devices, struct probe_node *out);
void probe_node_fini(struct probe_node *n);
json_t *probe_node_json(const struct probe_node *n);

/* Running targets. */

/**
 * struct probe_target - a process that is, or looks like, an SPDK target, with its socket
 * @socket: path by which it is reached from here; "" when no socket of it was found
 * @inside: the path as the process knows it, where that is another one
 * @pid: who holds the socket; 0 when that is not visible
 * @program: base name of what it runs; "" when that is not visible
 * @kind: by its program: "engine", "spdk_tgt", "nvmf_tgt", "vhost", "iscsi_tgt", else "unknown"
 * @cores: those that it has locked, "0 1"
 * @contained: it has another root or mount namespace
 * @locked: the socket's lock file is held, as SPDK does
 */
struct probe_target {
	char socket[PATH_MAX];
	char inside[PATH_MAX];
	pid_t pid;
	char command[16];
	char program[64];
	const char *kind;
	char cores[128];
	bool contained, locked;
};

/**
 * probe_targets() - SPDK targets that run here: by socket (in any network namespace), by process,
 * by lock file
 * @dir: sockets below this folder count too
 * @out: array to be freed by the caller
 *
 * Return: how many, or -ENOMEM.
 */
ssize_t probe_targets(struct probe *p, const char *dir, struct probe_target **out);

#define PROBE_SOCKET_SIZE 128 /* a line of /proc/net/unix has at most 108 bytes of path */

/**
 * probe_target_sockets() - those of them that can be told without looking at each process
 * @out: paths of listening sockets in this mount and network namespace with a lock file beside, as
 *       SPDK has it, whose listener runs a target's program
 *
 * Return: how many, @room at most.
 */
size_t probe_target_sockets(struct probe *p, char (*out)[PROBE_SOCKET_SIZE], size_t room);

/**
 * probe_target_open() - the socket of a target, to be connected to as /proc/self/fd/N
 *
 * So a path that is too long for an address, or in a container, can be reached; links inside a
 * container lead nowhere else, and what is no socket is refused.
 *
 * Return: a descriptor for the caller to close, or a negative errno.
 */
int probe_target_open(struct probe *p, const struct probe_target *t);

/** probe_core_holder() - the SPDK, or program of ours, that has locked a core; 0: nobody */
pid_t probe_core_holder(const struct probe *p, unsigned int core);

/* Ceph. */

enum { PROBE_CEPH_MONITORS = 16, PROBE_CEPH_KEYRINGS = 16, PROBE_CEPH_POOLS = 256 };

/**
 * struct probe_ceph_monitor - one address of a monitor
 * @protocol: "v2", "v1"; "" when it did not answer as a monitor does
 * @error: why it is not reached
 */
struct probe_ceph_monitor {
	char host[128];
	unsigned int port;
	char protocol[4];
	char error[96];
};

struct probe_ceph_keyring {
	char path[PATH_MAX];
	char user[64]; /* client.admin */
	bool readable;
};

/**
 * struct probe_ceph - a cluster that this node is configured for
 * @name: of the cluster: the configuration file's name
 * @librbd: it is installed here
 * @error: why it cannot be used; "" when its pools were listed
 */
struct probe_ceph {
	char name[64];
	char path[PATH_MAX];
	char fsid[40];
	struct probe_ceph_monitor monitors[PROBE_CEPH_MONITORS];
	size_t monitor_count;
	struct probe_ceph_keyring keyrings[PROBE_CEPH_KEYRINGS];
	size_t keyring_count;
	bool reachable, librbd;
	char user[64]; /* as whom the pools were asked for */
	char (*pools)[128];
	size_t pool_count;
	char error[256];
};

/**
 * probe_ceph() - the clusters of /etc/ceph/NAME.conf and of CEPH_CONF, monitors asked
 * @out: array, to be given back by probe_ceph_free()
 *
 * Asks each monitor for its greeting and, where librados and a keyring are there, for the pools;
 * takes at most about five seconds for each.
 *
 * Return: how many, or -ENOMEM.
 */
ssize_t probe_ceph(struct probe *p, struct probe_ceph **out);
void probe_ceph_free(struct probe_ceph *list, size_t count);
json_t *probe_ceph_json(const struct probe_ceph *c);

/**
 * struct probe_ceph_image - an image, as its cluster tells
 * @entered: the cluster let us in; what is wrong then is the image's
 * @size: bytes
 * @watchers: how many clients have it open for writing; @watcher: the address of one
 * @locker: who locked it by hand, and with which words; "" for nobody
 * @error: why it cannot be told
 */
struct probe_ceph_image {
	bool entered;
	uint64_t size;
	size_t watchers;
	char watcher[64];
	char locker[128];
	char error[256];
};

/**
 * probe_ceph_image() - ask a cluster for an image, or whether it lets us in
 * @conf: its configuration
 * @user: "admin", not "client.admin"
 * @image: NULL: only whether it answers this user
 *
 * Takes at most about twelve seconds. Return: 0; -ENOSYS when librados or librbd is not installed
 * here; -ETIMEDOUT; -ENOENT, -EACCES and what else Ceph says, with @out->error filled.
 */
int probe_ceph_image(struct probe *p, const char *conf, const char *user, const char *pool,
		     const char *image, struct probe_ceph_image *out);

#endif
