/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a saved configuration.
 *
 * The text stays as the reader has it until the last method is answered; one method runs at a time.
 *
 * Threading: reactor 0.
 */
#include "rpc/config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "rpc/framework.h"
#include "rpc/rpc.h"

/* What in SPDK's own saved configurations sets a part that this engine does not have. */
static const char *const tuning[] = {
	"accel_set_options",	 "bdev_iscsi_set_options", "bdev_nvme_set_hotplug",
	"bdev_nvme_set_options", "bdev_raid_set_options",  "fsdev_set_opts",
	"iscsi_set_options",	 "sock_impl_set_options",  "sock_set_default_impl",
};

/**
 * struct load - a configuration on its way
 * @subsystems: the array of them
 * @subsystem, @name, @at: where we are
 * @pass: RPC_STARTUP, then RPC_RUNTIME
 */
struct load {
	const char *path;
	bool go_on;
	struct json_reader *reader;
	const struct json_value *subsystems;
	const struct json_value *subsystem, *subsystem_end;
	const char *name;
	const struct json_value *at, *end;
	const char *method;
	unsigned int pass;
	bool calling, waiting;
	int failed;
	struct error err;
	void (*done)(void *arg, int result, const struct error *err);
	void *arg;
};

#define WRITER_MS 5000

/* --- reading ---------------------------------------------------------------------------------- */

static int feed(struct load *l, const char *data, size_t len)
{
	struct error err = ERROR_INIT;

	while (len > 0) {
		size_t taken;
		enum json_feed result;

		if (l->subsystems) {
			if (strspn(data, " \t\r\n") < len)
				return error_set(&l->err, -EINVAL,
						 "%s: there is text behind the configuration",
						 l->path);
			return 0;
		}
		result = json_reader_feed(l->reader, data, len, &taken, &err);
		if (result == JSON_FEED_ERROR)
			return error_set(&l->err, -EINVAL, "%s: %s", l->path, err.text);
		if (result == JSON_FEED_VALUE)
			l->subsystems = json_reader_value(l->reader);
		data += taken;
		len -= taken;
	}
	return 0;
}

/* A pipe's writer may be slow, or never come; signals are not looked at meanwhile. */
static int wait_for_text(struct load *l, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int rc;

	do
		rc = poll(&p, 1, WRITER_MS);
	while (rc < 0 && errno == EINTR);
	if (rc == 0)
		return error_set(&l->err, -ETIMEDOUT, "%s: nothing came from it within %u s",
				 l->path, WRITER_MS / 1000);
	return 0;
}

static int read_all(struct load *l, int fd)
{
	char buf[16384 + 1];

	for (;;) {
		ssize_t got;

		if (wait_for_text(l, fd) < 0)
			return l->err.code;
		got = read(fd, buf, sizeof(buf) - 1);

		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return error_set(&l->err, -errno, "%s: cannot read: %s", l->path,
					 error_errno_text(-errno));
		if (got == 0)
			break;
		/* NUL behind it: strspn() over white space ends there. */
		buf[got] = '\0';
		if (feed(l, buf, (size_t)got) < 0)
			return l->err.code;
	}
	if (!l->subsystems)
		return error_set(&l->err, -EINVAL, "%s: the JSON text ends too early", l->path);
	return 0;
}

static int read_file(struct load *l)
{
	int fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int rc;

	if (fd < 0)
		return error_set(&l->err, -errno, "%s: cannot open: %s", l->path,
				 error_errno_text(-errno));
	rc = read_all(l, fd);
	close(fd);
	return rc;
}

/* --- the shape -------------------------------------------------------------------------------- */

static int check_method(struct load *l, const char *subsystem, const struct json_value *v)
{
	const struct json_value *method = json_member(v, "method");
	const struct json_value *params = json_member(v, "params");

	if (!method || method->kind != JSON_KIND_STRING)
		return error_set(&l->err, -EINVAL,
				 "%s: subsystem %.64s: each entry of \"config\" must be an object "
				 "with a \"method\", a string, or an array of such",
				 l->path, subsystem);
	if (params && params->kind != JSON_KIND_OBJECT && params->kind != JSON_KIND_NULL)
		return error_set(&l->err, -EINVAL,
				 "%s: subsystem %.64s: method %.64s: \"params\" must be an object",
				 l->path, subsystem, method->text);
	return 0;
}

static int check_subsystem(struct load *l, const struct json_value *v)
{
	const struct json_value *name = json_member(v, "subsystem");
	const struct json_value *config = json_member(v, "config");

	if (!name || name->kind != JSON_KIND_STRING)
		return error_set(&l->err, -EINVAL,
				 "%s: each subsystem must be an object with \"subsystem\", a "
				 "string, and \"config\", an array or null",
				 l->path);
	if (!config || config->kind == JSON_KIND_NULL)
		return 0;
	if (config->kind != JSON_KIND_ARRAY)
		return error_set(&l->err, -EINVAL,
				 "%s: subsystem %.64s: \"config\" must be an array or null",
				 l->path, name->text);
	JSON_VALUE_FOREACH (entry, config) {
		if (entry->kind != JSON_KIND_ARRAY) {
			if (check_method(l, name->text, entry) < 0)
				return l->err.code;
			continue;
		}
		JSON_VALUE_FOREACH (element, entry) {
			if (check_method(l, name->text, element) < 0)
				return l->err.code;
		}
	}
	return 0;
}

