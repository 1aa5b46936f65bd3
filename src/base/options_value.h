/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of command-line options; only for the files of this room.
 *
 * Threading: pure functions on the caller's table.
 */
#ifndef BASE_OPTIONS_VALUE_H
#define BASE_OPTIONS_VALUE_H

#include "base/options.h"

#define OPTION_LABEL_MAX 64

/** option_takes_value() - the row's option is followed by a value */
bool option_takes_value(const struct option_row *row);

/**
 * option_store() - check a value and put it where the row says
 * @label: the option as the person wrote it, for the refusal
 * @value: its value; NULL for options without one
 */
int option_store(const struct option_row *row, const char *label, const char *value,
		 struct error *err);

#endif
