/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls: from a name and parameters to one answer.
 *
 * Threading: reactor 0.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "rpc/rpc.h"

LOG_FLAG_DEFINE(rpc)

/**
 * struct rpc_request - a call that has no answer yet
 * @gone: told when nobody waits any more
 * @calling: the method has not returned yet
 * @ended: answered; freed at once, or when the method returns
 */
struct rpc_request {
	const struct rpc_method *method;
	struct rpc_arena arena;
	void (*answered)(void *arg, const struct rpc_answer *answer);
	void *arg;
	void (*gone)(struct rpc_request *req, void *arg);
	void *gone_arg;
	bool calling;
	bool ended;
};

static void request_free(struct rpc_request *req)
{
	rpc_arena_free(&req->arena);
	free(req);
}

static void answer(struct rpc_request *req, const struct rpc_answer *a)
{
	assert(!req->ended);
	req->ended = true;
	if (!a->result)
		log_info(rpc, "%s: refused with %d: %s", req->method->name, a->code, a->message);
	else
		log_debug(rpc, "%s: answered", req->method->name);
	req->answered(req->arg, a);
	if (!req->calling)
		request_free(req);
}

void rpc_reply(struct rpc_request *req, json_t *result)
{
	struct rpc_answer a = { .result = result };

	if (!result)
		rpc_fail(req, -ENOMEM, "no memory for the answer");
	else
		answer(req, &a);
}

void rpc_reply_true(struct rpc_request *req)
{
	rpc_reply(req, json_true());
}

void rpc_fail(struct rpc_request *req, int code, const char *fmt, ...)
{
	char message[ERROR_TEXT_MAX * 2];
	struct rpc_answer a = { .code = code, .message = message };
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	answer(req, &a);
}

void rpc_fail_error(struct rpc_request *req, const struct error *err)
{
	rpc_done(req, err->code, 0, err);
}

void rpc_done(struct rpc_request *req, int result, int code, const struct error *err)
{
	bool worded = err && err->text[0] != '\0';

	if (result == 0)
		rpc_reply_true(req);
	else
		rpc_fail(req, code ? code : result, "%s",
			 worded ? err->text : error_errno_text(result));
}

void rpc_on_gone(struct rpc_request *req, void (*gone)(struct rpc_request *req, void *arg),
		 void *arg)
{
	req->gone = gone;
	req->gone_arg = arg;
}

void rpc_call_gone(struct rpc_request *req)
{
	if (req->gone)
		req->gone(req, req->gone_arg);
}

const struct rpc_method *rpc_request_method(const struct rpc_request *req)
{
	return req->method;
}

struct rpc_arena *rpc_request_arena(struct rpc_request *req)
{
	return &req->arena;
}

static bool check_state(struct rpc_request *req)
{
	unsigned int state = rpc_state();

	if (req->method->states & state)
		return true;
	if (state == RPC_STARTUP)
		rpc_fail(req, RPC_INVALID_STATE,
			 "Method may only be called after framework is initialized using "
			 "framework_start_init RPC.");
	else if (state == RPC_LEAVING)
		rpc_fail(req, RPC_INVALID_STATE,
			 "%s: the target is leaving and takes no more requests", req->method->name);
	else
		rpc_fail(req, RPC_INVALID_STATE,
			 "Method may only be called before framework is initialized. Use "
			 "--wait-for-rpc command line parameter and then issue this RPC before the "
			 "framework_start_init RPC.");
	return false;
}

static void *decode(struct rpc_request *req, const struct json_value *params)
{
	const struct rpc_method *method = req->method;
	void *out = rpc_arena_alloc(&req->arena, method->size);
	struct error err = ERROR_INIT;
	int rc;

	if (!out) {
		rpc_fail(req, -ENOMEM, "%s: no memory for its parameters", method->name);
		return NULL;
	}
	if (method->defaults)
		method->defaults(out);
	rc = rpc_params_decode(method->params, params, out, &req->arena, &err);
	if (rc == 0)
		return out;
	rpc_fail(req, rc == -ENOMEM ? rc : method->decode_code, "%s: %s", method->name, err.text);
	return NULL;
}

static struct rpc_request *run(struct rpc_request *req, const struct json_value *params)
{
	void *decoded;

	req->calling = true;
	if (check_state(req)) {
		decoded = decode(req, params);
		if (decoded)
			req->method->call(req, decoded);
	}
	req->calling = false;
	if (!req->ended)
		return req;
	request_free(req);
	return NULL;
}

struct rpc_request *rpc_call(const char *method, const struct json_value *params,
			     void (*answered)(void *arg, const struct rpc_answer *answer),
			     void *arg)
{
	const struct rpc_method *found = rpc_method_find(method);
	struct rpc_answer a = { .code = RPC_METHOD_NOT_FOUND, .message = "Method not found" };
	struct rpc_request *req;

	if (!found) {
		answered(arg, &a);
		return NULL;
	}
	req = calloc(1, sizeof(*req));
	if (!req) {
		a = (struct rpc_answer){ .code = -ENOMEM, .message = "no memory for the request" };
		answered(arg, &a);
		return NULL;
	}
	req->method = found;
	req->answered = answered;
	req->arg = arg;
	return run(req, params);
}
