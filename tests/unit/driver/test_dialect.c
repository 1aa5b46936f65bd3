/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dialects of SPDK's releases: names, parameters and forms, as each release has them.
 *
 * Threading: one thread.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <string.h>

#include "driver/dialect.h"

static void learn(struct dialect *d, const char *methods, const char *version)
{
	json_t *list = json_loads(methods, 0, NULL);
	json_t *answer = version ? json_pack("{s:s}", "version", version) : NULL;

	*d = (struct dialect){ .methods = NULL };
	assert_int_equal(dialect_learn(d, list, answer, NULL), 0);
	json_decref(list);
	json_decref(answer);
}

static void test_release_is_told_by_version_or_by_methods(void **state)
{
	static const struct {
		const char *methods, *version;
		unsigned int release;
	} rows[] = {
		{ "[\"rpc_get_methods\"]", "SPDK v26.05 git sha1 0123", 2605 },
		{ "[\"rpc_get_methods\"]", "SPDK v22.01.2", 2201 },
		{ "[\"rpc_get_methods\"]", "SPDK v24.09-pre git sha1 0123", 2408 },
		{ "[\"rpc_get_methods\"]", "SPDK v26.05-cyborg-spdk-0.1.0", DIALECT_NEWEST },
		{ "[\"rpc_get_methods\"]", "no number", DIALECT_NEWEST },
		{ "[\"get_rpc_methods\"]", "SPDK v19.04", 1904 },
		{ "[\"get_rpc_methods\",\"get_nvmf_transports\"]", NULL, 1901 },
		{ "[\"get_rpc_methods\",\"set_bdev_qos_limit\"]", NULL, 1810 },
		{ "[\"get_rpc_methods\",\"get_bdevs_iostat\"]", NULL, 1807 },
		{ "[\"get_rpc_methods\",\"get_bdevs\"]", NULL, 1804 },
	};
	struct dialect d;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		learn(&d, rows[i].methods, rows[i].version);
		assert_int_equal(d.release, rows[i].release);
		assert_int_equal(d.is_engine, i == 3);
		dialect_fini(&d);
	}
}

static void test_security_version_cannot_steer_a_terminal(void **state)
{
	struct dialect d;

	(void)state;
	learn(&d, "[\"rpc_get_methods\"]", "SPDK v24.01\x1b[2J\n");
	assert_int_equal(d.release, 2401);
	assert_string_equal(d.version, "SPDK v24.01 [2J");
	dialect_fini(&d);
}

static void test_methods_that_are_no_array_are_refused(void **state)
{
	struct dialect d = { .methods = NULL };
	json_t *wrong = json_object();

	(void)state;
	assert_int_equal(dialect_learn(&d, wrong, NULL, NULL), -EBADMSG);
	json_decref(wrong);
	dialect_fini(&d);
}

static void test_names(void **state)
{
	struct dialect d;

	(void)state;
	learn(&d, "[\"get_bdevs\",\"construct_nvmf_subsystem\",\"delete_bdev\"]", NULL);
	assert_string_equal(dialect_name(&d, "bdev_get_bdevs"), "get_bdevs");
	assert_string_equal(dialect_name(&d, "nvmf_create_subsystem"), "construct_nvmf_subsystem");
	assert_string_equal(dialect_name(&d, "bdev_aio_delete"), "delete_bdev");
	assert_null(dialect_name(&d, "nvmf_get_transports"));
	dialect_fini(&d);
	/* A method that is there but not what the driver needs yet counts as missing. */
	learn(&d, "[\"rpc_get_methods\",\"bdev_uring_create\"]", "SPDK v19.10");
	assert_null(dialect_name(&d, "bdev_uring_create"));
	dialect_fini(&d);
	learn(&d, "[\"rpc_get_methods\",\"bdev_uring_create\"]", "SPDK v20.01");
	assert_string_equal(dialect_name(&d, "bdev_uring_create"), "bdev_uring_create");
	dialect_fini(&d);
}

