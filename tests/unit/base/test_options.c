/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: what is taken, what is left, and how each refusal is worded. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/options.h"

#define WORDS_MAX 16

static struct {
	bool verbose, quiet;
	const char *socket;
	struct option_strings hosts;
	uint64_t depth, size, wait;
	unsigned int calls;
	const char *called;
} got;

static struct error err;
static char *left[WORDS_MAX];

static int on_call(const char *value, void *arg, struct error *e)
{
	assert_ptr_equal(arg, &got.calls);
	got.calls++;
	got.called = value;
	if (value && strcmp(value, "bad") == 0)
		return error_set(e, -ENODEV, "'bad' is not there");
	return value && strcmp(value, "mute") == 0 ? -EPERM : 0;
}

static const struct option_row rows[] = {
	{ .name = "verbose",
	  .letter = 'v',
	  .kind = OPTION_FLAG,
	  .help = "Say more.",
	  .out = &got.verbose },
	{ .letter = 'q', .kind = OPTION_FLAG, .help = "Say less.", .out = &got.quiet },
	{ .name = "rpc-socket",
	  .letter = 'r',
	  .kind = OPTION_STRING,
	  .value = "PATH",
	  .help = "Listen here.",
	  .out = &got.socket },
	{ .name = "host",
	  .kind = OPTION_STRINGS,
	  .value = "NQN",
	  .help = "Allow this host.",
	  .out = &got.hosts },
	{ .name = "queue-depth",
	  .letter = 'd',
	  .kind = OPTION_U64,
	  .value = "COUNT",
	  .help = "Depth.",
	  .out = &got.depth,
	  .min = 1,
	  .max = 1024 },
	{ .name = "size",
	  .letter = 's',
	  .kind = OPTION_SIZE,
	  .value = "BYTES",
	  .help = "Size.",
	  .out = &got.size,
	  .min = 4096,
	  .max = UINT64_C(1) << 40 },
	{ .name = "wait",
	  .kind = OPTION_SECONDS,
	  .value = "TIME",
	  .help = "Wait so long.",
	  .out = &got.wait,
	  .min = 1000000,
	  .max = UINT64_C(7200) * 1000000000 },
	{ .name = "wait-for-rpc",
	  .kind = OPTION_CALL,
	  .help = "Wait.",
	  .call = on_call,
	  .arg = &got.calls },
	{ .name = "call-me-with-a-rather-long-name",
	  .letter = 'c',
	  .kind = OPTION_CALL,
	  .value = "NAME",
	  .help = "Call.",
	  .call = on_call,
	  .arg = &got.calls },
	{ 0 },
};

/* @line is words between single blanks; an underscore stands for the empty word. */
static int parse(const char *line, bool stop_at_first)
{
	static char words[512];
	char *save = NULL;
	int argc = 0;

	options_strings_free(&got.hosts);
	memset(&got, 0, sizeof(got));
	memset(&err, 0, sizeof(err));
	snprintf(words, sizeof(words), "program %s", line);
	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		left[argc++] = strcmp(word, "_") == 0 ? word + 1 : word;
	return options_parse(argc, left, rows, stop_at_first, &err);
}

static void refuse(const char *line, const char *words)
{
	assert_int_equal(parse(line, false), -EINVAL);
	assert_int_not_equal(err.code, 0);
	assert_text_has(err.text, words);
}

static void test_options_long_and_short(void **state)
{
	(void)state;
	assert_int_equal(parse("--verbose -r /a --queue-depth=0x10 -s512M", false), 0);
	assert_true(got.verbose);
	assert_false(got.quiet);
	assert_string_equal(got.socket, "/a");
	assert_int_equal(got.depth, 16);
	assert_int_equal(got.size, 512 << 20);
	assert_int_equal(parse("-vqd 7 --rpc-socket=", false), 0);
	assert_true(got.verbose && got.quiet);
	assert_int_equal(got.depth, 7);
	assert_string_equal(got.socket, "");
	assert_int_equal(parse("-vr/b=c", false), 0);
	assert_string_equal(got.socket, "/b=c");
	assert_int_equal(parse("-r -v", false), 0);
	assert_string_equal(got.socket, "-v");
	assert_false(got.verbose);
}

