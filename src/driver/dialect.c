/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the driver's words to a target's and back, see dialect.h.
 *
 * Threading: as dialect.h.
 */
#include "driver/dialect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "driver/dialect_table.h"

static const struct dialect_method *method_find(const char *name)
{
	for (const struct dialect_method *m = dialect_methods; m->name; m++) {
		if (!strcmp(m->name, name))
			return m;
	}
	return NULL;
}

const char *const *dialect_old_names(const char *method)
{
	static const char *const none[] = { NULL };
	const struct dialect_method *m = method_find(method);

	return m ? m->older : none;
}

const char *dialect_today(const char *name)
{
	for (const struct dialect_method *m = dialect_methods; m->name; m++) {
		for (const char *const *old = m->older; *old; old++) {
			if (!strcmp(*old, name))
				return m->name;
		}
	}
	return name;
}

bool dialect_is_read(const char *method)
{
	const struct dialect_method *m = method_find(method);

	return m && m->reads;
}

static bool has_name(const struct dialect *d, const char *name)
{
	return json_object_get(d->methods, name) != NULL;
}

/* The first numbers with a dot between: "SPDK v22.01.1-pre git sha1 ..." */
unsigned int dialect_release(const char *version)
{
	unsigned int year, month;

	if (strstr(version, "cyborg-spdk"))
		return DIALECT_NEWEST;
	for (const char *c = version; *c; c++) {
		if (*c < '0' || *c > '9')
			continue;
		if (sscanf(c, "%2u.%2u", &year, &month) == 2)
			return year * 100 + month - (strstr(c, "-pre") ? 1 : 0);
		while (c[1] >= '0' && c[1] <= '9')
			c++;
	}
	return 0;
}

/* Before 19.04 a target cannot tell its version; its methods can. */
static unsigned int release_of_methods(const struct dialect *d)
{
	if (has_name(d, "rpc_get_methods"))
		return DIALECT_NEWEST;
	if (has_name(d, "get_nvmf_transports") || has_name(d, "wait_subsystem_init"))
		return 1901;
	if (has_name(d, "nvmf_subsystem_create") || has_name(d, "set_bdev_qos_limit"))
		return 1810;
	return has_name(d, "get_bdevs_iostat") ? 1807 : 1804;
}

static void learn_version(struct dialect *d, const json_t *version)
{
	const char *text = json_string_value(json_object_get(version, "version"));

	d->release = text ? dialect_release(text) : 0;
	d->is_engine = text && strstr(text, "cyborg-spdk");
	snprintf(d->version, sizeof(d->version), "%s", text ? text : "");
	error_clean_words(d->version);
	if (d->release)
		return;
	d->release = release_of_methods(d);
	if (!text && d->release != DIALECT_NEWEST)
		snprintf(d->version, sizeof(d->version), "SPDK v%u.%02u, by its methods",
			 d->release / 100, d->release % 100);
}

int dialect_learn(struct dialect *d, const json_t *methods, const json_t *version,
		  struct error *err)
{
	json_t *name;
	size_t i;

	dialect_fini(d);
	if (!json_is_array(methods))
		return error_set(err, -EBADMSG, "rpc_get_methods answered no array of names");
	d->methods = json_object();
	json_array_foreach ((json_t *)methods, i, name) {
		if (json_is_string(name) &&
		    json_object_set_new(d->methods, json_string_value(name), json_true()) < 0)
			return error_set(err, -ENOMEM, "out of memory");
	}
	learn_version(d, version);
	return 0;
}

void dialect_fini(struct dialect *d)
{
	json_decref(d->methods);
	*d = (struct dialect){ .methods = NULL };
}

const char *dialect_name(const struct dialect *d, const char *method)
{
	const struct dialect_method *m = method_find(method);

	if (m && d->release < m->since)
		return NULL;
	if (has_name(d, method))
		return method;
	for (const char *const *old = dialect_old_names(method); *old; old++) {
		if (has_name(d, *old))
			return *old;
	}
	return NULL;
}

