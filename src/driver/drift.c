/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target shows of an attachment, compared with what is recorded.
 *
 * Threading: as driver.h.
 */
#include "driver/drift.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "driver/export.h"

void drift(json_t *list, const char *fmt, ...)
{
	char text[640];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	utf8_mend(text);
	json_array_append_new(list, json_string(text));
}

static void drift_text(json_t *list, const struct attachment *a, const char *what,
		       const char *found, const char *recorded)
{
	if (strcasecmp(found, recorded) != 0)
		drift(list, "instance %s: %s is \"%s\", recorded is \"%s\"", a->instance, what,
		      found, recorded);
}

static void drift_hosts(const json_t *s, const struct attachment *a, json_t *list)
{
	json_t *hosts = json_object_get(s, "hosts"), *h;
	size_t i;

	if (json_is_true(json_object_get(s, "allow_any_host")))
		drift(list, "instance %s: any host may connect", a->instance);
	h = view_by(hosts, "nqn", a->host);
	if (!h)
		drift(list, "instance %s: host %s may not connect", a->instance, a->host);
	else if (a->dhchap_key[0] && !view_text(h, "dhchap_key")[0])
		drift(list, "instance %s: host %s needs no key to connect", a->instance, a->host);
	else if (!keys_are_named(a, h))
		drift(list, "instance %s: host %s, or the target to it, has another key",
		      a->instance, a->host);
	else if (a->psk[0] && !view_text(h, "psk")[0])
		drift(list, "instance %s: host %s has no pre-shared key", a->instance, a->host);
	json_array_foreach (hosts, i, h) {
		if (strcmp(view_text(h, "nqn"), a->host) != 0)
			drift(list, "instance %s: host %s may connect and should not", a->instance,
			      view_text(h, "nqn"));
	}
}

static void drift_qos(const json_t *bdev, const struct attachment *a, json_t *list)
{
	struct qos has;

	qos_of(bdev, &has);
	if (!qos_equal(&has, &a->qos))
		drift(list,
		      "instance %s: its limits are rw_ios=%llu,rw_mb=%llu,r_mb=%llu,w_mb=%llu, "
		      "recorded are rw_ios=%llu,rw_mb=%llu,r_mb=%llu,w_mb=%llu",
		      a->instance, (unsigned long long)has.rw_ios, (unsigned long long)has.rw_mb,
		      (unsigned long long)has.r_mb, (unsigned long long)has.w_mb,
		      (unsigned long long)a->qos.rw_ios, (unsigned long long)a->qos.rw_mb,
		      (unsigned long long)a->qos.r_mb, (unsigned long long)a->qos.w_mb);
}

static void drift_bdev(const struct view *v, const struct attachment *a, json_t *list)
{
	const json_t *b = view_bdev(v->bdevs, a->bdev);
	const char *what = a->volume[0] ? a->volume : "the whole backing";

	if (!b) {
		drift(list, "instance %s: %s (bdev %s) is missing", a->instance, what, a->bdev);
		return;
	}
	if (view_bdev_size(b) != a->size)
		drift(list, "instance %s: %s has %llu bytes, recorded are %llu", a->instance, what,
		      (unsigned long long)view_bdev_size(b), (unsigned long long)a->size);
	/*
	 * No volume that was made read-only can be written to again, while the bdev may still say
	 * what it could when it was registered.
	 */
	if (a->read_only && !strcmp(a->source, SOURCE_RBD) && view_bdev_writes(b))
		drift(list, "instance %s: %s may be written to and should be read-only",
		      a->instance, what);
	drift_qos(b, a, list);
}

static void drift_subsystem(const struct view *v, const struct attachment *a, json_t *list)
{
	const json_t *s = view_by(v->subsystems, "nqn", a->nqn), *ns;

	if (!s) {
		drift(list, "instance %s: subsystem %s is not exported", a->instance, a->nqn);
		return;
	}
	drift_text(list, a, "serial number", view_text(s, "serial_number"), a->serial);
	if (!export_model_is_right(s, a))
		drift_text(list, a, "model", view_text(s, "model_number"), a->model);
	ns = export_namespace(s, a->nsid);
	if (!ns) {
		drift(list, "instance %s: namespace %u is missing", a->instance, a->nsid);
	} else {
		drift_text(list, a, "UUID", view_text(ns, "uuid"), a->uuid);
		drift_text(list, a, "NGUID", view_text(ns, "nguid"), a->nguid);
		drift_text(list, a, "bdev", view_text(ns, "bdev_name"), a->bdev);
	}
	if (json_array_size(json_object_get(s, "namespaces")) > 1)
		drift(list, "instance %s: its subsystem has %zu namespaces and should have one",
		      a->instance, json_array_size(json_object_get(s, "namespaces")));
	if (!export_listens(s, a))
		drift(list, "instance %s: nobody listens at %s port %u%s", a->instance, a->address,
		      a->port, a->psk[0] ? " with TLS" : "");
	drift_hosts(s, a, list);
}

void export_drift(const struct view *v, const struct attachment *a, json_t *list)
{
	if (a->leaving) {
		drift(list, "instance %s: its detach did not end: detach it again", a->instance);
		return;
	}
	drift_bdev(v, a, list);
	keys_drift(v, a, list);
	if (!strcmp(a->transport, TRANSPORT_VHOST))
		vhost_drift(v, a, list);
	else
		drift_subsystem(v, a, list);
}
