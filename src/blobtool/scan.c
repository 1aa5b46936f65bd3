/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata region, once from its beginning to its end: which pages hold something, and what.
 * Holes of the image are passed over.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobtool/model.h"
#include "blobtool/tool.h"

#define SCAN_BYTES (1u << 20)

static int add_page(struct model *m, uint32_t index, const uint8_t *page)
{
	if (m->page_count == m->page_room) {
		uint32_t room = m->page_room == 0 ? 256 : m->page_room * 2;
		struct md_page *more = realloc(m->pages, (size_t)room * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		m->pages = more;
		m->page_room = room;
	}
	m->pages[m->page_count++] = (struct md_page){
		.index = index, .owner = NO_BLOB, .kind = (uint8_t)blob_page_classify(page, index)
	};
	return 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static int look(struct model *m, const uint8_t *buffer, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *page = buffer + (size_t)i * m->geo.page_size;

		if (!is_zero(page, BLOB_PAGE_BYTES) && add_page(m, first + i, page) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The next pages that lie in data; 0: no more. */
static uint32_t next_pages(const struct model *m, uint32_t from, uint32_t *first)
{
	uint64_t base = blob_page_offset(&m->geo, 0), page = m->geo.page_size, end, at, last;

	if (from >= m->geo.md.len)
		return 0;
	at = image_seek(m->img, base + from * page, &end);
	if (at == UINT64_MAX || (at - base) / page >= m->geo.md.len)
		return 0;
	*first = (uint32_t)((at - base) / page);
	last = (end - base + page - 1) / page;
	if (last > m->geo.md.len)
		last = m->geo.md.len;
	last -= *first;
	return last < SCAN_BYTES / page ? (uint32_t)last : (uint32_t)(SCAN_BYTES / page);
}

int model_scan(struct model *m, struct error *err)
{
	uint64_t region = (uint64_t)m->geo.md.len * m->geo.page_size;
	uint8_t *buffer = malloc(SCAN_BYTES);
	uint32_t first = 0, count;
	struct progress progress;
	int rc = buffer == NULL ? -ENOMEM : 0;

	progress_start(&progress, "metadata");
	while (rc == 0 && (count = next_pages(m, first, &first)) > 0) {
		rc = image_read(m->img, buffer, blob_page_offset(&m->geo, first),
				(size_t)count * m->geo.page_size, err);
		if (rc == 0)
			rc = look(m, buffer, first, count);
		first += count;
		progress_show(&progress, (uint64_t)first * m->geo.page_size, region);
		if (rc == 0)
			rc = tool_check_interrupt(err);
	}
	progress_end(&progress);
	free(buffer);
	return rc == -ENOMEM ? error_set(err, rc, "no memory for the metadata pages") : rc;
}

struct md_page *model_page(const struct model *m, uint32_t index)
{
	uint32_t low = 0, high = m->page_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (m->pages[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < m->page_count && m->pages[low].index == index ? &m->pages[low] : NULL;
}

int model_read_page(const struct model *m, uint32_t index, void *page, struct error *err)
{
	return image_read(m->img, page, blob_page_offset(&m->geo, index), BLOB_PAGE_BYTES, err);
}
