/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public functions: JSON text in, JSON text out, errors kept on the handle.
 *
 * Threading: as cyborg-spdk.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/version.h"
#include "driver/verb.h"

struct cyborg_spdk {
	struct driver *driver; /* NULL when opening failed */
	struct error err;
};

const char *cyborg_spdk_version(void)
{
	static _Thread_local char text[128];

	snprintf(text, sizeof(text), "%s, commit %s", version_release(), version_commit());
	return text;
}

int cyborg_spdk_open(const char *state_dir, struct cyborg_spdk **out)
{
	struct cyborg_spdk *h = calloc(1, sizeof(*h));

	*out = h;
	return h ? driver_open(state_dir, &h->driver, &h->err) : -ENOMEM;
}

void cyborg_spdk_close(struct cyborg_spdk *h)
{
	if (!h)
		return;
	driver_close(h->driver);
	free(h);
}

const char *cyborg_spdk_error(const struct cyborg_spdk *h)
{
	return h ? h->err.text : error_errno_text(-ENOMEM);
}

void cyborg_spdk_free(char *answer)
{
	free(answer);
}

void cyborg_spdk_set_progress(struct cyborg_spdk *h, cyborg_spdk_progress_fn fn, void *arg)
{
	if (!h->driver)
		return;
	h->driver->progress = fn;
	h->driver->progress_arg = arg;
}

typedef int (*look_fn)(struct driver *d, const json_t *request, json_t **answer, struct error *err);

static json_t *parse_request(struct cyborg_spdk *h, const char *text)
{
	json_error_t at;
	json_t *request = json_loads(text ? text : "{}", JSON_REJECT_DUPLICATES, &at);

	if (!request)
		error_set(&h->err, -EINVAL, "the request is no JSON: line %d, column %d: %s",
			  at.line, at.column, at.text);
	else if (!json_is_object(request))
		error_set(&h->err, -EINVAL, "the request must be a JSON object");
	return request;
}

static int call(struct cyborg_spdk *h, look_fn look, const struct verb *verb, const char *text,
		char **answer)
{
	json_t *request, *result = NULL;
	int rc;

	*answer = NULL;
	if (!h->driver)
		return h->err.code ? h->err.code : -EINVAL;
	h->err = (struct error)ERROR_INIT;
	request = parse_request(h, text);
	rc = h->err.code;
	if (rc == 0)
		rc = look ? look(h->driver, request, &result, &h->err)
			  : verb_call(h->driver, verb, request, &result, &h->err);
	if (rc == 0) {
		*answer = json_write(result, JSON_WRITE_INDENT, NULL);
		rc = *answer ? 0 : error_set(&h->err, -ENOMEM, "out of memory");
	}
	if (rc < 0 && !h->err.text[0])
		error_set(&h->err, rc, "%s", error_errno_text(rc));
	if (rc == 0)
		h->err = (struct error)ERROR_INIT;
	json_decref(result);
	json_decref(request);
	return rc;
}

int cyborg_spdk_discover(struct cyborg_spdk *h, const char *request, char **answer)
{
	return call(h, verb_discover, NULL, request, answer);
}

int cyborg_spdk_list(struct cyborg_spdk *h, const char *request, char **answer)
{
	return call(h, verb_list, NULL, request, answer);
}

int cyborg_spdk_status(struct cyborg_spdk *h, const char *request, char **answer)
{
	return call(h, verb_status, NULL, request, answer);
}

int cyborg_spdk_recover(struct cyborg_spdk *h, const char *request, char **answer)
{
	return call(h, verb_recover, NULL, request, answer);
}

int cyborg_spdk_install(struct cyborg_spdk *h, const char *request, char **answer)
{
	return call(h, NULL, &verb_install, request, answer);
}

int cyborg_spdk_attach(struct cyborg_spdk *h, const char *request, char **answer)
{
	return call(h, NULL, &verb_attach, request, answer);
}

int cyborg_spdk_detach(struct cyborg_spdk *h, const char *request, char **answer)
{
	return call(h, NULL, &verb_detach, request, answer);
}

int cyborg_spdk_update(struct cyborg_spdk *h, const char *request, char **answer)
{
	return call(h, NULL, &verb_update, request, answer);
}

int cyborg_spdk_uninstall(struct cyborg_spdk *h, const char *request, char **answer)
{
	return call(h, NULL, &verb_uninstall, request, answer);
}
