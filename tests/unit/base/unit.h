/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmocka with the headers that it wants in front of it.
 *
 * Threading: cmocka's assertions belong to the test's main thread.
 */
#ifndef TESTS_UNIT_BASE_UNIT_H
#define TESTS_UNIT_BASE_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

/** assert_text_has() - @text contains @part; both are shown when it does not */
#define assert_text_has(text, part)                                                                \
	do {                                                                                       \
		if (!strstr(text, part))                                                           \
			fail_msg("'%s' lacks '%s'", text, part);                                   \
	} while (0)

#endif
