/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block devices of a made-up node: each kind of use is refused in its own words.
 *
 * Threading: one thread.
 */
#include "tree.h"

#include <errno.h>
#include <string.h>

#include "probe/probe.h"

struct node {
	char *root;
	struct probe *probe;
	struct probe_devices devices;
};

static int setup(void **state)
{
	static struct node n;

	n.root = tree_make();
	tree_disk(n.root, "sda", 0, "2097152\n");
	n.probe = probe_create(n.root);
	assert_non_null(n.probe);
	*state = &n;
	return 0;
}

static int teardown(void **state)
{
	struct node *n = *state;

	probe_devices_fini(&n->devices);
	probe_destroy(n->probe);
	tree_remove(n->root);
	return 0;
}

static const struct probe_device *look(struct node *n, const char *name)
{
	struct error err = ERROR_INIT;

	assert_int_equal(probe_devices(n->probe, &n->devices, &err), 0);
	for (size_t i = 0; i < n->devices.count; i++) {
		if (!strcmp(n->devices.items[i].name, name))
			return &n->devices.items[i];
	}
	return NULL;
}

static void expect(struct node *n, const char *name, enum probe_verdict verdict,
		   enum probe_reason reason, const char *word)
{
	const struct probe_device *d = look(n, name);
	const struct probe_finding *f;

	assert_non_null(d);
	assert_int_equal(probe_device_verdict(d), verdict);
	f = probe_device_reason(d);
	assert_non_null(f);
	assert_int_equal(f->reason, reason);
	assert_non_null(strstr(f->text, word));
	assert_true(strlen(f->remedy) > 0);
}

static void test_free_disk_tells_all(void **state)
{
	struct node *n = *state;
	const struct probe_device *d;

	tree_file(n->root, "sys/block/sda/device/model", "  QEMU HARDDISK   \n");
	tree_file(n->root, "sys/block/sda/device/serial", "S3R1AL\n");
	tree_file(n->root, "sys/block/sda/queue/logical_block_size", "4096\n");
	tree_file(n->root, "sys/block/sda/queue/rotational", "1\n");
	tree_file(n->root, "sys/block/sda/device/numa_node", "1\n");
	tree_link(n->root, "sys/block/sda/device/driver", "../../bus/scsi/drivers/sd");
	d = look(n, "sda");
	assert_non_null(d);
	assert_int_equal(probe_device_verdict(d), PROBE_FREE);
	assert_null(probe_device_reason(d));
	assert_string_equal(d->path, "/dev/sda");
	assert_string_equal(d->model, "QEMU HARDDISK");
	assert_string_equal(d->serial, "S3R1AL");
	assert_string_equal(d->driver, "sd");
	assert_int_equal(d->size, 1 << 30);
	assert_int_equal(d->block_size, 4096);
	assert_int_equal(d->numa_node, 1);
	assert_true(d->rotational);
}

static void test_serial_is_never_empty(void **state)
{
	const struct probe_device *d = look(*state, "sda");

	assert_non_null(d);
	assert_string_equal(d->serial, "disk-8:0");
}

static void test_security_partitions_are_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "sys/block/sda/sda1/partition", "1\n");
	tree_file(n->root, "sys/block/sda/sda1/dev", "8:1\n");
	tree_file(n->root, "sys/block/sda/sda1/size", "4096\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_PARTITIONS, "sda1");
	probe_devices_fini(&n->devices);
	assert_int_equal(probe_device_verdict(look(n, "sda1")), PROBE_FREE);
	assert_string_equal(n->devices.items[1].kind, "partition");
}

static void test_security_mounted_in_another_namespace_is_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "proc/1/mountinfo", "22 1 254:0 / / rw - ext4 /dev/root rw\n");
	tree_link(n->root, "proc/1/ns/mnt", "mnt:[1]");
	tree_file(n->root, "proc/77/mountinfo",
		  "30 1 8:0 / /data\\040base rw shared:1 master:2 - ext4 /dev/sda rw\n");
	tree_link(n->root, "proc/77/ns/mnt", "mnt:[2]");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_MOUNT, "/data base (seen by process 77)");
}

