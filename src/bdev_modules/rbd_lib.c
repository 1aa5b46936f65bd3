/* SPDX-License-Identifier: Apache-2.0 */
/*
 * librados and librbd, opened at run time.
 *
 * Threading: any thread; the first that succeeds fills the table, under a lock.
 */
#include "bdev_modules/rbd_lib.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#define LIBRADOS "librados.so.2"
#define LIBRBD	 "librbd.so.1"

static const struct {
	const char *name;
	size_t offset;
	bool of_rbd;
} functions[] = {
#define rados false
#define rbd   true
#define RBD_LIB_ROW(library, result, name, parameters)                                             \
	{ #name, offsetof(struct rbd_lib, name), library },
	RBD_LIB_FUNCTIONS(RBD_LIB_ROW)
#undef RBD_LIB_ROW
#undef rados
#undef rbd
};

static int load(const char *name, void **library, struct error *err)
{
	*library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (*library == NULL)
		return error_set(err, -ENOENT,
				 "images of Ceph need librbd, which cannot be loaded (%s): install "
				 "the package librbd1",
				 dlerror());
	return 0;
}

static int find_all(void *librados, void *librbd, struct rbd_lib *lib, struct error *err)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(functions[i].of_rbd ? librbd : librados, functions[i].name);

		if (function == NULL)
			return error_set(
				err, -ENOENT, "%s has no %s: install librbd1 16 (Pacific) or later",
				functions[i].of_rbd ? LIBRBD : LIBRADOS, functions[i].name);
		*(void **)(void *)((char *)lib + functions[i].offset) = function;
	}
	return 0;
}

int rbd_lib_open(const struct rbd_lib **lib, struct error *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct rbd_lib table;
	static bool loaded;
	void *librados = NULL, *librbd = NULL;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (!loaded) {
		rc = load(LIBRADOS, &librados, err);
		if (rc == 0)
			rc = load(LIBRBD, &librbd, err);
		if (rc == 0)
			rc = find_all(librados, librbd, &table, err);
		loaded = rc == 0;
	}
	pthread_mutex_unlock(&lock);
	*lib = rc == 0 ? &table : NULL;
	return rc;
}
