/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An external snapshot.
 *
 * Threading: see external.h.
 */
#include "external.h"

#include <errno.h>
#include <string.h>

#include "kit.h"
#include "run.h"

struct disk *external_create(void)
{
	uint64_t bytes = (uint64_t)EXTERNAL_CLUSTERS * CLUSTER;
	struct disk *disk = disk_create(EXTERNAL_NAME, bytes, bytes, true);

	data_fill(disk_data(disk), 0, EXTERNAL_CLUSTERS * CLUSTER_BLOCKS, EXTERNAL_VALUE);
	return disk;
}

static int open_it(void *arg, const void *id, size_t len, struct bdev_desc **desc,
		   struct error *err)
{
	(void)arg;
	if (len != sizeof(EXTERNAL_NAME) || memcmp(id, EXTERNAL_NAME, len) != 0)
		return error_set(err, -ENODEV, "another external snapshot is asked for");
	*desc = kit_open(EXTERNAL_NAME);
	return 0;
}

static void close_it(void *arg, struct bdev_desc *desc)
{
	(void)arg;
	bdev_close(desc);
}

struct blob_esnap_ops external_ops(void)
{
	return (struct blob_esnap_ops){ .open = open_it, .close = close_it };
}
