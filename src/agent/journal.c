/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log lines: logfmt or JSON, each in one write(2).
 *
 * Threading: any thread after journal_set_json().
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"

#define FORMAT (JSON_ENSURE_ASCII | JSON_REAL_PRECISION(9))

static bool as_json;

void journal_set_json(bool json)
{
	as_json = json;
}

/* Whether sd-daemon(3)'s priorities will be understood. */
static bool is_journald(void)
{
	return getenv("JOURNAL_STREAM") != NULL;
}

static const char *stamp(char *buf, size_t size)
{
	uint64_t ns = clock_ns_of(CLOCK_REALTIME);
	time_t seconds = (time_t)(ns / NS_PER_SEC);
	struct tm tm;
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, size - n, ".%03uZ", (unsigned int)(ns % NS_PER_SEC / NS_PER_MSEC));
	return buf;
}

/* A word that stands without quotes; @quoted is the same as JSON writes it. */
static bool is_plain(const char *word, const char *quoted)
{
	return word && *word && !strpbrk(word, " =") && !strchr(quoted, '\\');
}

/* Strings that are more than a word are quoted as JSON does, which leaves no control character. */
static void print_pair(FILE *f, const char *key, json_t *value)
{
	char *text = json_dumps(value, FORMAT | JSON_ENCODE_ANY);

	if (text && is_plain(json_string_value(value), text))
		fprintf(f, " %s=%.*s", key, (int)strlen(text) - 2, text + 1);
	else if (text)
		fprintf(f, " %s=%s", key, text);
	free(text);
}

static void print_logfmt(FILE *f, json_t *line)
{
	const char *key;
	json_t *value;
	bool first = true;

	json_object_foreach (line, key, value) {
		if (first)
			fprintf(f, "%s=%s", key, json_string_value(value));
		else
			print_pair(f, key, value);
		first = false;
	}
}

void journal(enum log_level level, const char *event, json_t *fields)
{
	static const char *const names[] = { "error", "warning", "notice", "info", "debug" };
	static const int priorities[] = { 3, 4, 5, 6, 7 };
	json_t *line = json_object();
	char *buf = NULL, time_text[40];
	size_t len = 0;
	FILE *f = open_memstream(&buf, &len);

	if (f) {
		if (is_journald())
			fprintf(f, "<%d>", priorities[level]);
		else
			json_object_set_new(line, "time",
					    json_string(stamp(time_text, sizeof(time_text))));
		json_object_set_new(line, "level", json_string(names[level]));
		json_object_set_new(line, "event", json_string(event));
		json_object_update(line, fields);
		if (as_json)
			json_dumpf(line, f, FORMAT | JSON_COMPACT);
		else
			print_logfmt(f, line);
		fputc('\n', f);
		if (fclose(f) == 0)
			(void)!write(STDERR_FILENO, buf, len);
	}
	free(buf);
	json_decref(fields);
	json_decref(line);
}
