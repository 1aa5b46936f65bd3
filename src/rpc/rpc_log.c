/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log_*: levels and flags.
 *
 * Threading: reactor 0.
 */
#include "base/log.h"

#include "rpc/areas.h"

static const char *const level_names[] = { "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG", NULL };

struct set_level {
	int level; /* enum log_level, in the order of its names */
};

static const struct rpc_param set_level_params[] = {
	RPC_PARAM(struct set_level, level, RPC_ENUM, .required = true, .names = level_names),
	RPC_END,
};

static void set_level(struct rpc_request *req, void *params)
{
	log_set_level((enum log_level)((struct set_level *)params)->level);
	rpc_reply_true(req);
}

static void get_level(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_reply(req, json_string(log_level_name(log_get_level())));
}

static void set_print_level(struct rpc_request *req, void *params)
{
	log_set_print_level((enum log_level)((struct set_level *)params)->level);
	rpc_reply_true(req);
}

static void get_print_level(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_reply(req, json_string(log_level_name(log_get_print_level())));
}

struct flag {
	const char *flag;
};

static const struct rpc_param flag_params[] = {
	RPC_PARAM(struct flag, flag, RPC_STRING, .required = true),
	RPC_END,
};

static void change_flag(struct rpc_request *req, const struct flag *p, bool on)
{
	if (log_flag_set(p->flag, on) < 0)
		rpc_fail(req, RPC_INVALID_PARAMS,
			 "%s: there is no log flag \"%.64s\"; log_get_flags lists them, \"all\" "
			 "means "
			 "each of them",
			 rpc_request_method(req)->name, p->flag);
	else
		rpc_reply_true(req);
}

static void set_flag(struct rpc_request *req, void *params)
{
	change_flag(req, params, true);
}

static void clear_flag(struct rpc_request *req, void *params)
{
	change_flag(req, params, false);
}

static void get_flags(struct rpc_request *req, void *params)
{
	json_t *flags = json_object();

	(void)params;
	for (const struct log_flag *f = log_flag_first(); f; f = f->next)
		json_object_set_new(flags, f->name, json_boolean(log_flag_is_on(f)));
	rpc_reply(req, flags);
}

struct enable_timestamps {
	bool enabled;
};

static const struct rpc_param enable_timestamps_params[] = {
	RPC_PARAM(struct enable_timestamps, enabled, RPC_BOOL, .required = true),
	RPC_END,
};

static void enable_timestamps(struct rpc_request *req, void *params)
{
	log_set_timestamps(((struct enable_timestamps *)params)->enabled);
	rpc_reply_true(req);
}

#define LEVEL_METHOD(name_, alias, call_)                                                          \
	{                                                                                          \
		.name = (name_), .aliases = { alias }, .states = RPC_STARTUP | RPC_RUNTIME,        \
		.decode_code = RPC_INTERNAL_ERROR, .params = set_level_params,                     \
		.size = sizeof(struct set_level), .call = (call_)                                  \
	}
#define FLAG_METHOD(name_, alias, call_)                                                           \
	{                                                                                          \
		.name = (name_), .aliases = { alias }, .states = RPC_STARTUP | RPC_RUNTIME,        \
		.decode_code = RPC_INTERNAL_ERROR, .params = flag_params,                          \
		.size = sizeof(struct flag), .call = (call_)                                       \
	}
#define GET_METHOD(name_, alias, call_)                                                            \
	{                                                                                          \
		.name = (name_), .aliases = { alias }, .states = RPC_STARTUP | RPC_RUNTIME,        \
		.decode_code = RPC_INVALID_PARAMS, .call = (call_)                                 \
	}

static const struct rpc_method methods[] = {
	LEVEL_METHOD("log_set_level", "set_log_level", set_level),
	GET_METHOD("log_get_level", "get_log_level", get_level),
	LEVEL_METHOD("log_set_print_level", "set_log_print_level", set_print_level),
	GET_METHOD("log_get_print_level", "get_log_print_level", get_print_level),
	FLAG_METHOD("log_set_flag", "set_log_flag", set_flag),
	FLAG_METHOD("log_clear_flag", "clear_log_flag", clear_flag),
	GET_METHOD("log_get_flags", "get_log_flags", get_flags),
	{ .name = "log_enable_timestamps",
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INVALID_PARAMS,
	  .params = enable_timestamps_params,
	  .size = sizeof(struct enable_timestamps),
	  .call = enable_timestamps },
};
RPC_AREA(log, methods);
