/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node and its sockets, made up.
 *
 * Threading: one thread.
 */
#include "tree.h"

#include <stdlib.h>
#include <string.h>

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
	assert_int_equal(probe_node(p, &n), 0);
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

static void test_sockets_with_their_holders(void **state)
{
	char *root = tree_make();
	struct probe *p = probe_create(root);
	struct probe_socket *s;

	(void)state;
	tree_file(root, "proc/net/unix",
		  "Num       RefCount Protocol Flags    Type St Inode Path\n"
		  "0000000000000000: 00000002 00000000 00010000 0001 01 4711 /var/tmp/spdk.sock\n"
		  "0000000000000000: 00000003 00000000 00000000 0001 03 4712 /var/tmp/spdk.sock\n"
		  "0000000000000000: 00000002 00000000 00010000 0001 01 4713 @/abstract-spdk\n"
		  "0000000000000000: 00000002 00000000 00010000 0001 01 4714 /run/dbus\n"
		  "0000000000000000: 00000002 00000000 00000000 0001 01 4715\n");
	tree_file(root, "proc/99/comm", "spdk_tgt\n");
	tree_link(root, "proc/99/fd/5", "socket:[4711]");
	assert_int_equal(probe_sockets(p, "spdk", &s), 1);
	assert_string_equal(s[0].path, "/var/tmp/spdk.sock");
	assert_int_equal(s[0].pid, 99);
	assert_string_equal(s[0].command, "spdk_tgt");
	free(s);
	probe_destroy(p);
	tree_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_is_told),
		cmocka_unit_test(test_sockets_with_their_holders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
