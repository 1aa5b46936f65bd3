/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window on a page that is described piece by piece: of all that is put, only what lies in the
 * window reaches the scattered memory behind it.
 *
 * Threading: pure functions.
 */
#ifndef NVMF_WINDOW_H
#define NVMF_WINDOW_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/**
 * struct nvmf_window
 * @offset, @len: the bytes of the page that are wanted
 */
struct nvmf_window {
	const struct iovec *iov;
	unsigned int iovcnt;
	uint64_t offset;
	uint32_t len;
};

/** nvmf_window_clear() - all of the window becomes zero */
void nvmf_window_clear(const struct nvmf_window *w);
/** nvmf_window_put() - @len bytes of the page at @at */
void nvmf_window_put(const struct nvmf_window *w, uint64_t at, const void *data, size_t len);

#endif
