/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's parts: when it tries again, what it prints, whom it notifies. The whole is tested by
 * tests/functional/test_agent.py.
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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/clock.h"
#include "base/notify.h"

static json_t *accelerator(const char *health, const char *drift)
{
	json_t *o = json_pack("{s:s, s:s, s:[]}", "id", "a", "health", health, "drift");

	if (drift)
		json_array_append_new(json_object_get(o, "drift"), json_string(drift));
	return o;
}

static bool look(struct patient *p, const char *health, const char *drift, uint64_t now_ns)
{
	json_t *o = accelerator(health, drift);
	bool now = patient_look(p, o, now_ns);

	json_decref(o);
	return now;
}

static void test_pauses_double_to_a_minute(void **state)
{
	struct patient p = { .id = "a" };
	uint64_t now = 1000;

	(void)state;
	for (uint64_t pause = 1; pause < 64; pause *= 2) {
		assert_true(look(&p, "down", NULL, now));
		patient_tried(&p, false, now);
		assert_int_equal(p.pause_ns, pause * NS_PER_SEC);
		assert_false(look(&p, "down", NULL, now + p.pause_ns - 1));
		now += p.pause_ns;
	}
	patient_tried(&p, false, now);
	assert_int_equal(p.pause_ns, RECONCILE_PAUSE_MAX_NS);
	patient_tried(&p, false, now);
	assert_int_equal(p.pause_ns, RECONCILE_PAUSE_MAX_NS);
	assert_int_equal(p.tries, 8);
	assert_int_equal(p.recoveries, 0);
}

static void test_pauses_begin_again_after_health(void **state)
{
	struct patient p = { .id = "a" };

	(void)state;
	assert_true(look(&p, "down", NULL, 0));
	patient_tried(&p, false, 0);
	patient_tried(&p, false, 0);
	assert_false(look(&p, "ok", NULL, 1));
	assert_false(p.sick);
	assert_true(look(&p, "degraded", "a subsystem is missing", 1));
	assert_string_equal(p.reason, "a subsystem is missing");
	patient_tried(&p, true, 1);
	assert_int_equal(p.recoveries, 1);
	assert_int_equal(p.pause_ns, 0);
}

static void test_drift_is_sick_also_when_it_serves(void **state)
{
	struct patient p = { .id = "a" };

	(void)state;
	assert_true(look(&p, "ok", "the supervisor does not run", 5));
	assert_true(p.sick);
}

static void test_those_that_are_gone_are_forgotten(void **state)
{
	struct patient *list = NULL;
	json_t *left = json_pack("[{s:s}]", "id", "b");

	(void)state;
	assert_non_null(patient_of(&list, "a"));
	patient_of(&list, "b")->tries = 3;
	patient_of(&list, "c");
	patients_keep(&list, left);
	assert_string_equal(list->id, "b");
	assert_int_equal(list->tries, 3);
	assert_null(list->next);
	assert_ptr_equal(patient_of(&list, "b"), list);
	patients_free(&list);
	assert_null(list);
	json_decref(left);
}

static char *print(const json_t *status, const struct sample *sample)
{
	const struct metrics_target target = { status, sample, NULL };
	const struct metrics_agent agent = { .looks = 7, .look_seconds = 0.5, .looked_at = 12.25 };
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	metrics_print(f, &target, 1, &agent);
	fclose(f);
	return text;
}

static void test_labels_are_escaped(void **state)
{
	json_t *status =
		json_pack("{s:s, s:s, s:s}", "id", "a\"b\\c\nd", "backing", "/x", "health", "ok");
	char *text = print(status, NULL);

	(void)state;
	assert_non_null(
		strstr(text, "cyborg_spdk_accelerator_up{accelerator=\"a\\\"b\\\\c\\nd\"} 1\n"));
	assert_non_null(strstr(text, "cyborg_spdk_agent_looks_total 7\n"));
	free(text);
	json_decref(status);
}

