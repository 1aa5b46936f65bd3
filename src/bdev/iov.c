/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes scattered over segments.
 *
 * Threading: pure functions.
 */
#include "bdev/iov.h"

#include <assert.h>
#include <string.h>

/* The next run of bytes, at most @len of them; segments of no length are passed over. */
struct cursor {
	const struct iovec *iov, *end;
	size_t skip;
};

static struct cursor cursor_at(const struct iovec *iov, uint16_t iovcnt, size_t skip)
{
	struct cursor c = { .iov = iov, .end = iov + iovcnt, .skip = skip };

	while (c.iov < c.end && c.skip >= c.iov->iov_len) {
		c.skip -= c.iov->iov_len;
		c.iov++;
	}
	return c;
}

static struct iovec cursor_next(struct cursor *c, size_t len)
{
	struct iovec run;

	while (c->iov < c->end && c->skip == c->iov->iov_len) {
		c->skip = 0;
		c->iov++;
	}
	assert(c->iov < c->end);
	run.iov_base = (char *)c->iov->iov_base + c->skip;
	run.iov_len = c->iov->iov_len - c->skip;
	if (run.iov_len > len)
		run.iov_len = len;
	c->skip += run.iov_len;
	return run;
}

size_t iov_bytes(const struct iovec *iov, uint16_t iovcnt)
{
	size_t sum = 0;

	for (uint16_t i = 0; i < iovcnt; i++) {
		if (__builtin_add_overflow(sum, iov[i].iov_len, &sum))
			return SIZE_MAX;
	}
	return sum;
}

void iov_gather(void *buffer, const struct iovec *iov, uint16_t iovcnt, size_t skip, size_t len)
{
	struct cursor c = cursor_at(iov, iovcnt, skip);
	char *to = buffer;

	while (len > 0) {
		struct iovec run = cursor_next(&c, len);

		memcpy(to, run.iov_base, run.iov_len);
		to += run.iov_len;
		len -= run.iov_len;
	}
}

void iov_scatter(const struct iovec *iov, uint16_t iovcnt, size_t skip, const void *buffer,
		 size_t len)
{
	struct cursor c = cursor_at(iov, iovcnt, skip);
	const char *from = buffer;

	while (len > 0) {
		struct iovec run = cursor_next(&c, len);

		memcpy(run.iov_base, from, run.iov_len);
		from += run.iov_len;
		len -= run.iov_len;
	}
}

void iov_clear(const struct iovec *iov, uint16_t iovcnt, size_t skip, size_t len)
{
	struct cursor c = cursor_at(iov, iovcnt, skip);

	while (len > 0) {
		struct iovec run = cursor_next(&c, len);

		memset(run.iov_base, 0, run.iov_len);
		len -= run.iov_len;
	}
}

bool iov_equals(const struct iovec *iov, uint16_t iovcnt, size_t skip, const void *buffer,
		size_t len)
{
	struct cursor c = cursor_at(iov, iovcnt, skip);
	const char *with = buffer;

	while (len > 0) {
		struct iovec run = cursor_next(&c, len);

		if (memcmp(run.iov_base, with, run.iov_len) != 0)
			return false;
		with += run.iov_len;
		len -= run.iov_len;
	}
	return true;
}

uint16_t iov_cut(const struct iovec *iov, uint16_t iovcnt, size_t skip, size_t len,
		 struct iovec *out, uint16_t max, size_t *covered)
{
	struct cursor c = cursor_at(iov, iovcnt, skip);
	uint16_t n = 0;

	*covered = 0;
	while (len > 0 && n < max) {
		struct iovec run = cursor_next(&c, len);

		out[n++] = run;
		*covered += run.iov_len;
		len -= run.iov_len;
	}
	return n;
}
