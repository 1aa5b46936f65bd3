/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: levels, flags, and lines on standard error.
 *
 * Threading: any thread. Levels and flags are read and written relaxed. The list of flags is built
 * by constructors, before there is a second thread, and never changes afterwards.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Below PIPE_BUF, so that a write to a pipe is atomic too. */
#define LOG_LINE_MAX 2048

enum journal_state {
	JOURNAL_UNKNOWN,
	JOURNAL_ABSENT,
	JOURNAL_CONNECTED,
};

static struct log_flag *flags;
static const char *program;
static int log_level = LOG_NOTICE;
static int print_level = LOG_NOTICE;
static bool timestamps = true;
static int journal_state = JOURNAL_UNKNOWN;

static const struct {
	const char *name;
	int priority; /* of syslog(3) */
} levels[] = {
	[LOG_ERROR] = { "ERROR", 3 },	[LOG_WARNING] = { "WARNING", 4 },
	[LOG_NOTICE] = { "NOTICE", 5 }, [LOG_INFO] = { "INFO", 6 },
	[LOG_DEBUG] = { "DEBUG", 7 },
};

/*
 * systemd.exec(5): JOURNAL_STREAM is inherited even by processes whose standard error went
 * elsewhere, so it counts only if it names this very stream.
 */
static bool journal_is_stderr(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* Threads that meet here at the same time find the same. */
static bool journal_connected(void)
{
	int state = __atomic_load_n(&journal_state, __ATOMIC_RELAXED);

	if (state == JOURNAL_UNKNOWN) {
		state = journal_is_stderr() ? JOURNAL_CONNECTED : JOURNAL_ABSENT;
		__atomic_store_n(&journal_state, state, __ATOMIC_RELAXED);
	}
	return state == JOURNAL_CONNECTED;
}

void log_flag_register(struct log_flag *flag)
{
	struct log_flag **at = &flags;

	while (*at && strcmp((*at)->name, flag->name) < 0)
		at = &(*at)->next;
	flag->next = *at;
	*at = flag;
}

int log_flag_set(const char *name, bool enabled)
{
	bool all = strcmp(name, "all") == 0;
	int rc = all ? 0 : -ENOENT;

	for (struct log_flag *flag = flags; flag; flag = flag->next) {
		if (!all && strcmp(flag->name, name) != 0)
			continue;
		__atomic_store_n(&flag->enabled, enabled, __ATOMIC_RELAXED);
		rc = 0;
	}
	return rc;
}

const struct log_flag *log_flag_first(void)
{
	return flags;
}

void log_set_program(const char *name)
{
	__atomic_store_n(&program, name, __ATOMIC_RELEASE);
}

void log_set_level(enum log_level level)
{
	__atomic_store_n(&log_level, (int)level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	return (enum log_level)__atomic_load_n(&log_level, __ATOMIC_RELAXED);
}

void log_set_print_level(enum log_level level)
{
	__atomic_store_n(&print_level, (int)level, __ATOMIC_RELAXED);
}

enum log_level log_get_print_level(void)
{
	return (enum log_level)__atomic_load_n(&print_level, __ATOMIC_RELAXED);
}

void log_set_timestamps(bool on)
{
	__atomic_store_n(&timestamps, on, __ATOMIC_RELAXED);
}

const char *log_level_name(enum log_level level)
{
	return level >= LOG_ERROR && level <= LOG_DEBUG ? levels[level].name : "DISABLED";
}

int log_level_from_name(const char *name, enum log_level *level)
{
	for (int i = LOG_DISABLED; i <= LOG_DEBUG; i++) {
		if (strcasecmp(name, log_level_name((enum log_level)i)) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* In the journal both levels speak of one stream: a line that either wants goes there. */
bool log_wanted(enum log_level level)
{
	if (level < LOG_ERROR || level > LOG_DEBUG)
		return false;
	return level <= log_get_print_level() || (level <= log_get_level() && journal_connected());
}

/* sd-daemon(3): a level between angle brackets; the journal has its own time stamp. */
static int print_start(char *line, size_t size, enum log_level level)
{
	struct timespec now;
	struct tm tm;

	if (journal_connected())
		return snprintf(line, size, "<%d>", levels[level].priority);
	if (!__atomic_load_n(&timestamps, __ATOMIC_RELAXED))
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	return snprintf(line, size, "[%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ] ", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			now.tv_nsec / 1000);
}

/* @rc of snprintf() into what was left behind @at: where the text now ends. */
static size_t advance(size_t at, int rc)
{
	if (rc < 0)
		return at;
	return at + (size_t)rc < LOG_LINE_MAX ? at + (size_t)rc : LOG_LINE_MAX - 1;
}

static void mask_controls(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = text[i] == '\t' ? ' ' : '?';
	}
}

static void write_line(const char *line, size_t len)
{
	/* Nobody can be told that the log itself fails; a partial line is not completed either. */
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
}

void log_write(enum log_level level, const char *file, int line, const char *func, const char *fmt,
	       ...)
{
	const char *slash = strrchr(file, '/');
	const char *word = __atomic_load_n(&program, __ATOMIC_ACQUIRE);
	int saved = errno;
	char text[LOG_LINE_MAX + 1];
	va_list args;
	size_t at;

	if (!log_wanted(level))
		return;
	at = advance(0, print_start(text, LOG_LINE_MAX, level));
	at = advance(at, snprintf(text + at, LOG_LINE_MAX - at,
				  "%s%s%s:%d:%s: *%s*: ", word ? word : "", word ? ": " : "",
				  slash ? slash + 1 : file, line, func, levels[level].name));
	errno = saved; /* for %m in the caller's format */
	va_start(args, fmt);
	at = advance(at, vsnprintf(text + at, LOG_LINE_MAX - at, fmt, args));
	va_end(args);

	while (at > 0 && text[at - 1] == '\n')
		at--;
	mask_controls(text, at);
	text[at++] = '\n';
	write_line(text, at);
	errno = saved;
}
