/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for secrets, see secret.h.
 *
 * Threading: as secret.h.
 */
#include "nvmf/secret.h"

#include <string.h>
#include <sys/mman.h>

void *nvmf_secret_alloc(size_t size)
{
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	(void)madvise(page, size, MADV_DONTDUMP);
	(void)mlock(page, size);
	return page;
}

void nvmf_secret_free(void *secret, size_t size)
{
	if (!secret)
		return;
	explicit_bzero(secret, size);
	munmap(secret, size);
}
