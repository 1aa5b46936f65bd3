/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node, its NVMe functions and its targets, made up.
 *
 * Threading: one thread.
 */
#include "tree.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "probe/probe.h"

static void test_node_is_told(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_node n;
	json_t *o;

	(void)state;
	tree_dir(root, "sys/devices/system/cpu/cpu0");
	tree_dir(root, "sys/devices/system/cpu/cpu1");
	tree_dir(root, "sys/devices/system/cpu/cpufreq");
	tree_dir(root, "sys/devices/system/node/node0");
	tree_file(root, "proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\n");
	tree_file(root, "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages",
		  "512\n");
	tree_file(root, "sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages",
		  "500\n");
	tree_dir(root, "sys/kernel/iommu_groups/7");
	tree_dir(root, "sys/module/vfio_pci");
	tree_file(root, "proc/sys/kernel/io_uring_disabled", "2\n");
	tree_file(root, "sys/bus/pci/devices/0000:01:00.0/class", "0x010802\n");
	tree_file(root, "sys/bus/pci/devices/0000:01:00.0/vendor", "0x144d\n");
	tree_file(root, "sys/bus/pci/devices/0000:01:00.0/device", "0xa808\n");
	tree_file(root, "sys/bus/pci/devices/0000:01:00.0/nvme/nvme0/model", "Fast 1\n");
	tree_link(root, "sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/nvme");
	tree_link(root, "sys/bus/pci/devices/0000:01:00.0/iommu_group", "../../iommu_groups/7");
	tree_file(root, "sys/bus/pci/devices/0000:02:00.0/class", "0x020000\n");
	assert_int_equal(probe_node(p, NULL, &n), 0);
	assert_int_equal(n.cpus, 2);
	assert_int_equal(n.numa_nodes, 1);
	assert_int_equal(n.memory, 2048 * 1024);
	assert_int_equal(n.hugepage_count, 1);
	assert_int_equal(n.hugepages[0].page_size, 2 << 20);
	assert_int_equal(n.hugepages[0].total, 512);
	assert_int_equal(n.hugepages[0].free, 500);
	assert_true(n.iommu);
	assert_true(n.vfio);
	assert_false(n.io_uring);
	assert_non_null(strstr(n.io_uring_reason, "io_uring_disabled is 2"));
	assert_int_equal(n.nvme_count, 1);
	assert_string_equal(n.nvme[0].vendor_device, "144d:a808");
	assert_string_equal(n.nvme[0].driver, "nvme");
	assert_string_equal(n.nvme[0].model, "Fast 1");
	assert_int_equal(n.nvme[0].iommu_group, 7);
	o = probe_node_json(&n);
	assert_int_equal(json_array_size(json_object_get(o, "nvme")), 1);
	json_decref(o);
	probe_node_fini(&n);
	probe_destroy(p);
	tree_remove(root);
}

static const struct probe_target *find(const struct probe_target *list, ssize_t n, const char *word)
{
	for (ssize_t i = 0; i < n; i++) {
		if (strstr(list[i].socket, word))
			return &list[i];
	}
	return NULL;
}

static void test_targets_with_their_holders(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_target *t;

	(void)state;
	tree_file(root, "proc/net/unix",
		  "Num       RefCount Protocol Flags    Type St Inode Path\n"
		  "0000000000000000: 00000002 00000000 00010000 0001 01 4711 /var/tmp/spdk.sock\n"
		  "0000000000000000: 00000003 00000000 00000000 0001 03 4712 /var/tmp/spdk.sock\n"
		  "0000000000000000: 00000002 00000000 00010000 0001 01 4713 @/abstract-spdk\n"
		  "0000000000000000: 00000002 00000000 00010000 0001 01 4714 /run/dbus\n"
		  "0000000000000000: 00000002 00000000 00000000 0001 01 4715\n");
	tree_file(root, "proc/99/comm", "reactor_0\n");
	tree_link(root, "proc/99/exe", "/usr/bin/spdk_tgt");
	tree_link(root, "proc/99/fd/5", "socket:[4711]");
	assert_int_equal(probe_targets(p, "", &t), 1);
	assert_string_equal(t[0].socket, "/var/tmp/spdk.sock");
	assert_int_equal(t[0].pid, 99);
	assert_string_equal(t[0].program, "spdk_tgt");
	assert_string_equal(t[0].kind, "spdk_tgt");
	assert_false(t[0].contained);
	free(t);
	probe_destroy(p);
	tree_remove(root);
}