static int check_shape(struct load *l)
{
	l->subsystems = json_member(l->subsystems, "subsystems");
	if (!l->subsystems || l->subsystems->kind != JSON_KIND_ARRAY)
		return error_set(&l->err, -EINVAL,
				 "%s: a configuration is an object with \"subsystems\", an array",
				 l->path);
	JSON_VALUE_FOREACH (subsystem, l->subsystems) {
		if (check_subsystem(l, subsystem) < 0)
			return l->err.code;
	}
	return 0;
}

/* --- walking through it: as all is in one array of values, a batch is walked into ------------- */

static bool next_subsystem(struct load *l)
{
	const struct json_value *config;

	while (l->subsystem < l->subsystem_end) {
		config = json_member(l->subsystem, "config");
		l->name = json_member(l->subsystem, "subsystem")->text;
		l->subsystem += l->subsystem->next;
		if (!config || config->kind != JSON_KIND_ARRAY)
			continue;
		l->at = config + 1;
		l->end = config + config->next;
		return true;
	}
	return false;
}

static const struct json_value *next_method(struct load *l)
{
	for (;;) {
		const struct json_value *v = l->at;

		if (v == l->end) {
			if (!next_subsystem(l))
				return NULL;
			continue;
		}
		if (v->kind == JSON_KIND_OBJECT) {
			l->at += v->next;
			return v;
		}
		l->at++;
	}
}

static void begin_pass(struct load *l, unsigned int pass)
{
	l->pass = pass;
	l->subsystem = l->subsystems + 1;
	l->subsystem_end = l->subsystems + l->subsystems->next;
	l->at = l->end = NULL;
}

/* --- running ---------------------------------------------------------------------------------- */

static bool is_tuning(const char *method)
{
	for (size_t i = 0; i < sizeof(tuning) / sizeof(tuning[0]); i++) {
		if (strcmp(tuning[i], method) == 0)
			return true;
	}
	return false;
}

/* Those that answer in both states belong where they can: at the first occasion. */
static bool belongs_to_pass(struct load *l, const char *name)
{
	const struct rpc_method *method = rpc_method_find(name);

	if (!method) {
		if (!is_tuning(name))
			return l->pass == RPC_RUNTIME;
		if (l->pass == RPC_RUNTIME)
			log_notice(
				"%s: subsystem %s: %s sets a part that this target does not have: "
				"left out",
				l->path, l->name, name);
		return false;
	}
	return l->pass == (method->states & RPC_STARTUP ? RPC_STARTUP : RPC_RUNTIME);
}

static void advance(struct load *l);

static void answered(void *arg, const struct rpc_answer *a)
{
	struct load *l = arg;

	l->waiting = false;
	json_decref(a->result);
	if (!a->result) {
		struct error err;

		l->failed++;
		error_set(&err, a->code < 0 && a->code > -4096 && a->code != -1 ? a->code : -EINVAL,
			  "%s: subsystem %s: method %s: %s", l->path, l->name, l->method,
			  a->message);
		if (l->go_on)
			log_error("%s", err.text);
		else if (l->err.code == 0)
			l->err = err;
	}
	if (!l->calling)
		advance(l);
}

static void call(struct load *l, const struct json_value *v)
{
	const struct json_value *params = json_member(v, "params");

	if (params && params->kind == JSON_KIND_NULL)
		params = NULL;
	l->calling = true;
	l->waiting = true;
	rpc_call(l->method, params, answered, l);
	l->calling = false;
}

static void finish(struct load *l)
{
	if (l->failed && l->go_on)
		log_warning("%s: %d methods failed, the rest is loaded", l->path, l->failed);
	json_reader_destroy(l->reader);
	l->done(l->arg, l->err.code, &l->err);
	free(l);
}

static void advance(struct load *l)
{
	while (l->err.code == 0 && !l->waiting) {
		const struct json_value *v = next_method(l);

		if (v) {
			l->method = json_member(v, "method")->text;
			if (belongs_to_pass(l, l->method))
				call(l, v);
			continue;
		}
		if (l->pass == RPC_RUNTIME)
			break;
		if (rpc_state() == RPC_STARTUP && framework_start(&l->err) < 0)
			break;
		begin_pass(l, RPC_RUNTIME);
	}
	if (!l->waiting)
		finish(l);
}

void rpc_config_load(const char *path, bool go_on,
		     void (*done)(void *arg, int result, const struct error *err), void *arg)
{
	static const struct json_limits limits = { .bytes = 64 * 1024 * 1024,
						   .values = 4 * 1024 * 1024,
						   .depth = 128 };
	struct error err = ERROR_INIT;
	struct load *l = calloc(1, sizeof(*l));

	if (l)
		l->reader = json_reader_create(&limits);
	if (!l || !l->reader) {
		free(l);
		done(arg, error_set(&err, -ENOMEM, "%s: no memory to load it", path), &err);
		return;
	}
	l->path = path;
	l->go_on = go_on;
	l->done = done;
	l->arg = arg;
	if (read_file(l) < 0 || check_shape(l) < 0) {
		finish(l);
		return;
	}
	begin_pass(l, RPC_STARTUP);
	advance(l);
}
