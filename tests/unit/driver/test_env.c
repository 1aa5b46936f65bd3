/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hugepages and vfio-pci on made-up trees, with a thread that does what the kernel does when an
 * address is written to "unbind" or "drivers_probe".
 *
 * Threading: a test, and that thread.
 */
#include "../probe/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/env.h"
#include "driver/sysfs.h"

#define NODE	"sys/devices/system/node/node0/hugepages/hugepages-2048kB/"
#define ADDRESS "0000:01:00.0"
#define OTHER	"0000:01:00.1"
#define PCI	"sys/bus/pci/"
#define DEVICE	PCI "devices/" ADDRESS "/"
#define MIB	(UINT64_C(1) << 20)

/* --- the kernel's part ---------------------------------------------------------------------- */

enum { UNBIND_NVME, UNBIND_VFIO, PROBE, PIPES };

static const char *const pipes[PIPES] = { PCI "drivers/nvme/unbind", PCI "drivers/vfio-pci/unbind",
					  PCI "drivers_probe" };

struct box {
	char *root;
	struct probe *probe;
	struct environment e;
	struct error err;
	pthread_t kernel;
	int fds[PIPES];
	int stop[2];
	bool refuse;   /* vfio-pci does not take the device */
	uint64_t kept; /* pages of targets that do not run */
};

static void full(const struct box *b, const char *path, char out[static PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/%s", b->root, path);
}

static void set_driver(const struct box *b, const char *driver)
{
	char link[PATH_MAX], target[64];

	full(b, DEVICE "driver", link);
	unlink(link);
	if (!driver)
		return;
	snprintf(target, sizeof(target), "../../drivers/%s", driver);
	assert_int_equal(symlink(target, link), 0);
}

static void probe_device(const struct box *b)
{
	char override[32];

	sysfs_text(b->root, "/" DEVICE "driver_override", override, sizeof(override));
	if (!strcmp(override, "vfio-pci") && b->refuse)
		return;
	set_driver(b, override[0] ? override : "nvme");
}

static void *kernel(void *arg)
{
	struct box *b = arg;
	struct pollfd p[PIPES + 1];
	char text[64];

	for (int i = 0; i < PIPES; i++)
		p[i] = (struct pollfd){ .fd = b->fds[i], .events = POLLIN };
	p[PIPES] = (struct pollfd){ .fd = b->stop[0], .events = POLLIN | POLLHUP };
	while (poll(p, PIPES + 1, -1) > 0 && !p[PIPES].revents) {
		for (int i = 0; i < PIPES; i++) {
			if (!(p[i].revents & POLLIN) || read(p[i].fd, text, sizeof(text)) <= 0)
				continue;
			if (i == PROBE)
				probe_device(b);
			else
				set_driver(b, NULL);
		}
	}
	return NULL;
}

static void kernel_start(struct box *b)
{
	char path[PATH_MAX];

	for (int i = 0; i < PIPES; i++) {
		full(b, pipes[i], path);
		assert_int_equal(mkfifo(path, 0600), 0);
		b->fds[i] = open(path, O_RDWR | O_CLOEXEC);
		assert_true(b->fds[i] >= 0);
	}
	assert_int_equal(pipe(b->stop), 0);
	assert_int_equal(pthread_create(&b->kernel, NULL, kernel, b), 0);
}

static void kernel_stop(struct box *b)
{
	close(b->stop[1]);
	pthread_join(b->kernel, NULL);
	close(b->stop[0]);
	for (int i = 0; i < PIPES; i++)
		close(b->fds[i]);
}

/* --- the tree ------------------------------------------------------------------------------- */

static void make_function(const char *root, const char *address, const char *class)
{
	char path[128], target[64];

	snprintf(path, sizeof(path), PCI "devices/%s/class", address);
	tree_file(root, path, class);
	snprintf(path, sizeof(path), PCI "devices/%s/driver_override", address);
	tree_file(root, path, "(null)\n");
	snprintf(path, sizeof(path), PCI "devices/%s/iommu_group", address);
	tree_link(root, path, "../../../../kernel/iommu_groups/7");
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/7/devices/%s", address);
	snprintf(target, sizeof(target), "../../../../bus/pci/devices/%s", address);
	tree_link(root, path, target);
}

static void make_pages(const char *root, const char *total, const char *unused)
{
	tree_file(root, NODE "nr_hugepages", total);
	tree_file(root, NODE "free_hugepages", unused);
}

static int setup(void **state)
{
	static struct box b;

	memset(&b, 0, sizeof(b));
	b.root = tree_make();
	tree_file(b.root, "proc/sys/kernel/random/boot_id", "first\n");
	tree_file(b.root, "proc/meminfo",
		  "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\nHugepagesize: 2048 kB\n");
	tree_file(b.root, "proc/mounts", "none /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\n");
	make_pages(b.root, "10\n", "4\n");
	make_function(b.root, ADDRESS, "0x010802\n");
	tree_dir(b.root, PCI "drivers/nvme");
	tree_dir(b.root, PCI "drivers/vfio-pci");
	tree_link(b.root, DEVICE "driver", "../../drivers/nvme");
	tree_dir(b.root, DEVICE "nvme/nvme0/nvme0n1");
	tree_disk(b.root, "nvme0n1", 0, "2097152\n");
	b.probe = probe_create(b.root);
	assert_non_null(b.probe);
	*state = &b;
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	probe_destroy(b->probe);
	tree_remove(b->root);
	return 0;
}

static void expect_text(const struct box *b, const char *path, const char *expected)
{
	char text[64], absolute[PATH_MAX];

	snprintf(absolute, sizeof(absolute), "/%s", path);
	sysfs_text(b->root, absolute, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void expect_driver(const struct box *b, const char *expected)
{
	char driver[32];

	sysfs_link(b->root, "/" DEVICE "driver", driver, sizeof(driver));
	assert_string_equal(driver, expected);
}

/* --- hugepages ------------------------------------------------------------------------------ */

static int plan_pages(struct box *b, uint64_t size, const struct environment *old)
{
	b->e.memory = ENV_MEMORY_HUGE;
	b->e.size = size;
	b->err = (struct error)ERROR_INIT;
	return env_plan_pages(b->root, &b->e, old, b->kept, &b->err);
}

static void test_pages_are_reserved_and_given_back(void **state)
{
	struct box *b = *state;

	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	assert_int_equal(b->e.pages.before, 10);
	assert_int_equal(b->e.pages.wanted, 262); /* 6 in use, 256 for us */
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "262");
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "10");
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "10");
}