/* Same path, other network and mount namespaces: it is another target, reached through its root. */
static void test_targets_in_containers(void **state)
{
	static const char line[] =
		"Num\n0000000000000000: 00000002 00000000 00010000 0001 01 %d /var/tmp/spdk.sock\n";
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_target *t;
	char text[200];
	ssize_t n;

	(void)state;
	snprintf(text, sizeof(text), line, 11);
	tree_file(root, "proc/net/unix", text);
	snprintf(text, sizeof(text), line, 22);
	tree_file(root, "proc/7/net/unix", text);
	tree_link(root, "proc/self/ns/net", "net:[1]");
	tree_link(root, "proc/self/ns/mnt", "mnt:[1]");
	tree_link(root, "proc/7/ns/net", "net:[2]");
	tree_link(root, "proc/7/ns/mnt", "mnt:[2]");
	tree_link(root, "proc/7/exe", "/opt/spdk/bin/nvmf_tgt (deleted)");
	tree_link(root, "proc/7/fd/3", "socket:[22]");
	tree_link(root, "proc/8/exe", "/usr/bin/vhost");
	n = probe_targets(p, "", &t);
	assert_int_equal(n, 3);
	assert_int_equal(find(t, n, "/proc/7/root/var/tmp/spdk.sock")->pid, 7);
	assert_string_equal(find(t, n, "/proc/7/root")->inside, "/var/tmp/spdk.sock");
	assert_string_equal(find(t, n, "/proc/7/root")->kind, "nvmf_tgt");
	assert_true(find(t, n, "/proc/7/root")->contained);
	/* One runs, and no socket of it was found. */
	assert_string_equal(t[0].socket, "");
	assert_int_equal(t[0].pid, 8);
	assert_string_equal(t[0].kind, "vhost");
	free(t);
	probe_destroy(p);
	tree_remove(root);
}

/* A target listens for machines too: a connection there would be taken for one. */
static void test_vhost_user_sockets_are_left_alone(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_target *t;

	(void)state;
	tree_file(root, "proc/net/unix",
		  "Num\n"
		  "0000000000000000: 00000002 00000000 00010000 0001 01 1 /run/spdk/my.rpc\n"
		  "0000000000000000: 00000002 00000000 00010000 0001 01 2 /run/spdk/vhost.0\n"
		  "0000000000000000: 00000002 00000000 00010000 0001 01 3 /run/spdk/disk.1\n");
	tree_link(root, "proc/5/exe", "/usr/bin/vhost");
	tree_bytes(root, "proc/5/cmdline", "vhost\0-r\0/run/spdk/my.rpc", 26);
	tree_link(root, "proc/5/fd/1", "socket:[1]");
	tree_link(root, "proc/5/fd/2", "socket:[2]");
	tree_link(root, "proc/5/fd/3", "socket:[3]");
	assert_int_equal(probe_targets(p, "", &t), 1);
	assert_string_equal(t[0].socket, "/run/spdk/my.rpc");
	free(t);
	probe_destroy(p);
	tree_remove(root);
}