/* Who is met first in a namespace may be in a chroot, and see less of it. */
static void test_security_mounted_beside_a_chroot_is_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "proc/5/mountinfo", "40 22 0:5 / / rw - tmpfs tmpfs rw\n");
	tree_link(n->root, "proc/5/ns/mnt", "mnt:[1]");
	tree_file(n->root, "proc/9/mountinfo",
		  "22 1 254:0 / / rw - ext4 /dev/root rw\n30 22 8:0 / /d rw - ext4 /dev/sda rw\n"
		  "40 22 0:5 / /chroot rw - tmpfs tmpfs rw\n");
	tree_link(n->root, "proc/9/ns/mnt", "mnt:[1]");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_MOUNT, "/d (seen by process 9)");
}

static void test_security_mount_source_counts_for_btrfs(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "proc/1/mountinfo", "30 1 0:44 / /b rw - btrfs /dev/sda rw\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_MOUNT, "/b");
}

static void test_security_swap_is_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "proc/swaps",
		  "Filename Type Size Used Priority\n/dev/sda partition 1024 0 -2\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_SWAP, "swap");
}

static void test_security_lvm_is_refused(void **state)
{
	struct node *n = *state;

	tree_dir(n->root, "sys/block/sda/holders/dm-3");
	tree_file(n->root, "sys/block/dm-3/dm/uuid", "LVM-abcdef\n");
	tree_file(n->root, "sys/block/dm-3/dm/name", "vg0-root\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_LVM, "of the group vg0, under its volume root");
}

static void test_security_device_mapper_is_refused(void **state)
{
	struct node *n = *state;

	tree_dir(n->root, "sys/block/sda/holders/dm-0");
	tree_file(n->root, "sys/block/dm-0/dm/uuid", "CRYPT-LUKS2-aa\n");
	tree_file(n->root, "sys/block/dm-0/dm/name", "secret\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_DM, "secret");
}

static void test_security_md_is_refused(void **state)
{
	struct node *n = *state;

	tree_dir(n->root, "sys/block/sda/holders/md127");
	tree_file(n->root, "sys/block/md127/md/level", "raid1\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_MD, "md127 (raid1)");
}

static void test_security_other_holder_is_refused(void **state)
{
	struct node *n = *state;

	tree_dir(n->root, "sys/block/sda/holders/zd0");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_HOLDER, "zd0");
}

static void test_security_drbd_is_refused(void **state)
{
	struct node *n = *state;

	tree_dir(n->root, "sys/block/sda/holders/drbd3");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_DRBD, "backs the DRBD device /dev/drbd3");
}

static void test_security_multipath_is_refused(void **state)
{
	struct node *n = *state;

	tree_dir(n->root, "sys/block/sda/holders/dm-0");
	tree_file(n->root, "sys/block/dm-0/dm/uuid", "mpath-3600a0b8000\n");
	tree_file(n->root, "sys/block/dm-0/dm/name", "mpatha\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_DM, "a multipath device with it as a path");
	assert_string_equal(probe_device_reason(&n->devices.items[n->devices.count - 1])->remedy,
			    "flush that map (multipath -f mpatha)");
}

/* Pools, origins and caches are volumes that only LVM itself may write. */
static void test_security_internal_volume_of_lvm_is_refused(void **state)
{
	const char *id = "LVM-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct node *n = *state;
	char uuid[128];

	tree_disk(n->root, "dm-5", 50, "2097152\n");
	snprintf(uuid, sizeof(uuid), "%s\n", id);
	tree_file(n->root, "sys/block/dm-5/dm/uuid", uuid);
	tree_file(n->root, "sys/block/dm-5/dm/name", "vg--a-pool-tpool\n");
	assert_int_equal(probe_device_verdict(look(n, "dm-5")), PROBE_FREE);
	probe_devices_fini(&n->devices);
	snprintf(uuid, sizeof(uuid), "%s-tpool\n", id);
	tree_file(n->root, "sys/block/dm-5/dm/uuid", uuid);
	expect(n, "dm-5", PROBE_IN_USE, PROBE_REASON_LVM,
	       "LVM's own volume pool-tpool of the group vg-a");
}

/* A group on an encrypted disk; and a volume that is a part of another. */
static void test_security_lvm_on_a_mapping_is_refused(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "dm-5", 50, "2097152\n");
	tree_file(n->root, "sys/block/dm-5/dm/uuid", "CRYPT-LUKS2-aa\n");
	tree_dir(n->root, "sys/block/dm-5/holders/dm-6");
	tree_file(n->root, "sys/block/dm-6/dm/uuid", "LVM-abcdef\n");
	tree_file(n->root, "sys/block/dm-6/dm/name", "vg0-root\n");
	expect(n, "dm-5", PROBE_IN_USE, PROBE_REASON_LVM, "physical volume of the group vg0");
	probe_devices_fini(&n->devices);
	tree_file(n->root, "sys/block/dm-5/dm/uuid", "LVM-abcdef\n");
	expect(n, "dm-5", PROBE_IN_USE, PROBE_REASON_LVM, "a part of LVM's volume vg0/root");
}

/* Whoever has the whole disk writes to its partitions too. */
static void test_security_partition_of_a_disk_in_use_is_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "sys/block/sda/sda1/partition", "1\n");
	tree_file(n->root, "sys/block/sda/sda1/dev", "8:1\n");
	tree_file(n->root, "sys/block/sda/sda1/size", "4096\n");
	tree_link(n->root, "proc/4242/fd/7", "/dev/sda");
	expect(n, "sda1", PROBE_IN_USE, PROBE_REASON_OPEN,
	       "/dev/sda1 is on a disk in use: /dev/sda is open in process 4242");
}