static void test_free_pages_are_enough(void **state)
{
	struct box *b = *state;

	make_pages(b->root, "600\n", "512\n");
	assert_int_equal(plan_pages(b, 1024 * MIB, NULL), 0);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "600");
	env_plan_release(b->root, &b->e);
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "600");
}

/* Two accelerators, uninstalled in the order of their installation. */
/* Of 33 above what was reserved 1 is in use and 32 are promised; they become reserved ones. */
static void test_pages_that_others_got_above(void **state)
{
	struct box *b = *state;

	make_pages(b->root, "33\n", "32\n");
	tree_file(b->root, NODE "surplus_hugepages", "33\n");
	tree_file(b->root, "sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages", "32\n");
	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	assert_int_equal(b->e.pages.before, 0);
	assert_int_equal(b->e.pages.wanted, 289); /* 33 of theirs, 256 for us */
	tree_file(b->root, NODE "surplus_hugepages", "0\n");
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "289");
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "0");
}

static void test_only_our_own_pages_are_given_back(void **state)
{
	struct box *b = *state;
	struct environment first;

	make_pages(b->root, "0\n", "0\n");
	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	first = b->e;
	make_pages(b->root, "256\n", "0\n");
	assert_int_equal(plan_pages(b, 256 * MIB, NULL), 0);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "384");
	env_plan_release(b->root, &first);
	assert_int_equal(env_restore(b->root, &first, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "128");
	env_plan_release(b->root, &b->e);
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "0");
}

/* A target that died has its pages when it comes back. */
static void test_pages_of_a_target_that_is_down_are_kept(void **state)
{
	struct box *b = *state;

	make_pages(b->root, "256\n", "256\n");
	b->kept = 256;
	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	assert_int_equal(b->e.pages.before, 256);
	assert_int_equal(b->e.pages.wanted, 512);
	make_pages(b->root, "256\n", "0\n");
	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	assert_int_equal(b->e.pages.wanted, 512);
}

