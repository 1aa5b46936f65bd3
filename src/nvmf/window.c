/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows on pages.
 *
 * Threading: pure functions.
 */
#include "nvmf/window.h"

#include <string.h>

/* Copy to (or, without data, clear) @len bytes at @skip of the scattered memory. */
static void scatter(const struct nvmf_window *w, uint64_t skip, const uint8_t *data, uint64_t len)
{
	for (unsigned int i = 0; i < w->iovcnt && len > 0; i++) {
		uint64_t room = w->iov[i].iov_len;
		uint8_t *to = w->iov[i].iov_base;
		size_t n;

		if (skip >= room) {
			skip -= room;
			continue;
		}
		n = (size_t)(len < room - skip ? len : room - skip);
		if (data) {
			memcpy(to + skip, data, n);
			data += n;
		} else {
			memset(to + skip, 0, n);
		}
		len -= n;
		skip = 0;
	}
}

void nvmf_window_clear(const struct nvmf_window *w)
{
	scatter(w, 0, NULL, w->len);
}

void nvmf_window_put(const struct nvmf_window *w, uint64_t at, const void *data, size_t len)
{
	uint64_t end = w->offset + w->len;
	uint64_t from = at > w->offset ? at : w->offset;
	uint64_t to = at + len < end ? at + len : end;

	if (from < to)
		scatter(w, from - w->offset, (const uint8_t *)data + (from - at), to - from);
}
