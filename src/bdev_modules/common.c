/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What modules have in common.
 *
 * Threading: reactor 0.
 */
#include "bdev_modules/common.h"

#include <errno.h>

int bdev_md_refuse(const struct bdev_md_options *md, const char *name, struct error *err)
{
	if (md->md_size != 0)
		return error_set(err, -EINVAL,
				 "md_size %u of bdev \"%s\": metadata is not supported by the "
				 "embedded engine, only 0 is allowed",
				 md->md_size, name);
	if (md->dif_type != 0)
		return error_set(err, -EINVAL,
				 "dif_type %d of bdev \"%s\": protection information is not "
				 "supported by the embedded engine, only 0 is allowed",
				 md->dif_type, name);
	if (md->dif_pi_format != 0)
		return error_set(err, -EINVAL,
				 "dif_pi_format %u of bdev \"%s\": protection information is not "
				 "supported by the embedded engine, only 0 is allowed",
				 md->dif_pi_format, name);
	return 0;
}

int bdev_find_of_module(const char *name, const struct bdev_module *module, struct bdev **bdev,
			struct error *err)
{
	*bdev = bdev_find(name);
	if (*bdev == NULL)
		return error_set(err, -ENODEV, "there is no bdev with name, alias or UUID \"%s\"",
				 name);
	if ((*bdev)->module != module)
		return error_set(err, -ENODEV, "bdev \"%s\" is a bdev of module %s, not of %s",
				 name, (*bdev)->module->name, module->name);
	return 0;
}

int bdev_delete_of_module(const char *name, const struct bdev_module *module,
			  void (*done)(void *arg, int result), void *arg, struct error *err)
{
	struct bdev *bdev;
	int rc = bdev_find_of_module(name, module, &bdev, err);

	if (rc < 0)
		return rc;
	rc = bdev_unregister(bdev, done, arg);
	if (rc < 0)
		return error_set(err, rc, "bdev \"%s\" is being removed already", name);
	return 0;
}

void bdev_save_method(json_t *array, const char *method, json_t *params)
{
	json_array_append_new(array, json_pack("{s:s,s:o}", "method", method, "params", params));
}
