/* SPDX-License-Identifier: Apache-2.0 */
/* The log, as it comes out of standard error of a child process. */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#define OUTPUT_MAX (256 * 1024)
#define THREADS	   4
#define LINES	   200

LOG_FLAG_DEFINE(zebra)
LOG_FLAG_DEFINE(ant)
LOG_FLAG_DEFINE(monkey)

static char output[OUTPUT_MAX];

/* JOURNAL_STREAM as systemd sets it: the device and inode of the stream. */
static void name_journal(int fd)
{
	struct stat st;
	char stream[64];

	fstat(fd, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
}

/* What @body writes to standard error, run in a child since the log asks for the journal once. */
static const char *capture(void (*body)(void), bool journal)
{
	size_t len = 0;
	int fds[2], status;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		if (journal)
			name_journal(STDERR_FILENO);
		body();
		_exit(0);
	}
	close(fds[1]);
	while ((got = read(fds[0], output + len, sizeof(output) - 1 - len)) > 0)
		len += (size_t)got;
	close(fds[0]);
	output[len] = '\0';
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return output;
}

static void write_each_level(void)
{
	log_set_program("prog");
	log_error("one %d", 1);
	log_warning("two");
	log_notice("three\n");
	log_flag_set("ant", true);
	log_info(ant, "four");
	log_debug(ant, "five");
}

static void test_log_default_level_is_notice(void **state)
{
	const char *text = capture(write_each_level, false);
	int year, line, at = 0;

	(void)state;
	assert_int_equal(sscanf(text, "[%d-%*d-%*dT%*d:%*d:%*d.%*6dZ] prog: test_log.c:%d:%n",
				&year, &line, &at),
			 2);
	assert_true(at > 0);
	assert_text_has(text, ":write_each_level: *ERROR*: one 1\n");
	assert_text_has(text, "*WARNING*: two\n");
	assert_text_has(text, "*NOTICE*: three\n");
	assert_null(strstr(text, "\n\n"));
	assert_null(strstr(text, "four"));
	assert_null(strstr(text, "five"));
}

static void write_flagged(void)
{
	log_set_print_level(LOG_DEBUG);
	log_flag_set("ant", true);
	log_info(ant, "ant informs");
	log_debug(ant, "ant debugs");
	log_debug(zebra, "zebra debugs");
	log_flag_set("ant", false);
	log_debug(ant, "ant is off");
	log_set_print_level(LOG_DISABLED);
	log_error("nothing");
}

static void test_log_flags_switch_areas(void **state)
{
	const char *text = capture(write_flagged, false);

	(void)state;
	assert_text_has(text, "*INFO*: ant informs\n");
	assert_text_has(text, "*DEBUG*: ant debugs\n");
	assert_null(strstr(text, "zebra"));
	assert_null(strstr(text, "off"));
	assert_null(strstr(text, "nothing"));
}

static void write_to_journal(void)
{
	log_set_print_level(LOG_DISABLED);
	log_error("one");
	log_notice("three");
	log_set_level(LOG_ERROR);
	log_notice("below");
	log_set_print_level(LOG_WARNING);
	log_warning("printed");
}

static void test_log_journal_gets_priorities(void **state)
{
	const char *text = capture(write_to_journal, true);

	(void)state;
	assert_memory_equal(text, "<3>", 3);
	assert_text_has(text, "*ERROR*: one\n<5>");
	assert_text_has(text, "*NOTICE*: three\n<4>");
	assert_text_has(text, "*WARNING*: printed\n");
	assert_null(strstr(text, "below"));
	assert_null(strchr(text, '['));
}

static void write_with_foreign_journal(void)
{
	setenv("JOURNAL_STREAM", "1:2", 1);
	log_set_print_level(LOG_ERROR);
	log_notice("not wanted here");
	log_error("plain");
}

static void test_log_journal_of_another_stream_is_none(void **state)
{
	const char *text = capture(write_with_foreign_journal, false);

	(void)state;
	assert_int_equal(text[0], '[');
	assert_null(strstr(text, "not wanted"));
}

static void write_hostile(void)
{
	char text[3 * 2048];

	log_error("name 'a\n[2026-01-01] prog: *ERROR*: forged\x1b[2J'");
	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_error("%s", text);
}

static void test_security_log_line_cannot_be_forged(void **state)
{
	const char *text = capture(write_hostile, false), *end = strchr(text, '\n');

	(void)state;
	assert_non_null(end);
	assert_text_has(text, "'a?[2026-01-01] prog: *ERROR*: forged?[2J'\n[");
	assert_int_equal(strlen(end + 1), 2048);
	assert_int_equal(end[2048], '\n');
}

static void *write_many(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_notice("from %s %03d end", (const char *)arg, i);
	return NULL;
}

static void write_from_threads(void)
{
	static char names[THREADS][4] = { "t0", "t1", "t2", "t3" };
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, write_many, names[i]);
	for (int i = 0; i < LINES; i++)
		log_set_level(i % 2 ? LOG_ERROR : LOG_DEBUG);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void test_log_lines_of_threads_do_not_mix(void **state)
{
	const char *text = capture(write_from_threads, false);
	size_t lines = 0;

	(void)state;
	for (const char *end; (end = strchr(text, '\n')); text = end + 1, lines++) {
		assert_int_equal(text[0], '[');
		assert_memory_equal(end - 4, " end", 4);
		assert_null(memchr(text + 1, '[', (size_t)(end - text - 1)));
	}
	assert_int_equal(lines, THREADS * LINES);
}

static void test_log_errno_is_kept(void **state)
{
	(void)state;
	log_set_print_level(LOG_ERROR);
	errno = ENOTTY;
	log_notice("not written");
	assert_int_equal(errno, ENOTTY);
	log_error("this line belongs to the test");
	assert_int_equal(errno, ENOTTY);
	log_set_print_level(LOG_NOTICE);
}

static void test_log_flags_are_listed_by_name(void **state)
{
	const struct log_flag *flag = log_flag_first();

	(void)state;
	assert_string_equal(flag->name, "ant");
	assert_string_equal(flag->next->name, "monkey");
	assert_string_equal(flag->next->next->name, "zebra");
	assert_null(flag->next->next->next);
	assert_int_equal(log_flag_set("yak", true), -ENOENT);
	assert_int_equal(log_flag_set("all", true), 0);
	for (; flag; flag = flag->next)
		assert_true(log_flag_is_on(flag));
	assert_int_equal(log_flag_set("all", false), 0);
	assert_false(log_flag_is_on(&log_flag_zebra));
}

static void test_log_level_names(void **state)
{
	enum log_level level = LOG_ERROR;

	(void)state;
	for (int i = LOG_DISABLED; i <= LOG_DEBUG; i++) {
		assert_int_equal(log_level_from_name(log_level_name((enum log_level)i), &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_from_name("waRning", &level), 0);
	assert_int_equal(level, LOG_WARNING);
	assert_int_equal(log_level_from_name("LOUD", &level), -EINVAL);
	assert_int_equal(level, LOG_WARNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log_default_level_is_notice),
		cmocka_unit_test(test_log_flags_switch_areas),
		cmocka_unit_test(test_log_journal_gets_priorities),
		cmocka_unit_test(test_log_journal_of_another_stream_is_none),
		cmocka_unit_test(test_security_log_line_cannot_be_forged),
		cmocka_unit_test(test_log_lines_of_threads_do_not_mix),
		cmocka_unit_test(test_log_errno_is_kept),
		cmocka_unit_test(test_log_flags_are_listed_by_name),
		cmocka_unit_test(test_log_level_names),
	};

	/* The tests may themselves run under systemd. */
	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