static void test_security_log_of_xfs_is_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "proc/1/mountinfo",
		  "30 1 8:99 / /x rw - xfs /dev/sdz rw,attr2,logdev=/dev/sda,noquota\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_MOUNT, "is the log of what is mounted on /x");
}

/* What bcache offers is a disk as any other. */
static void test_bcache_device_is_free(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "bcache0", 60, "2097152\n");
	tree_dir(n->root, "sys/block/bcache0/bcache");
	assert_int_equal(probe_device_verdict(look(n, "bcache0")), PROBE_FREE);
}

static void test_security_network_disks_may_be_our_own(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "nbd0", 70, "2097152\n");
	expect(n, "nbd0", PROBE_HOLDS_DATA, PROBE_REASON_REMOTE, "over nbd");
}

static void test_drives_of_media_are_unfit(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "sr0", 71, "2097152\n");
	expect(n, "sr0", PROBE_UNFIT, PROBE_REASON_KIND, "an optical drive");
}

static void test_security_bcache_is_refused(void **state)
{
	struct node *n = *state;

	tree_dir(n->root, "sys/block/sda/bcache/set");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_BCACHE, "bcache");
}

/* Of a btrfs on several disks a mount names only one. */
static void test_security_btrfs_member_is_refused(void **state)
{
	struct node *n = *state;

	tree_dir(n->root, "sys/fs/btrfs/features");
	tree_dir(n->root, "sys/fs/btrfs/aaaa-bbbb/devices/sda");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_BTRFS, "the mounted btrfs aaaa-bbbb");
	probe_devices_fini(&n->devices);
	tree_dir(n->root, "sys/fs/btrfs/aaaa-bbbb/devices/sdb");
	tree_file(n->root, "proc/1/mountinfo", "30 1 0:44 / /b rw - btrfs /dev/sdb rw\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_BTRFS, "aaaa-bbbb on /b");
}

static void test_security_disk_of_a_loop_device_is_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "sys/block/loop7/loop/backing_file", "/dev/sda\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_LOOP, "/dev/loop7");
}