static void test_options_cut_names(void **state)
{
	(void)state;
	assert_int_equal(parse("--verb --rpc=/a", false), 0);
	assert_true(got.verbose);
	assert_string_equal(got.socket, "/a");
	assert_int_equal(parse("--wait 1 --wait-", false), 0);
	assert_int_equal(got.wait, 1000000000);
	assert_int_equal(got.calls, 1);
	refuse("--wai 1", "option --wai is ambiguous: it may be --wait, --wait-for-rpc");
}

static void test_options_words_are_left(void **state)
{
	(void)state;
	assert_int_equal(parse("one -v two --rpc-socket /a - three", false), 4);
	assert_string_equal(left[1], "one");
	assert_string_equal(left[2], "two");
	assert_string_equal(left[3], "-");
	assert_string_equal(left[4], "three");
	assert_int_equal(parse("one -- -q --nothing", false), 3);
	assert_string_equal(left[2], "-q");
	assert_string_equal(left[3], "--nothing");
	assert_false(got.quiet);
	assert_int_equal(parse("", false), 0);
}

static void test_options_stop_at_the_verb(void **state)
{
	(void)state;
	assert_int_equal(parse("-v attach --unknown -q", true), 3);
	assert_true(got.verbose);
	assert_false(got.quiet);
	assert_string_equal(left[1], "attach");
	assert_string_equal(left[2], "--unknown");
	assert_string_equal(left[3], "-q");
	assert_int_equal(parse("-v -- attach", true), 1);
	assert_string_equal(left[1], "attach");
}

static void test_options_strings_collect(void **state)
{
	(void)state;
	assert_int_equal(parse("--host a --host=b --host c", false), 0);
	assert_int_equal(got.hosts.count, 3);
	assert_string_equal(got.hosts.items[0], "a");
	assert_string_equal(got.hosts.items[2], "c");
	options_strings_free(&got.hosts);
	assert_int_equal(got.hosts.count, 0);
}

static void test_options_calls(void **state)
{
	(void)state;
	assert_int_equal(parse("-c x", false), 0);
	assert_string_equal(got.called, "x");
	assert_int_equal(parse("--wait-for-rpc", false), 0);
	assert_null(got.called);
	refuse("-c bad", "option -c: 'bad' is not there");
	assert_int_equal(err.code, -ENODEV);
	refuse("-c mute", "option -c: 'mute' was refused: Operation not permitted");
}

static void check_time(const char *text, uint64_t ns)
{
	char line[64];

	snprintf(line, sizeof(line), "--wait %s", text);
	if (parse(line, false))
		fail_msg("%s", err.text);
	assert_int_equal(got.wait, ns);
}

static void test_options_times(void **state)
{
	(void)state;
	check_time("5", UINT64_C(5000000000));
	check_time("0.25", 250000000);
	check_time("1.000000001", 1000000001);
	check_time("1.0000000019999", 1000000001);
	check_time("1500us", 1500000);
	check_time("1.5ms", 1500000);
	check_time("250ms", 250000000);
	check_time("1.5m", UINT64_C(90000000000));
	check_time("2h", UINT64_C(7200000000000));
	refuse("--wait 3h", "option --wait: '3h' is out of range, allowed is 1ms to 7200s");
	refuse("--wait 999us", "'999us' is out of range, allowed is 1ms to 7200s");
	refuse("--wait 99999999999999999999", "is out of range");
	refuse("--wait 1e3", "'1e3' is not a time in seconds");
	refuse("--wait 1.", "is not a time");
	refuse("--wait .5", "is not a time");
	refuse("--wait 5days", "is not a time");
	refuse("--wait -1", "is not a time");
	refuse("--wait _", "is not a time");
}

