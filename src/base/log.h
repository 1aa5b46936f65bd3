/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a program: levels as SPDK names them, flags for debugging one area, one line a call,
 * written with one write(2) so that lines of several threads never mix.
 *
 * Threading: all functions may be called from any thread. Levels and flags are plain words that
 * are read without ordering: a change is seen soon, not at once.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level {
	LOG_DISABLED = -1,
	LOG_ERROR = 0,
	LOG_WARNING = 1,
	LOG_NOTICE = 2,
	LOG_INFO = 3,
	LOG_DEBUG = 4,
};

/**
 * struct log_flag - an area whose LOG_INFO and LOG_DEBUG lines can be switched on
 *
 * Made by LOG_FLAG_DEFINE() in one file of a room; known by name to the log_*_flag methods.
 */
struct log_flag {
	const char *name;
	bool enabled;
	struct log_flag *next;
};

#define LOG_FLAG_DEFINE(id)                                                                        \
	struct log_flag log_flag_##id = { .name = #id };                                           \
	__attribute__((constructor)) static void log_flag_register_##id(void)                      \
	{                                                                                          \
		log_flag_register(&log_flag_##id);                                                 \
	}
#define LOG_FLAG_DECLARE(id) extern struct log_flag log_flag_##id

void log_flag_register(struct log_flag *flag);
/** log_flag_set() - switch one flag, or "all"; -ENOENT when no flag has that name */
int log_flag_set(const char *name, bool enabled);
/** log_flag_is_on() - read without ordering, as the macros below do */
static inline bool log_flag_is_on(const struct log_flag *flag)
{
	return __builtin_expect(__atomic_load_n(&flag->enabled, __ATOMIC_RELAXED), 0);
}
/** log_flag_first() - first of the list of flags, sorted by name; follow ->next */
const struct log_flag *log_flag_first(void);

/** log_set_program() - the word in front of each line; @name must stay valid */
void log_set_program(const char *name);
/**
 * log_set_level() / log_get_level() - what reaches the log proper: the journal, when standard error
 * is connected to it (JOURNAL_STREAM, systemd.exec(5)); elsewhere there is none. Default LOG_NOTICE
 */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/** log_set_print_level() / log_get_print_level() - what reaches standard error; default LOG_NOTICE
 */
void log_set_print_level(enum log_level level);
enum log_level log_get_print_level(void);
/** log_set_timestamps() - whether lines on standard error begin with the time; they do at first */
void log_set_timestamps(bool on);

/** log_level_name() - "ERROR", "WARNING", ...; as SPDK's log_get_level answers */
const char *log_level_name(enum log_level level);
/** log_level_from_name() - the level of a name in any case; -EINVAL when there is none */
int log_level_from_name(const char *name, enum log_level *level);

/**
 * log_write() - write one line: time stamp (left to the journal where that is connected), program,
 * place, level, text
 *
 * The line goes out in one write(2) and is cut at 2 KiB; control characters in it become '?', so
 * that what came from outside cannot forge a line. errno is kept.
 */
void log_write(enum log_level level, const char *file, int line, const char *func, const char *fmt,
	       ...) __attribute__((format(printf, 5, 6)));
/** log_wanted() - a line of @level would reach anything */
bool log_wanted(enum log_level level);

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if (log_wanted(level))                                                             \
			log_write(level, __FILE__, __LINE__, __func__, __VA_ARGS__);               \
	} while (0)
#define log_error(...)	 log_at(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_at(LOG_NOTICE, __VA_ARGS__)
/* Informational and debug lines of one area, written only while its flag is on. */
#define log_info(id, ...)                                                                          \
	do {                                                                                       \
		if (log_flag_is_on(&log_flag_##id))                                                \
			log_at(LOG_INFO, __VA_ARGS__);                                             \
	} while (0)
#define log_debug(id, ...)                                                                         \
	do {                                                                                       \
		if (log_flag_is_on(&log_flag_##id))                                                \
			log_at(LOG_DEBUG, __VA_ARGS__);                                            \
	} while (0)

#endif