static void test_security_export_of_the_kernel_is_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "sys/kernel/config/nvmet/subsystems/nqn.a/namespaces/3/device_path",
		  "/dev/sda\n");
	tree_file(n->root, "sys/kernel/config/nvmet/subsystems/nqn.a/namespaces/3/enable", "1\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_EXPORT, "NVMe target (nqn.a/3)");
}

static void test_export_that_is_off_is_no_use(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "sys/kernel/config/target/core/iblock_0/x/udev_path", "/dev/sda\n");
	tree_file(n->root, "sys/kernel/config/target/core/iblock_0/x/enable", "0\n");
	assert_int_equal(probe_device_verdict(look(n, "sda")), PROBE_FREE);
	tree_file(n->root, "sys/kernel/config/target/core/iblock_0/x/enable", "1\n");
	probe_devices_fini(&n->devices);
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_EXPORT, "SCSI target (iblock_0/x)");
}

/* LIO need not be told a path for show; what it was told to open stands in its info. */
static void test_security_export_without_a_path_is_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "sys/kernel/config/target/core/iblock_0/y/udev_path", "\n");
	tree_file(n->root, "sys/kernel/config/target/core/iblock_0/y/enable", "1\n");
	tree_file(n->root, "sys/kernel/config/target/core/iblock_0/y/info",
		  "Status: ACTIVATED  Max Queue Depth: 128\n        iBlock device: sda\n"
		  "        Major: 8 Minor: 0  CLAIMED: IBLOCK\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_EXPORT, "SCSI target (iblock_0/y)");
}

static void test_hidden_paths_are_left_out(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "nvme0c0n1", 20, "2097152\n");
	tree_file(n->root, "sys/block/nvme0c0n1/hidden", "1\n");
	assert_null(look(n, "nvme0c0n1"));
}

static void test_security_open_by_process_is_refused(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "proc/4242/comm", "qemu-system-x86\n");
	tree_link(n->root, "proc/4242/fd/7", "/dev/sda");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_OPEN, "process 4242 (qemu-system-x86)");
}

/* It may be what a target of this very node exports. */
static void test_security_namespace_of_another_target_is_no_disk(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "nvme3n1", 40, "2097152\n");
	tree_file(n->root, "sys/block/nvme3n1/device/transport", "pcie\n");
	assert_int_equal(probe_device_verdict(look(n, "nvme3n1")), PROBE_FREE);
	probe_devices_fini(&n->devices);
	/* With several paths the device is the subsystem, its controllers are in it. */
	tree_dir(n->root, "sys/block/nvme4n1/device/nvme4/device");
	tree_file(n->root, "sys/block/nvme4n1/device/nvme4/transport", "tcp\n");
	tree_disk(n->root, "nvme4n1", 41, "2097152\n");
	expect(n, "nvme4n1", PROBE_HOLDS_DATA, PROBE_REASON_REMOTE, "over tcp");
}

static void test_read_only_is_unfit(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "sys/block/sda/ro", "1\n");
	expect(n, "sda", PROBE_UNFIT, PROBE_REASON_READ_ONLY, "read-only");
}

static void test_tiny_is_unfit(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "sdb", 16, "8\n");
	expect(n, "sdb", PROBE_UNFIT, PROBE_REASON_SIZE, "4096 bytes");
}

static void test_memory_disk_is_unfit(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "ram0", 32, "65536\n");
	expect(n, "ram0", PROBE_UNFIT, PROBE_REASON_KIND, "memory");
}

static void test_use_weighs_more_than_unfitness(void **state)
{
	struct node *n = *state;

	tree_file(n->root, "sys/block/sda/ro", "1\n");
	tree_file(n->root, "proc/1/mountinfo", "30 1 8:0 / /m rw - iso9660 /dev/sda ro\n");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_MOUNT, "/m");
	assert_int_equal(n->devices.items[0].finding_count, 2);
}

static void test_no_medium_is_left_out(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "loop0", 64, "0\n");
	assert_null(look(n, "loop0"));
}