static void test_old_names_lead_to_those_of_today(void **state)
{
	(void)state;
	assert_string_equal(dialect_today("construct_aio_bdev"), "bdev_aio_create");
	assert_string_equal(dialect_today("set_nvmf_target_config"), "nvmf_set_config");
	assert_string_equal(dialect_today("bdev_aio_create"), "bdev_aio_create");
	assert_string_equal(dialect_today("unheard_of"), "unheard_of");
}

static void test_what_only_reads(void **state)
{
	(void)state;
	assert_true(dialect_is_read("bdev_get_bdevs"));
	assert_true(dialect_is_read("framework_wait_init"));
	assert_false(dialect_is_read("bdev_aio_create"));
	assert_false(dialect_is_read("spdk_kill_instance"));
	assert_false(dialect_is_read("unheard_of"));
}

/**
 * struct turned - a request and what becomes of it
 * @to: parameters; NULL: refused with @status and @text
 */
struct turned {
	const char *version, *method, *from, *to;
	int status;
	const char *text;
};

static const struct turned turned[] = {
	{ "SPDK v26.05", "bdev_aio_create", "{\"name\":\"a\",\"uuid\":\"u\"}",
	  "{\"name\":\"a\",\"uuid\":\"u\"}", 0, NULL },
	{ "SPDK v24.05", "bdev_aio_create", "{\"name\":\"a\",\"uuid\":\"u\"}", "{\"name\":\"a\"}",
	  0, NULL },
	{ "SPDK v22.09", "bdev_aio_create", "{\"name\":\"a\",\"readonly\":false}",
	  "{\"name\":\"a\"}", 0, NULL },
	{ "SPDK v22.09", "bdev_aio_create", "{\"name\":\"a\",\"readonly\":true}", NULL, -ENOTSUP,
	  "SPDK v22.09 does not know \"readonly\" of bdev_aio_create, which came with 23.01" },
	{ "SPDK v23.05", "bdev_lvol_create", "{\"lvol_name\":\"v\",\"size_in_mib\":4}",
	  "{\"lvol_name\":\"v\",\"size_in_mib\":4}", 0, NULL },
	{ "SPDK v23.01", "bdev_lvol_create", "{\"lvol_name\":\"v\",\"size_in_mib\":4}",
	  "{\"lvol_name\":\"v\",\"size\":4194304}", 0, NULL },
	{ "SPDK v23.01", "bdev_lvol_resize", "{\"name\":\"v\",\"size_in_mib\":9000000000000}", NULL,
	  -EINVAL, "size_in_mib" },
	{ "SPDK v23.01", "bdev_lvol_resize", "{\"name\":\"v\",\"size_in_mib\":-1}", NULL, -EINVAL,
	  "size_in_mib" },
	{ "SPDK v25.09", "bdev_get_iostat", "{\"names\":[\"a\"]}", "{\"name\":\"a\"}", 0, NULL },
	{ "SPDK v25.09", "bdev_get_iostat", "{\"names\":[\"a\",\"b\"]}", NULL, -ENOTSUP,
	  "one at a time" },
	{ "SPDK v24.01", "nvmf_subsystem_add_host", "{\"host\":\"h\",\"dhchap_key\":\"k\"}", NULL,
	  -ENOTSUP, "dhchap_key" },
	{ "SPDK v18.04", "nvmf_subsystem_add_ns",
	  "{\"namespace\":{\"bdev_name\":\"b\",\"uuid\":\"u\"}}", NULL, -ENOTSUP, "\"uuid\"" },
	{ "SPDK v18.07", "nvmf_subsystem_add_ns",
	  "{\"namespace\":{\"bdev_name\":\"b\",\"uuid\":\"u\"}}",
	  "{\"namespace\":{\"bdev_name\":\"b\",\"uuid\":\"u\"}}", 0, NULL },
	{ "SPDK v18.07", "bdev_set_qos_limit",
	  "{\"name\":\"a\",\"rw_ios_per_sec\":9000,\"r_mbytes_per_sec\":0}",
	  "{\"name\":\"a\",\"ios_per_sec\":9000}", 0, NULL },
	{ "SPDK v18.07", "bdev_set_qos_limit", "{\"name\":\"a\",\"r_mbytes_per_sec\":5}", NULL,
	  -ENOTSUP, "r_mbytes_per_sec" },
	{ "SPDK v19.01", "nvmf_create_subsystem", "{\"nqn\":\"n\",\"model_number\":\"m\"}",
	  "{\"nqn\":\"n\"}", 0, NULL },
	{ "SPDK v18.10", "nvmf_create_transport", "{\"trtype\":\"TCP\"}", NULL, -ENOSYS,
	  "came with 19.01; without it there is no NVMe/TCP" },
	{ "SPDK v26.05-cyborg-spdk-0.1.0", "bdev_aio_create", "{\"name\":\"a\",\"nowait\":true}",
	  "{\"name\":\"a\",\"nowait\":true}", 0, NULL },
	{ "SPDK v19.01", "unheard_of", "{\"x\":1}", "{\"x\":1}", 0, NULL },
};