/* discover asks installed kits for theirs while it looks for targets, and so may somebody else. */
static void test_program_that_tells_its_version_is_no_target(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_target *t;

	(void)state;
	tree_link(root, "proc/5/exe", "/usr/bin/spdk_tgt");
	tree_bytes(root, "proc/5/cmdline", "/usr/bin/spdk_tgt\0--version", 28);
	tree_link(root, "proc/6/exe", "/usr/bin/spdk_tgt");
	tree_bytes(root, "proc/6/cmdline", "/usr/bin/spdk_tgt\0-m\0001", 23);
	assert_int_equal(probe_targets(p, "", &t), 1);
	assert_int_equal(t[0].pid, 6);
	free(t);
	probe_destroy(p);
	tree_remove(root);
}

static void lock_line(const char *root, const char *file, int pid)
{
	char path[PATH_MAX], text[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", root, file);
	assert_int_equal(stat(path, &st), 0);
	snprintf(text, sizeof(text), "1: POSIX  ADVISORY  WRITE %d %02x:%02x:%llu 0 EOF\n", pid,
		 major(st.st_dev), minor(st.st_dev), (unsigned long long)st.st_ino);
	tree_file(root, "proc/locks", text);
}

static void test_core_locks_tell_targets(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_target *t;

	(void)state;
	tree_file(root, "var/tmp/spdk_cpu_lock_003", "999");
	tree_file(root, "var/tmp/spdk_cpu_lock_004", "999");
	tree_file(root, "proc/44/comm", "reactor_3\n");
	lock_line(root, "var/tmp/spdk_cpu_lock_003", 44);
	assert_int_equal(probe_targets(p, "", &t), 1);
	assert_int_equal(t[0].pid, 44);
	assert_string_equal(t[0].cores, "3");
	assert_string_equal(t[0].kind, "unknown");
	free(t);
	probe_destroy(p);
	tree_remove(root);
}

static void nvme(const char *root, const char *address, const char *class)
{
	char path[128];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/class", address);
	tree_file(root, path, class);
}

/* Whichever driver has them, or none; what cannot be seen is not called free. */
static void test_functions_under_any_driver(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_node n;

	(void)state;
	nvme(root, "0000:01:00.0", "0x010802\n");
	nvme(root, "0000:02:00.0", "0x010802\n");
	tree_link(root, "sys/bus/pci/devices/0000:02:00.0/driver", "../../drivers/vfio-pci");
	nvme(root, "0000:03:00.0", "0x010810\n");
	tree_link(root, "sys/bus/pci/devices/0000:03:00.0/driver", "../drivers/uio_pci_generic");
	tree_dir(root, "sys/bus/pci/devices/0000:03:00.0/uio/uio3");
	tree_link(root, "proc/50/fd/4", "/dev/uio3");
	nvme(root, "0000:04:00.0", "0x010601\n");
	assert_int_equal(probe_node(p, NULL, &n), 0);
	assert_int_equal(n.nvme_count, 3);
	assert_int_equal(n.nvme[0].finding.verdict, PROBE_HOLDS_DATA);
	assert_non_null(strstr(n.nvme[0].finding.text, "no driver"));
	assert_non_null(strstr(n.nvme[1].finding.text, "bound to vfio-pci"));
	assert_int_equal(n.nvme[2].finding.verdict, PROBE_IN_USE);
	assert_int_equal(n.nvme[2].finding.reason, PROBE_REASON_USER_SPACE);
	assert_non_null(strstr(n.nvme[2].finding.text, "process 50"));
	probe_node_fini(&n);
	probe_destroy(p);
	tree_remove(root);
}

static void test_security_function_driven_from_user_space_is_refused(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_node n;

	(void)state;
	nvme(root, "0000:01:00.0", "0x010802\n");
	tree_link(root, "sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/vfio-pci");
	tree_link(root, "sys/bus/pci/devices/0000:01:00.0/iommu_group", "../../iommu_groups/9");
	tree_link(root, "proc/60/fd/8", "/dev/vfio/9");
	tree_file(root, "proc/60/comm", "qemu\n");
	nvme(root, "0000:02:00.0", "0x010802\n");
	tree_file(root, "var/tmp/spdk_pci_lock_0000:02:00.0", "");
	lock_line(root, "var/tmp/spdk_pci_lock_0000:02:00.0", 61);
	assert_int_equal(probe_node(p, NULL, &n), 0);
	assert_int_equal(n.nvme[0].finding.verdict, PROBE_IN_USE);
	assert_non_null(strstr(n.nvme[0].finding.text, "process 60 (qemu), which has /dev/vfio/9"));
	assert_int_equal(n.nvme[1].finding.verdict, PROBE_IN_USE);
	assert_non_null(strstr(n.nvme[1].finding.text, "claimed by the SPDK process 61"));
	probe_node_fini(&n);
	probe_destroy(p);
	tree_remove(root);
}

static void test_function_is_judged_by_its_namespaces(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct error err = ERROR_INIT;
	struct probe_devices devices;
	struct probe_node n;

	(void)state;
	nvme(root, "0000:01:00.0", "0x010802\n");
	tree_link(root, "sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/nvme");
	tree_file(root, "sys/bus/pci/devices/0000:01:00.0/nvme/nvme0/serial", "S1\n");
	tree_disk(root, "nvme0n1", 0, "2097152\n");
	tree_link(root, "sys/block/nvme0n1/device/device", "../../../0000:01:00.0");
	tree_file(root, "sys/block/nvme0n1/device/hwmon1/temp1_input", "41850\n");
	tree_file(root, "sys/block/nvme0n1/device/state", "live\n");
	tree_disk(root, "nvme0n2", 1, "2097152\n");
	tree_link(root, "sys/block/nvme0n2/device/device", "../../../0000:01:00.0");
	tree_file(root, "proc/swaps", "Filename\n/dev/nvme0n2 partition 1 0 -2\n");
	assert_int_equal(probe_devices(p, &devices, &err), 0);
	assert_int_equal(probe_node(p, &devices, &n), 0);
	assert_string_equal(devices.items[0].address, "0000:01:00.0");
	assert_string_equal(devices.items[0].health.state, "live");
	assert_int_equal(devices.items[0].health.temperature, 41);
	assert_string_equal(n.nvme[0].namespaces, "nvme0n1 nvme0n2");
	assert_int_equal(n.nvme[0].size, 2ull << 30);
	assert_int_equal(n.nvme[0].finding.verdict, PROBE_IN_USE);
	assert_int_equal(n.nvme[0].finding.reason, PROBE_REASON_SWAP);
	probe_node_fini(&n);
	probe_devices_fini(&devices);
	probe_destroy(p);
	tree_remove(root);
}

/* The kernel shows a namespace below one of its controllers; the others lead to it as well. */
static void test_security_every_controller_of_a_namespace_is_refused(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct error err = ERROR_INIT;
	struct probe_devices devices;
	struct probe_node n;

	(void)state;
	nvme(root, "0000:01:00.0", "0x010802\n");
	nvme(root, "0000:02:00.0", "0x010802\n");
	tree_link(root, "sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/nvme");
	tree_link(root, "sys/bus/pci/devices/0000:02:00.0/driver", "../../drivers/nvme");
	tree_dir(root, "sys/bus/pci/devices/0000:01:00.0/nvme/nvme0/nvme0c0n1");
	tree_dir(root, "sys/bus/pci/devices/0000:02:00.0/nvme/nvme1/nvme0c1n1");
	tree_disk(root, "nvme0n1", 0, "2097152\n");
	tree_dir(root, "sys/block/nvme0n1/device/nvme0");
	tree_link(root, "sys/block/nvme0n1/device/nvme0/device", "../../../0000:01:00.0");
	tree_file(root, "proc/swaps", "Filename\n/dev/nvme0n1 partition 1 0 -2\n");
	assert_int_equal(probe_devices(p, &devices, &err), 0);
	assert_int_equal(probe_node(p, &devices, &n), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(n.nvme[i].namespaces, "nvme0n1");
		assert_int_equal(n.nvme[i].finding.verdict, PROBE_IN_USE);
	}
	probe_node_fini(&n);
	probe_devices_fini(&devices);
	probe_destroy(p);
	tree_remove(root);
}

static enum probe_module_state state_of(const struct probe_node *n, const char *name)
{
	for (size_t i = 0; i < n->module_count; i++) {
		if (!strcmp(n->modules[i].name, name))
			return n->modules[i].state;
	}
	fail_msg("no module %s", name);
	return PROBE_MODULE_ABSENT;
}

static void test_modules_groups_and_numa(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_node n;
	json_t *o;

	(void)state;
	tree_file(root, "proc/sys/kernel/osrelease", "6.1.0-x\n");
	tree_file(root, "lib/modules/6.1.0-x/modules.builtin",
		  "kernel/drivers/nvme/host/nvme.ko\n");
	tree_file(root, "lib/modules/6.1.0-x/modules.dep",
		  "kernel/drivers/nvme/host/nvme-tcp.ko.xz: kernel/nvme-fabrics.ko.xz\n"
		  "kernel/drivers/uio/uio_pci_generic.ko: kernel/drivers/uio/uio.ko\n");
	tree_dir(root, "sys/module/uio");
	tree_dir(root, "sys/module/nvme");
	tree_dir(root, "sys/kernel/iommu_groups/12/devices/0000:01:00.0");
	tree_dir(root, "sys/kernel/iommu_groups/2/devices/0000:00:00.0");
	tree_file(root, "sys/devices/system/node/node1/cpulist", "4-7\n");
	tree_file(root, "sys/devices/system/node/node1/meminfo",
		  "Node 1 MemTotal:       1024 kB\nNode 1 MemFree:  512 kB\n");
	tree_file(root, "sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages",
		  "8\n");
	tree_file(root,
		  "sys/devices/system/node/node1/hugepages/hugepages-2048kB/surplus_hugepages",
		  "3\n");
	tree_file(root, "sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	assert_int_equal(probe_node(p, NULL, &n), 0);
	assert_int_equal(state_of(&n, "nvme"), PROBE_MODULE_BUILT_IN);
	assert_int_equal(state_of(&n, "nvme_tcp"), PROBE_MODULE_AVAILABLE);
	assert_int_equal(state_of(&n, "uio_pci_generic"), PROBE_MODULE_AVAILABLE);
	assert_int_equal(state_of(&n, "uio"), PROBE_MODULE_LOADED);
	assert_int_equal(state_of(&n, "vfio_pci"), PROBE_MODULE_ABSENT);
	assert_int_equal(n.group_count, 2);
	assert_int_equal(n.groups[0].number, 2);
	assert_string_equal(n.groups[1].members, "0000:01:00.0");
	assert_true(n.noiommu);
	assert_int_equal(n.io_uring_disabled, -1);
	assert_int_equal(n.numa[0].node, 1);
	assert_string_equal(n.numa[0].cpus, "4-7");
	assert_int_equal(n.numa[0].memory_free, 512 * 1024);
	assert_int_equal(n.hugepages[0].surplus, 3);
	o = probe_node_json(&n);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(o, "modules"), "nvme")),
		"built-in");
	json_decref(o);
	probe_node_fini(&n);
	probe_destroy(p);
	tree_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_is_told),
		cmocka_unit_test(test_modules_groups_and_numa),
		cmocka_unit_test(test_functions_under_any_driver),
		cmocka_unit_test(test_security_function_driven_from_user_space_is_refused),
		cmocka_unit_test(test_function_is_judged_by_its_namespaces),
		cmocka_unit_test(test_security_every_controller_of_a_namespace_is_refused),
		cmocka_unit_test(test_targets_with_their_holders),
		cmocka_unit_test(test_targets_in_containers),
		cmocka_unit_test(test_vhost_user_sockets_are_left_alone),
		cmocka_unit_test(test_program_that_tells_its_version_is_no_target),
		cmocka_unit_test(test_core_locks_tell_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