static void test_security_second_look_sees_the_present(void **state)
{
	struct node *n = *state;

	assert_int_equal(probe_device_verdict(look(n, "sda")), PROBE_FREE);
	probe_devices_fini(&n->devices);
	tree_file(n->root, "proc/1/mountinfo", "30 1 8:0 / /m rw - ext4 /dev/sda rw\n");
	tree_link(n->root, "proc/2/fd/1", "/dev/sda");
	expect(n, "sda", PROBE_IN_USE, PROBE_REASON_MOUNT, "/m");
	assert_int_equal(n->devices.items[0].finding_count, 2);
}

static void test_damaged_files_do_no_harm(void **state)
{
	struct node *n = *state;

	tree_disk(n->root, "sdc", 17, "99999999999999999999999\n");
	tree_file(n->root, "sys/block/sdd/dev", "nonsense\n");
	tree_file(n->root, "proc/1/mountinfo", "x\n - \n1 2 3:4\n\n30 1 8:0 / /m rw - \n");
	tree_file(n->root, "proc/swaps", "\n\n");
	assert_non_null(look(n, "sda"));
	assert_int_equal(n->devices.count, 1);
}

static void test_json_is_whole(void **state)
{
	struct node *n = *state;
	json_t *o;

	tree_file(n->root, "sys/block/sda/device/model",
		  "bad\xff"
		  "bytes\n");
	tree_file(n->root, "proc/swaps", "Filename\n/dev/sda partition\n");
	look(n, "sda");
	o = probe_device_json(&n->devices.items[0]);
	assert_string_equal(json_string_value(json_object_get(o, "model")), "bad?bytes");
	assert_true(json_is_false(json_object_get(o, "eligible")));
	assert_string_equal(json_string_value(json_object_get(o, "verdict")), "in-use");
	assert_int_equal(json_array_size(json_object_get(o, "findings")), 1);
	json_decref(o);
}

static void test_no_sys_is_told(void **state)
{
	struct node *n = *state;
	struct probe *p = probe_create("/nonexistent");
	struct error err = ERROR_INIT;
	struct probe_devices d;

	(void)n;
	assert_int_equal(probe_devices(p, &d, &err), -ENOENT);
	assert_non_null(strstr(err.text, "sysfs"));
	probe_devices_fini(&d);
	probe_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_free_disk_tells_all),
		T(test_serial_is_never_empty),
		T(test_security_partitions_are_refused),
		T(test_security_mounted_in_another_namespace_is_refused),
		T(test_security_mounted_beside_a_chroot_is_refused),
		T(test_security_mount_source_counts_for_btrfs),
		T(test_security_swap_is_refused),
		T(test_security_lvm_is_refused),
		T(test_security_device_mapper_is_refused),
		T(test_security_md_is_refused),
		T(test_security_other_holder_is_refused),
		T(test_security_bcache_is_refused),
		T(test_security_drbd_is_refused),
		T(test_security_multipath_is_refused),
		T(test_security_internal_volume_of_lvm_is_refused),
		T(test_security_lvm_on_a_mapping_is_refused),
		T(test_security_partition_of_a_disk_in_use_is_refused),
		T(test_security_log_of_xfs_is_refused),
		T(test_bcache_device_is_free),
		T(test_security_network_disks_may_be_our_own),
		T(test_drives_of_media_are_unfit),
		T(test_security_export_without_a_path_is_refused),
		T(test_security_btrfs_member_is_refused),
		T(test_security_disk_of_a_loop_device_is_refused),
		T(test_security_export_of_the_kernel_is_refused),
		T(test_export_that_is_off_is_no_use),
		T(test_hidden_paths_are_left_out),
		T(test_security_open_by_process_is_refused),
		T(test_security_namespace_of_another_target_is_no_disk),
		T(test_read_only_is_unfit),
		T(test_tiny_is_unfit),
		T(test_memory_disk_is_unfit),
		T(test_use_weighs_more_than_unfitness),
		T(test_no_medium_is_left_out),
		T(test_security_second_look_sees_the_present),
		T(test_damaged_files_do_no_harm),
		T(test_json_is_whole),
		T(test_no_sys_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
