/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC methods: how they are declared, found, called and answered.
 *
 * A method is called with its parameters decoded and in the state it asks for. It answers exactly
 * once, inside the call or later; the request and its parameters live until then.
 *
 * Threading: reactor 0.
 */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/error.h"
#include "base/json.h"
#include "rpc/params.h"

/* JSON-RPC 2.0, section 5.1; SPDK's own: a negative errno, and -1 for a call in the wrong state. */
#define RPC_PARSE_ERROR	     (-32700)
#define RPC_INVALID_REQUEST  (-32600)
#define RPC_METHOD_NOT_FOUND (-32601)
#define RPC_INVALID_PARAMS   (-32602)
#define RPC_INTERNAL_ERROR   (-32603)
#define RPC_INVALID_STATE    (-1)

struct rpc_request;

/* When a method answers. */
#define RPC_STARTUP 1u /* before framework_start_init */
#define RPC_RUNTIME 2u /* once the target is initialised */
#define RPC_LEAVING 4u /* while the target drains */
#define RPC_ALWAYS  (RPC_STARTUP | RPC_RUNTIME | RPC_LEAVING)

#define RPC_ALIASES_MAX 3

/**
 * struct rpc_method - a method
 * @aliases: names that older releases of SPDK have for it
 * @states: bits of RPC_STARTUP, RPC_RUNTIME, RPC_LEAVING
 * @decode_code: the code of a refusal of its parameters: clients know it from SPDK
 * @params: NULL for none
 * @size: of the method's struct
 * @defaults: fill it, zeroed, before decoding; NULL: zeros it is
 * @call: @params is the struct
 */
struct rpc_method {
	const char *name;
	const char *aliases[RPC_ALIASES_MAX];
	unsigned int states;
	int decode_code;
	const struct rpc_param *params;
	size_t size;
	void (*defaults)(void *params);
	void (*call)(struct rpc_request *req, void *params);
};

/** struct rpc_area - the methods of one file */
struct rpc_area {
	const struct rpc_method *methods;
	size_t count;
	struct rpc_area *next;
};

/** RPC_AREA() - make the area `rpc_area_<id>` out of an array of methods */
#define RPC_AREA(id, array)                                                                        \
	struct rpc_area rpc_area_##id = { .methods = (array),                                      \
					  .count = sizeof(array) / sizeof((array)[0]) }

/* --- the methods there are ------------------------------------------------------------------- */

/** rpc_area_add() - at start, once for each area */
void rpc_area_add(struct rpc_area *area);
/** rpc_methods_free() - forget all areas */
void rpc_methods_free(void);
/** rpc_method_find() - by name or alias; NULL when there is none */
const struct rpc_method *rpc_method_find(const char *name);
/**
 * rpc_methods_allow() - from now on there are no methods but those of a list
 * @list: names with commas between
 *
 * Return: 0; -EINVAL for a name that is no method's.
 */
int rpc_methods_allow(const char *list, struct error *err);
/** rpc_methods_to_json() - names; @current: only those that answer now */
json_t *rpc_methods_to_json(bool current, bool aliases);

/** rpc_state(), rpc_state_set() - one of RPC_STARTUP, RPC_RUNTIME, RPC_LEAVING */
unsigned int rpc_state(void);
void rpc_state_set(unsigned int state);

/* --- calls ------------------------------------------------------------------------------------ */

/**
 * struct rpc_answer - how a call ended
 * @result: a new reference; NULL for an error
 */
struct rpc_answer {
	json_t *result;
	int code;
	const char *message;
};

/**
 * rpc_call() - call a method
 * @params: NULL for none; needed only during the call
 * @answered: called once, inside or later; takes @answer->result over
 *
 * Return: the request, for rpc_call_gone(), or NULL when it was answered already.
 */
struct rpc_request *rpc_call(const char *method, const struct json_value *params,
			     void (*answered)(void *arg, const struct rpc_answer *answer),
			     void *arg);
/** rpc_call_gone() - nobody waits for the answer any more; it is still given, and soon */
void rpc_call_gone(struct rpc_request *req);

/* --- answers: what methods call ----------------------------------------------------------------
 */

/** rpc_reply() - @result is taken over; NULL stands for memory that was short */
void rpc_reply(struct rpc_request *req, json_t *result);
void rpc_reply_true(struct rpc_request *req);
/** rpc_fail() - an error answer */
void rpc_fail(struct rpc_request *req, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/** rpc_fail_error() - with the negative errno of @err as the code, and its words */
void rpc_fail_error(struct rpc_request *req, const struct error *err);
/**
 * rpc_done() - how most asynchronous methods end
 * @code: of the answer when @result is not 0; 0: @result itself
 * @err: the words; NULL or empty: the errno's
 */
void rpc_done(struct rpc_request *req, int result, int code, const struct error *err);

/**
 * rpc_on_gone() - told when nobody waits for the answer any more
 * @gone: may answer; the answer is dropped. NULL takes it back.
 */
void rpc_on_gone(struct rpc_request *req, void (*gone)(struct rpc_request *req, void *arg),
		 void *arg);
/** rpc_request_method() - for messages */
const struct rpc_method *rpc_request_method(const struct rpc_request *req);
/** rpc_request_arena() - memory that lives as long as the request */
struct rpc_arena *rpc_request_arena(struct rpc_request *req);

#endif
