/* SPDX-License-Identifier: Apache-2.0 */
/* Methods: names, aliases, states, the list of allowed ones, calls and their answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/rpc.h"

struct number {
	uint32_t number;
};

static const struct rpc_param number_params[] = {
	RPC_PARAM(struct number, number, RPC_UINT),
	RPC_END,
};

static struct rpc_request *waiting;

static void number_defaults(void *params)
{
	((struct number *)params)->number = 42;
}

static void number(struct rpc_request *req, void *params)
{
	rpc_reply(req, json_integer(((struct number *)params)->number));
}

static void later(struct rpc_request *req, void *params)
{
	(void)params;
	waiting = req;
}

static void no_memory(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_reply(req, NULL);
}

static void fails(struct rpc_request *req, void *params)
{
	(void)params;
	rpc_done(req, -EBUSY, 0, NULL);
}

static const struct rpc_method methods[] = {
	{ .name = "number",
	  .aliases = { "get_number", "old_number" },
	  .states = RPC_RUNTIME,
	  .decode_code = RPC_INTERNAL_ERROR,
	  .params = number_params,
	  .size = sizeof(struct number),
	  .defaults = number_defaults,
	  .call = number },
	{ .name = "later",
	  .states = RPC_STARTUP,
	  .decode_code = RPC_INVALID_PARAMS,
	  .call = later },
	{ .name = "no_memory", .states = RPC_ALWAYS, .call = no_memory },
	{ .name = "fails", .states = RPC_ALWAYS, .call = fails },
};
static RPC_AREA(test, methods);

static struct {
	unsigned int count;
	json_t *result;
	int code;
	char message[1024];
} last;

static void answered(void *arg, const struct rpc_answer *a)
{
	(void)arg;
	last.count++;
	json_decref(last.result);
	last.result = a->result;
	last.code = a->code;
	snprintf(last.message, sizeof(last.message), "%s", a->message ? a->message : "");
}

static int setup(void **state)
{
	(void)state;
	rpc_area_add(&rpc_area_test);
	rpc_state_set(RPC_RUNTIME);
	last.count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rpc_methods_free();
	json_decref(last.result);
	last.result = NULL;
	return 0;
}

static struct rpc_request *call(const char *method, const char *params)
{
	static const struct json_limits limits = { .bytes = 65536, .values = 1000, .depth = 32 };
	struct json_reader *r = json_reader_create(&limits);
	struct rpc_request *req;
	struct error err;
	size_t taken;

	if (params)
		assert_int_equal(json_reader_feed(r, params, strlen(params), &taken, &err),
				 JSON_FEED_VALUE);
	req = rpc_call(method, params ? json_reader_value(r) : NULL, answered, NULL);
	json_reader_destroy(r);
	return req;
}

static void test_call(void **state)
{
	(void)state;
	assert_null(call("number", NULL));
	assert_int_equal(json_integer_value(last.result), 42);
	assert_null(call("get_number", "{\"number\":7}"));
	assert_int_equal(json_integer_value(last.result), 7);
	assert_int_equal(last.count, 2);
}

static void test_refused_parameters(void **state)
{
	(void)state;
	assert_null(call("old_number", "{\"number\":-7}"));
	assert_null(last.result);
	assert_int_equal(last.code, RPC_INTERNAL_ERROR);
	assert_string_equal(last.message, "number: parameter \"number\" is -7; it must be a whole "
					  "number from 0 to 4294967295");
}

static void test_unknown_method(void **state)
{
	(void)state;
	assert_null(call("nope", NULL));
	assert_int_equal(last.code, RPC_METHOD_NOT_FOUND);
	assert_string_equal(last.message, "Method not found");
}

static void test_answer_later(void **state)
{
	struct rpc_request *req;

	(void)state;
	rpc_state_set(RPC_STARTUP);
	req = call("later", NULL);
	assert_non_null(req);
	assert_ptr_equal(req, waiting);
	assert_int_equal(last.count, 0);
	rpc_fail(waiting, -5, "no %s", "luck");
	assert_int_equal(last.count, 1);
	assert_int_equal(last.code, -5);
	assert_string_equal(last.message, "no luck");
}

static void gone(struct rpc_request *req, void *arg)
{
	*(int *)arg += 1;
	rpc_reply_true(req);
}

static void test_gone(void **state)
{
	int told = 0;

	(void)state;
	rpc_state_set(RPC_STARTUP);
	call("later", NULL);
	rpc_on_gone(waiting, gone, &told);
	rpc_call_gone(waiting);
	assert_int_equal(told, 1);
	assert_int_equal(last.count, 1);
	call("later", NULL);
	rpc_call_gone(waiting);
	rpc_reply_true(waiting);
	assert_int_equal(last.count, 2);
}

static void test_states(void **state)
{
	(void)state;
	call("later", NULL);
	assert_int_equal(last.code, RPC_INVALID_STATE);
	assert_string_equal(last.message,
			    "Method may only be called before framework is initialized. Use "
			    "--wait-for-rpc command line parameter and then issue this RPC before "
			    "the framework_start_init RPC.");
	rpc_state_set(RPC_STARTUP);
	/* The state comes before the parameters. */
	call("number", "{\"number\":-7}");
	assert_int_equal(last.code, RPC_INVALID_STATE);
	assert_string_equal(last.message, "Method may only be called after framework is "
					  "initialized using framework_start_init RPC.");
	rpc_state_set(RPC_LEAVING);
	call("number", NULL);
	assert_int_equal(last.code, RPC_INVALID_STATE);
	assert_non_null(strstr(last.message, "leaving"));
}

static void test_errno_answers(void **state)
{
	(void)state;
	call("no_memory", NULL);
	assert_int_equal(last.code, -ENOMEM);
	call("fails", NULL);
	assert_int_equal(last.code, -EBUSY);
	assert_string_equal(last.message, "Device or resource busy");
}

static void assert_names(json_t *names, const char *expected)
{
	char text[256] = "";
	size_t i;
	json_t *name;

	json_array_foreach (names, i, name) {
		strcat(text, json_string_value(name));
		strcat(text, " ");
	}
	json_decref(names);
	assert_string_equal(text, expected);
}

static void test_lists(void **state)
{
	(void)state;
	assert_names(rpc_methods_to_json(false, false), "number later no_memory fails ");
	assert_names(rpc_methods_to_json(true, false), "number no_memory fails ");
	assert_names(rpc_methods_to_json(true, true),
		     "number get_number old_number no_memory fails ");
}

static void test_allowed(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(rpc_methods_allow("get_number,fails", &err), 0);
	assert_names(rpc_methods_to_json(false, false), "number fails ");
	assert_non_null(rpc_method_find("number"));
	assert_non_null(rpc_method_find("old_number"));
	assert_null(rpc_method_find("later"));
	call("later", NULL);
	assert_int_equal(last.code, RPC_METHOD_NOT_FOUND);
}

static void test_allowed_unknown(void **state)
{
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(rpc_methods_allow("number,nope", &err), -EINVAL);
	assert_string_equal(err.text,
			    "\"nope\" is no method of this target; rpc_get_methods lists them");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_call),	   TEST(test_refused_parameters),
		TEST(test_unknown_method), TEST(test_answer_later),
		TEST(test_gone),	   TEST(test_states),
		TEST(test_errno_answers),  TEST(test_lists),
		TEST(test_allowed),	   TEST(test_allowed_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
