/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes scattered over segments: copy, compare, cut.
 *
 * All take a number of bytes to skip first; what is asked for lies within the segments.
 *
 * Threading: pure functions.
 */
#ifndef BDEV_IOV_H
#define BDEV_IOV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/** iov_bytes() - the length of all segments together; SIZE_MAX if that overflows */
size_t iov_bytes(const struct iovec *iov, uint16_t iovcnt);
/** iov_gather() - from the segments into @buffer */
void iov_gather(void *buffer, const struct iovec *iov, uint16_t iovcnt, size_t skip, size_t len);
/** iov_scatter() - from @buffer into the segments */
void iov_scatter(const struct iovec *iov, uint16_t iovcnt, size_t skip, const void *buffer,
		 size_t len);
/** iov_clear() - zeroes into the segments */
void iov_clear(const struct iovec *iov, uint16_t iovcnt, size_t skip, size_t len);
/** iov_equals() - the segments hold the bytes of @buffer */
bool iov_equals(const struct iovec *iov, uint16_t iovcnt, size_t skip, const void *buffer,
		size_t len);
/**
 * iov_cut() - the segments of a part
 * @out, @max: where they go, and for how many there is room
 * @covered: how many bytes they hold: @len, or less when there was no more room
 *
 * Return: their number.
 */
uint16_t iov_cut(const struct iovec *iov, uint16_t iovcnt, size_t skip, size_t len,
		 struct iovec *out, uint16_t max, size_t *covered);

#endif
