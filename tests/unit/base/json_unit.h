/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the JSON tests share: a reader with roomy limits, and whole texts fed at once.
 *
 * Threading: one thread.
 */
#ifndef TESTS_UNIT_BASE_JSON_UNIT_H
#define TESTS_UNIT_BASE_JSON_UNIT_H

#include "unit.h"

#include "base/json.h"

static inline struct json_reader *reader_of(size_t bytes, size_t values, unsigned int depth)
{
	const struct json_limits limits = { bytes, values, depth };
	struct json_reader *r = json_reader_create(&limits);

	assert_non_null(r);
	return r;
}

/** read_text() - the value of @text; a newline behind it ends a number at the top */
static inline const struct json_value *read_text(struct json_reader *r, const char *text)
{
	struct error err = ERROR_INIT;
	enum json_feed fed;
	size_t taken;

	json_reader_next(r);
	fed = json_reader_feed(r, text, strlen(text), &taken, &err);
	if (fed == JSON_FEED_MORE)
		fed = json_reader_feed(r, "\n", 1, &taken, &err);
	if (fed != JSON_FEED_VALUE)
		fail_msg("'%s' is no whole text: %s", text, err.text);
	return json_reader_value(r);
}

#endif