bool dialect_has_param(const struct dialect *d, const char *method, const char *param)
{
	for (const struct dialect_param *p = dialect_params; p->method; p++) {
		if (!strcmp(p->method, method) && !strcmp(p->param, param) && d->release < p->since)
			return false;
	}
	return dialect_name(d, method) != NULL;
}

static int no_method(const struct dialect *d, const struct dialect_method *m, struct error *err)
{
	char since[32] = "";

	if (d->release < m->since)
		snprintf(since, sizeof(since), ", which came with %u.%02u", m->since / 100,
			 m->since % 100);
	return error_set(err, -ENOSYS, "%s has no %s%s%s%s", d->version[0] ? d->version : "it",
			 m->name, since, m->without ? "; " : "", m->without ? m->without : "");
}

/* What says nothing may be left out of any request. */
static bool is_nothing(const json_t *v)
{
	return json_is_null(v) || json_is_false(v) ||
	       (json_is_number(v) && json_number_value(v) == 0.0) ||
	       (json_is_string(v) && json_string_length(v) == 0);
}

static int apply_param(const struct dialect *d, const struct dialect_param *p, json_t *params,
		       struct error *err)
{
	const char *dot = strchr(p->param, '.'), *name = dot ? dot + 1 : p->param;
	json_t *o = dot ? json_object_getn(params, p->param, (size_t)(dot - p->param)) : params;
	json_t *v = json_object_get(o, name);

	if (!v)
		return 0;
	if (p->rule == DIALECT_REFUSE && !is_nothing(v))
		return error_set(err, -ENOTSUP,
				 "%s does not know \"%s\" of %s, which came with %u.%02u, and "
				 "without it something else would be done: update the target",
				 d->version[0] ? d->version : "it", name, p->method, p->since / 100,
				 p->since % 100);
	json_object_del(o, name);
	return 0;
}

static int apply_tables(const struct dialect *d, const char *method, json_t *params,
			struct error *err)
{
	int rc = 0;

	for (const struct dialect_param *p = dialect_params; p->method && rc == 0; p++) {
		if (d->release < p->since && !strcmp(p->method, method))
			rc = apply_param(d, p, params, err);
	}
	for (const struct dialect_form *f = dialect_forms; f->method && rc == 0; f++) {
		if (d->release < f->before && !strcmp(f->method, method))
			rc = f->turn(params, err);
	}
	return rc;
}

int dialect_request(const struct dialect *d, const char *method, json_t *params, const char **name,
		    struct error *err)
{
	const struct dialect_method *m = method_find(method);

	*name = dialect_name(d, method);
	if (!*name && m)
		return no_method(d, m, err);
	if (!*name)
		*name = method; /* its own refusal says it best */
	return params ? apply_tables(d, method, params, err) : 0;
}

json_t *dialect_own_answer(const struct dialect *d, const char *method)
{
	if (strcmp(method, "spdk_get_version") != 0 || dialect_name(d, method))
		return NULL;
	return json_pack("{s:s}", "version", d->version);
}

/* Before 20.01 the rate of ticks was the list's first element. */
static int turn_iostat(json_t **result)
{
	json_t *list = *result, *rate, *now;

	if (!json_is_array(list))
		return 0;
	rate = json_object_get(json_array_get(list, 0), "tick_rate");
	now = json_pack("{s:O*, s:O}", "tick_rate", rate, "bdevs", list);
	if (!now)
		return -ENOMEM;
	if (rate)
		json_array_remove(list, 0);
	json_decref(list);
	*result = now;
	return 0;
}

int dialect_answer(const char *method, json_t **result, struct error *err)
{
	const struct dialect_method *m = method_find(method);
	int rc = 0;

	if (m && ((m->kind == DIALECT_ARRAY && !json_is_array(*result)) ||
		  (m->kind == DIALECT_OBJECT && !json_is_object(*result))))
		return error_set(err, -EBADMSG, "it answered no %s to %s",
				 m->kind == DIALECT_ARRAY ? "array" : "object", method);
	if (!strcmp(method, "bdev_get_iostat"))
		rc = turn_iostat(result);
	return rc < 0 ? error_set(err, rc, "out of memory") : 0;
}