static void test_larger_memory_in_place_of_the_old(void **state)
{
	struct environment old;
	struct box *b = *state;

	make_pages(b->root, "0\n", "0\n");
	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	old = b->e;
	make_pages(b->root, "256\n", "0\n");
	assert_int_equal(plan_pages(b, 1024 * MIB, &old), 0);
	assert_int_equal(b->e.pages.before, 0);
	assert_int_equal(b->e.pages.wanted, 512);
}

static void test_after_another_boot_nothing_is_given_back(void **state)
{
	struct box *b = *state;

	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	assert_string_equal(b->e.boot, "first");
	tree_file(b->root, "proc/sys/kernel/random/boot_id", "second\n");
	make_pages(b->root, "300\n", "300\n");
	/* By the verb that undoes an interrupted one; by uninstall. */
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "300");
	env_plan_release(b->root, &b->e);
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_text(b, NODE "nr_hugepages", "300");
}

static void test_pages_that_are_missing_are_told(void **state)
{
	struct box *b = *state;
	json_t *list = json_array();

	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	env_pages_drift(b->root, &b->e, list);
	assert_string_equal(json_string_value(json_array_get(list, 0)),
			    "the target takes 256 hugepages of 2048 KiB and the node has 10");
	json_array_clear(list);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	env_pages_drift(b->root, &b->e, list);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void expect_refusal(const struct box *b, int rc, int expected, const char *words)
{
	assert_int_equal(rc, expected);
	assert_non_null(strstr(b->err.text, words));
}

static void test_pages_that_cannot_be_had(void **state)
{
	struct box *b = *state;

	expect_refusal(b, plan_pages(b, 8192 * MIB, NULL), -ENOMEM, "has 4096 MiB available");
	tree_file(b->root, "proc/mounts", "proc /proc proc rw 0 0\n");
	expect_refusal(b, plan_pages(b, 512 * MIB, NULL), -ENOTSUP, "mount -t hugetlbfs");
	tree_file(b->root, "proc/mounts", "none /mnt hugetlbfs rw,pagesize=1024M 0 0\n");
	expect_refusal(b, plan_pages(b, 512 * MIB, NULL), -ENOTSUP, "pages of 2048 KiB");
	tree_file(b->root, "proc/meminfo", "MemTotal: 8388608 kB\n");
	expect_refusal(b, plan_pages(b, 512 * MIB, NULL), -ENOTSUP, "--no-huge");
}

/* As somebody who is not root. */
static void test_pages_that_may_not_be_had(void **state)
{
	struct box *b = *state;
	int status;
	pid_t pid;

	assert_int_equal(chmod(b->root, 0755), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char path[PATH_MAX];

		full(b, NODE "nr_hugepages", path);
		if (chmod(path, 0444) < 0 || (geteuid() == 0 && setuid(65534) < 0))
			_exit(2);
		_exit(plan_pages(b, 512 * MIB, NULL) == -EPERM &&
				      strstr(b->err.text, "run this as root")
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_nodes_are_not_told(void **state)
{
	struct box *b = *state;
	char from[PATH_MAX], to[PATH_MAX];

	tree_dir(b->root, "sys/kernel/mm");
	full(b, "sys/devices/system/node/node0/hugepages", from);
	full(b, "sys/kernel/mm/hugepages", to);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	expect_text(b, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "262");
}

/* --- vfio-pci ------------------------------------------------------------------------------- */

static int plan_device(struct box *b, const char *address)
{
	b->err = (struct error)ERROR_INIT;
	env_boot(b->root, b->e.boot);
	return env_plan_device(b->root, b->probe, address, NULL, NULL, &b->e, &b->err);
}

static void test_function_is_bound_and_given_back(void **state)
{
	struct box *b = *state;

	kernel_start(b);
	assert_int_equal(plan_device(b, ADDRESS), 0);
	assert_string_equal(b->e.devices[0].driver, "nvme");
	assert_string_equal(b->e.devices[0].override, "");
	expect_driver(b, "nvme");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
		expect_driver(b, "vfio-pci");
		expect_text(b, DEVICE "driver_override", "vfio-pci");
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
		expect_driver(b, "nvme");
		expect_text(b, DEVICE "driver_override", "");
	}
	kernel_stop(b);
}

/* Who is bound to vfio-pci after a boot has it from somebody else, a virtual machine's owner
 * perhaps. */
static void test_security_function_of_another_boot_is_left_alone(void **state)
{
	struct box *b = *state;

	kernel_start(b);
	assert_int_equal(plan_device(b, ADDRESS), 0);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	tree_file(b->root, "proc/sys/kernel/random/boot_id", "second\n");
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_driver(b, "vfio-pci");
	env_plan_release(b->root, &b->e);
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_driver(b, "vfio-pci");
	expect_text(b, DEVICE "driver_override", "vfio-pci");
	kernel_stop(b);
}

static void test_security_another_function_at_its_address(void **state)
{
	struct box *b = *state;

	tree_file(b->root, DEVICE "nvme/nvme0/serial", "FIRST   \n");
	assert_int_equal(plan_device(b, ADDRESS), 0);
	assert_string_equal(b->e.devices[0].serial, "FIRST");
	assert_int_equal(env_check_serial(b->root, &b->e.devices[0], &b->err), 0);
	tree_file(b->root, DEVICE "nvme/nvme0/serial", "OTHER\n");
	expect_refusal(b, env_check_serial(b->root, &b->e.devices[0], &b->err), -ENODEV,
		       "its serial is \"OTHER\", recorded is \"FIRST\"");
	b->e.devices[0].serial[0] = '\0';
	assert_int_equal(env_check_serial(b->root, &b->e.devices[0], &b->err), 0);
}

/* Killed between the steps of the binding: whatever is there leads back. */
static void test_function_half_bound_is_given_back(void **state)
{
	struct box *b = *state;

	kernel_start(b);
	assert_int_equal(plan_device(b, ADDRESS), 0);
	tree_file(b->root, DEVICE "driver_override", "vfio-pci\n");
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_driver(b, "nvme");
	expect_text(b, DEVICE "driver_override", "");
	tree_file(b->root, DEVICE "driver_override", "vfio-pci\n");
	set_driver(b, NULL);
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_driver(b, "nvme");
	kernel_stop(b);
}

static void test_function_without_a_driver(void **state)
{
	struct box *b = *state;

	kernel_start(b);
	set_driver(b, NULL);
	assert_int_equal(plan_device(b, ADDRESS), 0);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	expect_driver(b, "vfio-pci");
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_driver(b, "");
	kernel_stop(b);
}

/* Somebody gave it to vfio-pci before: it stays there. */
static void test_function_of_vfio_stays_there(void **state)
{
	struct box *b = *state;

	kernel_start(b);
	set_driver(b, "vfio-pci");
	tree_file(b->root, DEVICE "driver_override", "vfio-pci\n");
	assert_int_equal(plan_device(b, ADDRESS), 0);
	assert_int_equal(env_apply(b->root, &b->e, &b->err), 0);
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_driver(b, "vfio-pci");
	expect_text(b, DEVICE "driver_override", "vfio-pci");
	kernel_stop(b);
}

static void test_function_that_vfio_refuses(void **state)
{
	struct box *b = *state;

	kernel_start(b);
	b->refuse = true;
	assert_int_equal(plan_device(b, ADDRESS), 0);
	expect_refusal(b, env_apply(b->root, &b->e, &b->err), -EIO, "should have \"vfio-pci\"");
	b->err = (struct error)ERROR_INIT;
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_driver(b, "nvme");
	kernel_stop(b);
}

static void test_function_that_is_gone(void **state)
{
	struct box *b = *state;
	char from[PATH_MAX], to[PATH_MAX];

	assert_int_equal(plan_device(b, ADDRESS), 0);
	full(b, PCI "devices/" ADDRESS, from);
	full(b, "unplugged", to);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(env_restore(b->root, &b->e, &b->err), 0);
	expect_refusal(b, plan_device(b, ADDRESS), -ENOENT, "no PCI function " ADDRESS);
}

static void test_security_addresses_that_are_none(void **state)
{
	static const char *const texts[] = { "",
					     "01:00.0",
					     "0000:01:00.0/..",
					     "../../../etc",
					     "0000:01:00",
					     "0000:01:0G.0",
					     "0000:01:00.0\n1",
					     "0000:01:00.0 1",
					     "FFFF:01:00.0" };
	struct box *b = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect_refusal(b, plan_device(b, texts[i]), -EINVAL, "no address");
	assert_int_equal(plan_device(b, ADDRESS), 0);
	expect_refusal(b, plan_device(b, ADDRESS), -EINVAL, "named twice");
}

static void test_security_function_in_use(void **state)
{
	struct box *b = *state;

	tree_file(b->root, "proc/swaps",
		  "Filename Type Size Used Priority\n/dev/nvme0n1 partition 1048576 0 -2\n");
	expect_refusal(b, plan_device(b, ADDRESS), -EBUSY, "cannot be taken from its driver");
	expect_refusal(b, env_check_device(b->root, b->probe, ADDRESS, &b->err), -EBUSY, "swap");
}

static void test_security_function_of_another_kind(void **state)
{
	struct box *b = *state;

	make_function(b->root, "0000:02:00.0", "0x020000\n");
	expect_refusal(b, plan_device(b, "0000:02:00.0"), -EINVAL, "is no NVMe controller");
}

static void test_security_group_with_others(void **state)
{
	struct box *b = *state;

	make_function(b->root, OTHER, "0x020000\n");
	assert_int_equal(plan_device(b, ADDRESS), 0); /* it has no driver */
	tree_dir(b->root, PCI "drivers/e1000");
	tree_link(b->root, PCI "devices/" OTHER "/driver", "../../drivers/e1000");
	expect_refusal(b, plan_device(b, ADDRESS), -EINVAL, "shares its IOMMU group with " OTHER);
}

static void test_node_without_iommu_or_vfio(void **state)
{
	struct box *b = *state;
	char path[PATH_MAX];

	full(b, PCI "drivers/vfio-pci", path);
	assert_int_equal(rmdir(path), 0);
	expect_refusal(b, plan_device(b, ADDRESS), -ENOTSUP, "modprobe");
	full(b, DEVICE "iommu_group", path);
	assert_int_equal(unlink(path), 0);
	expect_refusal(b, plan_device(b, ADDRESS), -ENOTSUP, "intel_iommu=on");
}

/* --- the record ----------------------------------------------------------------------------- */

static void test_json_keeps_all(void **state)
{
	struct environment again;
	struct box *b = *state;
	json_t *o;

	assert_int_equal(plan_pages(b, 512 * MIB, NULL), 0);
	assert_int_equal(plan_device(b, ADDRESS), 0);
	snprintf(b->e.arguments, sizeof(b->e.arguments), "-s\n512\n");
	env_boot(b->root, b->e.boot);
	o = env_json(&b->e);
	env_from(o, &again);
	json_decref(o);
	assert_memory_equal(&again, &b->e, sizeof(again));
	assert_false(env_is_empty(&again));
	env_from(NULL, &again);
	assert_true(env_is_empty(&again));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pages_are_reserved_and_given_back),
		TEST(test_free_pages_are_enough),
		TEST(test_pages_that_others_got_above),
		TEST(test_only_our_own_pages_are_given_back),
		TEST(test_pages_of_a_target_that_is_down_are_kept),
		TEST(test_larger_memory_in_place_of_the_old),
		TEST(test_after_another_boot_nothing_is_given_back),
		TEST(test_pages_that_are_missing_are_told),
		TEST(test_pages_that_cannot_be_had),
		TEST(test_pages_that_may_not_be_had),
		TEST(test_nodes_are_not_told),
		TEST(test_function_is_bound_and_given_back),
		TEST(test_security_another_function_at_its_address),
		TEST(test_security_function_of_another_boot_is_left_alone),
		TEST(test_function_half_bound_is_given_back),
		TEST(test_function_without_a_driver),
		TEST(test_function_of_vfio_stays_there),
		TEST(test_function_that_vfio_refuses),
		TEST(test_function_that_is_gone),
		TEST(test_security_addresses_that_are_none),
		TEST(test_security_function_in_use),
		TEST(test_security_function_of_another_kind),
		TEST(test_security_group_with_others),
		TEST(test_node_without_iommu_or_vfio),
		TEST(test_json_keeps_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