static void test_options_refusals(void **state)
{
	(void)state;
	refuse("--nothing", "option --nothing is not known");
	refuse("--=x", "option -- is not known");
	refuse("-x", "option -x is not known");
	refuse("-vx", "option -x is not known");
	refuse("--verbose=yes", "option --verbose takes no value, but 'yes' was given");
	refuse("--wait-for-rpc=1", "option --wait-for-rpc takes no value");
	refuse("--rpc", "option --rpc-socket wants a value, PATH");
	refuse("-vr", "option -r wants a value, PATH");
	refuse("-d 0", "option -d: '0' is out of range, allowed is 1 to 1024");
	refuse("-d 1025", "'1025' is out of range, allowed is 1 to 1024");
	refuse("-d 99999999999999999999999", "is out of range");
	refuse("-d 1k", "option -d: '1k' is not a whole number");
	refuse("-d -1", "option -d: '-1' is not a whole number");
	refuse("--queue-depth=", "option --queue-depth: '' is not a whole number");
	refuse("-s 4095", "option -s: '4095' is out of range, allowed is 4K to 1T");
	refuse("-s 2T", "'2T' is out of range, allowed is 4K to 1T");
	refuse("-s 1.5G", "'1.5G' is not a size");
}

static void check_size(const char *text, uint64_t bytes)
{
	uint64_t found = 0;

	assert_int_equal(parse_size(text, &found, &err), 0);
	assert_int_equal(found, bytes);
}

static void refuse_size(const char *text, int rc, const char *words)
{
	uint64_t found = 7;

	assert_int_equal(parse_size(text, &found, &err), rc);
	assert_int_equal(err.code, rc);
	assert_text_has(err.text, words);
	assert_int_equal(found, 7);
}

static void test_parse_size(void **state)
{
	(void)state;
	check_size("0", 0);
	check_size("4096", 4096);
	check_size("4096B", 4096);
	check_size("1k", 1024);
	check_size("1KiB", 1024);
	check_size("1KB", 1024);
	check_size("512M", 512 << 20);
	check_size("1GiB", 1 << 30);
	check_size("2tib", UINT64_C(2) << 40);
	check_size("18446744073709551615", UINT64_MAX);
	check_size("16777215T", UINT64_C(16777215) << 40);
	refuse_size("16777216T", -ERANGE, "is over 2^64 - 1 bytes");
	refuse_size("18446744073709551616", -ERANGE, "'18446744073709551616' is over");
	refuse_size("", -EINVAL, "give a whole number of bytes");
	refuse_size("M", -EINVAL, "'M'");
	refuse_size("1P", -EINVAL, "'1P'");
	refuse_size("1Kib2", -EINVAL, "size");
	refuse_size("1 K", -EINVAL, "size");
	refuse_size("-1", -EINVAL, "size");
	refuse_size("0x10", -EINVAL, "size");
}

static void test_parse_u64(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_int_equal(parse_u64("", &value), -EINVAL);
	assert_int_equal(parse_u64("0x", &value), -EINVAL);
	assert_int_equal(parse_u64("0x1g", &value), -EINVAL);
	assert_int_equal(parse_u64("+1", &value), -EINVAL);
	assert_int_equal(parse_u64(" 1", &value), -EINVAL);
	assert_int_equal(parse_u64("1 ", &value), -EINVAL);
	assert_int_equal(parse_u64("18446744073709551616", &value), -ERANGE);
	assert_int_equal(parse_u64("0x10000000000000000", &value), -ERANGE);
	assert_int_equal(value, 7);
	assert_int_equal(parse_u64("18446744073709551615", &value), 0);
	assert_int_equal(value, UINT64_MAX);
	assert_int_equal(parse_u64("0X00000ffffffffffffffff", &value), 0);
	assert_int_equal(value, UINT64_MAX);
	assert_int_equal(parse_u64("010", &value), 0);
	assert_int_equal(value, 10);
}

static void test_options_help_is_aligned(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	options_help(f, rows);
	fclose(f);
	assert_text_has(text, "  -v, --verbose               Say more.\n");
	assert_text_has(text, "  -q                          Say less.\n");
	assert_text_has(text, "  -r, --rpc-socket PATH       Listen here.\n");
	assert_text_has(text, "      --host NQN              Allow this host.\n");
	assert_text_has(text, "  -c, --call-me-with-a-rather-long-name NAME\n"
			      "                              Call.\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_long_and_short),
		cmocka_unit_test(test_options_cut_names),
		cmocka_unit_test(test_options_words_are_left),
		cmocka_unit_test(test_options_stop_at_the_verb),
		cmocka_unit_test(test_options_strings_collect),
		cmocka_unit_test(test_options_calls),
		cmocka_unit_test(test_options_times),
		cmocka_unit_test(test_options_refusals),
		cmocka_unit_test(test_parse_size),
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_options_help_is_aligned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