static void test_requests(void **state)
{
	static const char all[] =
		"[\"rpc_get_methods\",\"bdev_aio_create\",\"bdev_lvol_create\","
		"\"bdev_lvol_resize\",\"bdev_get_iostat\",\"nvmf_subsystem_add_host\","
		"\"nvmf_subsystem_add_ns\",\"bdev_set_qos_limit\",\"nvmf_create_subsystem\","
		"\"nvmf_create_transport\"]";
	struct dialect d;

	(void)state;
	for (size_t i = 0; i < sizeof(turned) / sizeof(turned[0]); i++) {
		const struct turned *t = &turned[i];
		json_t *params = json_loads(t->from, 0, NULL), *want;
		struct error err = ERROR_INIT;
		const char *name;

		learn(&d, all, t->version);
		assert_int_equal(dialect_request(&d, t->method, params, &name, &err), t->status);
		if (t->to) {
			want = json_loads(t->to, 0, NULL);
			assert_true(json_equal(params, want));
			assert_string_equal(name, t->method);
			json_decref(want);
		} else {
			assert_non_null(strstr(err.text, t->text));
		}
		json_decref(params);
		dialect_fini(&d);
	}
}

static void test_parameters_can_be_asked_for(void **state)
{
	struct dialect d;

	(void)state;
	learn(&d, "[\"rpc_get_methods\",\"nvmf_subsystem_add_host\"]", "SPDK v24.01");
	assert_false(dialect_has_param(&d, "nvmf_subsystem_add_host", "dhchap_key"));
	assert_true(dialect_has_param(&d, "nvmf_subsystem_add_host", "host"));
	assert_false(dialect_has_param(&d, "bdev_aio_create", "name"));
	dialect_fini(&d);
}

static void test_answers_get_the_form_of_today(void **state)
{
	json_t *old = json_loads("[{\"tick_rate\":5},{\"name\":\"a\"}]", 0, NULL);
	json_t *none = json_array(), *wrong = json_object();

	(void)state;
	assert_int_equal(dialect_answer("bdev_get_iostat", &old, NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(old, "tick_rate")), 5);
	assert_int_equal(json_array_size(json_object_get(old, "bdevs")), 1);
	assert_int_equal(dialect_answer("bdev_get_iostat", &none, NULL), 0);
	assert_int_equal(json_array_size(json_object_get(none, "bdevs")), 0);
	assert_int_equal(dialect_answer("bdev_get_bdevs", &wrong, NULL), -EBADMSG);
	assert_int_equal(dialect_answer("spdk_get_version", &wrong, NULL), 0);
	json_decref(old);
	json_decref(none);
	json_decref(wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release_is_told_by_version_or_by_methods),
		cmocka_unit_test(test_security_version_cannot_steer_a_terminal),
		cmocka_unit_test(test_methods_that_are_no_array_are_refused),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_old_names_lead_to_those_of_today),
		cmocka_unit_test(test_what_only_reads),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_parameters_can_be_asked_for),
		cmocka_unit_test(test_answers_get_the_form_of_today),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