static void test_ticks_become_seconds(void **state)
{
	json_t *status = json_pack("{s:s, s:s}", "id", "a", "health", "degraded");
	struct sample s = { .controllers = NULL };
	char *text;

	(void)state;
	s.answers[SAMPLE_IOSTAT] =
		(struct sample_answer){ "bdev_get_iostat",
					json_pack("{s:i, s:[{s:s, s:i, s:I}]}", "tick_rate", 1000,
						  "bdevs", "name", "b", "read_latency_ticks", 1500,
						  "bytes_read", (json_int_t)INT64_C(1234567890123)),
					0.25 };
	text = print(status, &s);
	assert_non_null(strstr(
		text, "cyborg_spdk_bdev_read_seconds_total{accelerator=\"a\",bdev=\"b\"} 1.5\n"));
	assert_non_null(strstr(text, "cyborg_spdk_bdev_read_bytes_total{accelerator=\"a\","
				     "bdev=\"b\"} 1234567890123\n"));
	assert_non_null(strstr(text, "cyborg_spdk_rpc_method_seconds{accelerator=\"a\",method="
				     "\"bdev_get_iostat\"} 0.25\n"));
	/* What the target did not tell is not made up. */
	assert_null(strstr(text, "cyborg_spdk_bdev_written_bytes_total{"));
	assert_non_null(strstr(text, "cyborg_spdk_accelerator_healthy{accelerator=\"a\"} 0\n"));
	free(text);
	sample_fini(&s);
	json_decref(status);
}

/* No ticks a second: no division by it. */
static void test_security_tick_rate_of_zero(void **state)
{
	json_t *status = json_pack("{s:s, s:s}", "id", "a", "health", "ok");
	struct sample s = { .controllers = NULL };
	char *text;

	(void)state;
	s.answers[SAMPLE_IOSTAT].method = "bdev_get_iostat";
	s.answers[SAMPLE_IOSTAT].result =
		json_pack("{s:i, s:[{s:s, s:i}, i]}", "tick_rate", 0, "bdevs", "name", "b",
			  "read_latency_ticks", 5, 3);
	s.answers[SAMPLE_REACTORS].method = "framework_get_reactors";
	s.answers[SAMPLE_REACTORS].result = json_pack("[s, {s:i}]", "x", "busy", 4);
	s.answers[SAMPLE_SUBSYSTEMS].method = "nvmf_get_subsystems";
	s.answers[SAMPLE_SUBSYSTEMS].result = json_pack("{s:s}", "nqn", "y");
	text = print(status, &s);
	assert_null(strstr(text, " inf"));
	assert_null(strstr(text, " nan"));
	assert_null(strstr(text, "cyborg_spdk_bdev_read_seconds_total{"));
	free(text);
	sample_fini(&s);
	json_decref(status);
}

static void test_notification_reaches_its_socket(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/notify.XXXXXX", got[32] = "";
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	notify_send("READY=1");
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
	assert_string_equal(got, "READY=1");
	unlink(addr.sun_path);
	rmdir(dir);
	close(fd);
	/* Nobody there, no path, too long a path: nothing happens. */
	notify_send("READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify_send("READY=1");
	unsetenv("NOTIFY_SOCKET");
	notify_send("READY=1");
}

static void test_watchdog_of_another_process_is_not_ours(void **state)
{
	char pid[16];

	(void)state;
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(notify_watchdog_ns(), 0);
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(notify_watchdog_ns(), 15 * NS_PER_SEC);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ns(), 15 * NS_PER_SEC);
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pauses_double_to_a_minute),
		cmocka_unit_test(test_pauses_begin_again_after_health),
		cmocka_unit_test(test_drift_is_sick_also_when_it_serves),
		cmocka_unit_test(test_those_that_are_gone_are_forgotten),
		cmocka_unit_test(test_labels_are_escaped),
		cmocka_unit_test(test_ticks_become_seconds),
		cmocka_unit_test(test_security_tick_rate_of_zero),
		cmocka_unit_test(test_notification_reaches_its_socket),
		cmocka_unit_test(test_watchdog_of_another_process_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
