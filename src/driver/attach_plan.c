/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Planning of attach: what the request means, on which accelerator, and whether it was done before.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/attach.h"
#include "driver/env.h"

/* --- the request ------------------------------------------------------------------------------ */

static int take_transport(const json_t *request, struct wish *w, struct error *err)
{
	const char *transport = request_text(request, "transport", err);
	const char *host = request_text(request, "host", err);
	bool vhost = transport && !strcmp(transport, TRANSPORT_VHOST);

	if (err->code)
		return err->code;
	if (transport && !vhost && strcmp(transport, TRANSPORT_TCP) != 0)
		return error_set(err, -EINVAL,
				 "transport \"%.50s\" is not supported: " TRANSPORT_TCP
				 " and " TRANSPORT_VHOST " are",
				 transport);
	snprintf(w->want.transport, sizeof(w->want.transport), "%s",
		 vhost ? TRANSPORT_VHOST : TRANSPORT_TCP);
	if (vhost && (host || w->listen || keys_are_set(&w->want)))
		return error_set(err, -EINVAL,
				 TRANSPORT_VHOST " is a socket of this node: --host, --listen and "
						 "keys are for " TRANSPORT_TCP);
	if (vhost)
		return 0;
	if (!host)
		return error_set(err, -EINVAL,
				 "attach needs --instance ID and --host NQN: no export is made for "
				 "any host");
	if (check_nqn("host", host, err) < 0)
		return err->code;
	snprintf(w->want.host, sizeof(w->want.host), "%s", host);
	return w->listen ? parse_listen(w->listen, &w->want, err) : 0;
}

static int take_request(const json_t *request, struct wish *w, struct error *err)
{
	static const char *const names[] = {
		"instance",   "host", "accelerator",	  "listen",  "size", "volume",
		"clone",      "rbd",  "read_only",	  "thick",   "qos",  "transport",
		"dhchap_key", "psk",  "dhchap_ctrlr_key", "dry_run", NULL,
	};
	int rc = request_check(request, names, err);

	w->instance = request_text(request, "instance", err);
	w->accelerator = request_text(request, "accelerator", err);
	w->listen = request_text(request, "listen", err);
	w->volume = request_text(request, "volume", err);
	w->clone = request_text(request, "clone", err);
	w->rbd = request_text(request, "rbd", err);
	w->size = request_u64(request, "size", 0, err);
	w->thick = request_flag(request, "thick", err);
	w->dry_run = request_flag(request, "dry_run", err);
	w->want.read_only = request_flag(request, "read_only", err);
	rc = rc < 0 ? rc : err->code;
	if (rc == 0 && !w->instance)
		rc = error_set(err, -EINVAL, "attach needs --instance ID");
	if (rc == 0)
		rc = check_instance(w->instance, err);
	if (rc == 0)
		rc = qos_request(request, &w->want.qos, err);
	if (rc == 0)
		rc = keys_request(request, &w->want, err);
	if (rc == 0)
		rc = take_transport(request, w, err);
	if (rc == 0 && w->rbd && (w->size || w->volume || w->clone || w->thick))
		rc = error_set(err, -EINVAL,
			       "--rbd names an image as it is: --size, --thick, --volume and "
			       "--clone are for stores");
	if (rc == 0 && w->rbd)
		rc = rbd_check(w->rbd, err);
	snprintf(w->want.instance, sizeof(w->want.instance), "%s", w->instance ? w->instance : "");
	return rc;
}

/* --- the accelerator -------------------------------------------------------------------------- */

/* A whole backing goes to one instance. */
static int check_whole_free(struct driver *d, const struct accelerator *acc, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, acc->id, &list, err);
	int rc = n < 0 ? (int)n : 0;

	if (n > 0)
		rc = error_set(err, -EBUSY,
			       "accelerator %s is attached to instance %s: one that is attached "
			       "whole serves one instance; detach that, or install another",
			       acc->id, list[0].instance);
	free(list);
	return rc;
}

static bool has_scenario(const struct accelerator *acc, const char *scenario)
{
	return !strcmp(acc->scenario, scenario);
}

static const char *scenario_of(const struct wish *w)
{
	if (w->rbd)
		return SCENARIO_CEPH;
	return w->volume || w->clone ? SCENARIO_BLOBSTORE : NULL;
}

static bool suits(struct driver *d, const struct accelerator *acc, const struct wish *w)
{
	const char *scenario = scenario_of(w);

	if (scenario)
		return has_scenario(acc, scenario);
	if (has_scenario(acc, SCENARIO_WHOLE))
		return check_whole_free(d, acc, NULL) == 0;
	return has_scenario(acc, SCENARIO_BLOBSTORE) && w->size;
}

static ssize_t count_scenario(const struct accelerator *list, ssize_t n, const char *scenario)
{
	ssize_t count = 0;

	for (ssize_t i = 0; i < n; i++)
		count += has_scenario(&list[i], scenario);
	return count;
}

static int none_suits(const struct accelerator *list, ssize_t n, const struct wish *w,
		      struct error *err)
{
	if (n == 0)
		return error_set(err, -ENOENT, "no accelerator is installed: install one first");
	if (scenario_of(w))
		return error_set(
			err, -ENOENT,
			"none of the %zd accelerators has the scenario %s, which that needs: "
			"install one with --scenario %s",
			n, scenario_of(w), scenario_of(w));
	if (count_scenario(list, n, SCENARIO_WHOLE) == 0)
		return error_set(err, -EINVAL,
				 "none of the %zd accelerators is attached whole: say --size SIZE "
				 "for a new volume, --volume NAME for one that is there, --clone "
				 "SNAPSHOT, or --rbd POOL/IMAGE of a Ceph cluster",
				 n);
	return error_set(err, -EBUSY,
			 "all %zd accelerators that are attached whole have an instance: detach "
			 "one, install another accelerator, or ask one that has a store for a "
			 "volume (--size)",
			 count_scenario(list, n, SCENARIO_WHOLE));
}

static int choose(struct driver *d, const struct wish *w, struct accelerator *out,
		  struct error *err)
{
	struct accelerator *list;
	ssize_t n = state_accelerators(d->state, &list, err), found = 0, stores = 0;

	for (ssize_t i = 0; i < n; i++) {
		if (suits(d, &list[i], w) && found++ == 0)
			*out = list[i];
	}
	/* A size asks for a volume rather than for a whole backing that may have it. */
	for (ssize_t i = 0; i < n && w->size && found > 1; i++) {
		if (has_scenario(&list[i], SCENARIO_BLOBSTORE) && stores++ == 0)
			*out = list[i];
	}
	if (stores == 1)
		found = 1;
	if (n >= 0 && found == 0)
		none_suits(list, n, w, err);
	else if (found > 1)
		error_set(err, -EINVAL, "%zd accelerators are free: name one with --accelerator",
			  found);
	free(list);
	return n < 0 ? (int)n : err->code;
}

/* --- what is attached ------------------------------------------------------------------------- */

static int plan_whole(struct driver *d, const struct accelerator *acc, const struct wish *w,
		      struct attachment *a, struct error *err)
{
	bool writes_anyway = w->want.read_only && strcmp(w->want.transport, TRANSPORT_VHOST) != 0;
	int rc = check_whole_free(d, acc, err);

	if (rc == 0 && (w->volume || w->clone || w->thick || writes_anyway))
		rc = error_set(
			err, -EINVAL,
			"accelerator %s has no store, it is attached whole: --volume, --clone, "
			"--thick and, over " TRANSPORT_TCP
			", --read-only need one (install --scenario blobstore)",
			acc->id);
	if (rc == 0 && w->size && w->size != acc->size)
		rc = error_set(err, -EINVAL,
			       "accelerator %s has %llu bytes and is attached whole: ask for that "
			       "size, or leave --size away",
			       acc->id, (unsigned long long)acc->size);
	if (rc < 0)
		return rc;
	snprintf(a->source, sizeof(a->source), SOURCE_WHOLE);
	snprintf(a->bdev, sizeof(a->bdev), "%s", acc->bdev);
	a->size = acc->size;
	attachment_identity(a, acc->uuid);
	return 0;
}

static int plan_image(struct driver *d, const struct accelerator *acc, const struct wish *w,
		      struct attachment *a, struct error *err)
{
	char uuid[UUID_TEXT_SIZE];
	struct attachment *list;
	ssize_t n;
	int rc = 0;

	if (!w->rbd)
		return error_set(
			err, -EINVAL,
			"accelerator %s serves images of a Ceph cluster: name one with --rbd "
			"POOL/IMAGE",
			acc->id);
	snprintf(a->source, sizeof(a->source), SOURCE_RBD);
	snprintf(a->volume, sizeof(a->volume), "%s", w->rbd);
	names_uuid(d, "rbd", w->rbd, uuid);
	snprintf(a->bdev, sizeof(a->bdev), "rbd-%s", uuid);
	attachment_identity(a, uuid);
	n = state_attachments(d->state, NULL, &list, err);
	for (ssize_t i = 0; i < n && rc == 0; i++) {
		if (!strcmp(list[i].bdev, a->bdev))
			rc = error_set(err, -EBUSY,
				       "image %s is attached to instance %s: detach that first",
				       w->rbd, list[i].instance);
	}
	free(list);
	rc = n < 0 ? (int)n : rc;
	return rc == 0 ? rbd_unused(d, acc, a, 0, err) : rc;
}

static int plan_source(struct driver *d, const struct accelerator *acc, const struct wish *w,
		       struct attachment *a, struct error *err)
{
	if (w->rbd && !has_scenario(acc, SCENARIO_CEPH))
		return error_set(err, -EINVAL,
				 "accelerator %s has no Ceph cluster: --rbd needs one that was "
				 "installed with --scenario ceph",
				 acc->id);
	if (has_scenario(acc, SCENARIO_CEPH))
		return plan_image(d, acc, w, a, err);
	if (has_scenario(acc, SCENARIO_BLOBSTORE))
		return volume_plan(d, acc, w, a, err);
	return plan_whole(d, acc, w, a, err);
}

static int plan_place(struct verb_run *v, const struct wish *w, struct attachment *a,
		      struct error *err)
{
	int rc = 0;

	if (!strcmp(a->transport, TRANSPORT_VHOST))
		return env_sockets_check(v->d, a->accelerator, err);
	if (!w->listen)
		rc = parse_listen("127.0.0.1", a, err);
	if (rc == 0 && !a->port) {
		rc = port_choose(v->d, a, err);
		json_object_set_new(v->argument, "port_is_ours_to_choose", json_true());
	} else if (rc == 0) {
		rc = port_check(v->d, a, err);
	}
	return rc;
}

static int plan_new(struct verb_run *v, const struct wish *w, struct accelerator *acc,
		    struct attachment *a, struct error *err)
{
	int rc = w->accelerator ? load_accelerator(v->d, w->accelerator, acc, err)
				: choose(v->d, w, acc, err);

	if (rc < 0)
		return rc;
	*a = w->want;
	snprintf(a->accelerator, sizeof(a->accelerator), "%s", acc->id);
	names_make(v->d, acc, a);
	rc = plan_source(v->d, acc, w, a, err);
	return rc == 0 ? plan_place(v, w, a, err) : rc;
}

/* --- the same call again ---------------------------------------------------------------------- */

static bool same_volume(const struct wish *w, const struct attachment *a)
{
	const char *named = w->rbd ? w->rbd : w->volume;

	/* The name was that of the volume which a snapshot was taken of, or of what was made. */
	if (named && strcmp(named, a->volume) != 0 &&
	    !(!strcmp(a->source, SOURCE_SNAPSHOT) && !strcmp(named, a->origin)))
		return false;
	return !w->clone || !a->origin[0] || !strcmp(w->clone, a->origin);
}

static bool same_size(const struct wish *w, const struct accelerator *acc,
		      const struct attachment *a)
{
	return !w->size || (w->size <= a->size && a->size - w->size < volume_unit(acc));
}

static bool same_place(const struct wish *w, const struct attachment *a)
{
	const struct attachment *want = &w->want;

	return (!w->accelerator || !strcmp(w->accelerator, a->accelerator)) &&
	       (!w->listen ||
		(!strcmp(want->address, a->address) && (!want->port || want->port == a->port)));
}

static bool same_terms(const struct attachment *want, const struct attachment *a)
{
	return want->read_only == a->read_only && qos_equal(&want->qos, &a->qos) &&
	       !strcmp(want->transport, a->transport) && !strcmp(want->dhchap_key, a->dhchap_key) &&
	       !strcmp(want->dhchap_ctrlr_key, a->dhchap_ctrlr_key) && !strcmp(want->psk, a->psk);
}

/* The same call again must ask for what is there. */
static int plan_repeat(struct verb_run *v, const struct wish *w, struct accelerator *acc,
		       const struct attachment *a, struct error *err)
{
	int rc = load_accelerator(v->d, a->accelerator, acc, err);

	if (rc < 0)
		return rc;
	if (a->leaving)
		return error_set(err, -EBUSY,
				 "instance %s has a detach that did not end: detach it again first",
				 a->instance);
	if (strcmp(a->host, w->want.host) != 0)
		return error_set(
			err, -EEXIST,
			"instance %s is attached for host %s: detach it first to attach it "
			"for %s",
			a->instance, a->host, w->want.host);
	if (!same_place(w, a))
		return error_set(
			err, -EEXIST,
			"instance %s is attached to accelerator %s at %s port %u: detach it "
			"first to attach it otherwise",
			a->instance, a->accelerator, a->address, a->port);
	if (!same_volume(w, a) || !same_size(w, acc, a))
		return error_set(
			err, -EEXIST,
			"instance %s is attached to %s with %llu bytes: detach it first to "
			"attach it to another",
			a->instance, a->volume[0] ? a->volume : "a whole backing",
			(unsigned long long)a->size);
	if (!same_terms(&w->want, a))
		return error_set(
			err, -EEXIST,
			"instance %s is attached with another transport, other keys, limits "
			"or rights to write: detach it first to change them",
			a->instance);
	return 0;
}

int attach_plan(struct verb_run *v, const json_t *request, struct error *err)
{
	struct wish w = { 0 };
	struct attachment a = { .port = 0 };
	struct accelerator acc;
	bool existing;
	int rc = take_request(request, &w, err);

	if (rc < 0)
		return rc;
	rc = state_attachment(v->d->state, w.instance, &a, err);
	existing = rc == 0;
	if (rc == 0)
		rc = plan_repeat(v, &w, &acc, &a, err);
	else if (rc == -ENOENT)
		rc = plan_new(v, &w, &acc, &a, err);
	if (rc < 0)
		return rc;
	snprintf(v->intent.object, sizeof(v->intent.object), "%s", w.instance);
	json_object_set_new(v->argument, "accelerator", accelerator_json(&acc));
	json_object_set_new(v->argument, "attachment", attachment_json(&a));
	json_object_set_new(v->argument, "existing", json_boolean(existing));
	json_object_set_new(v->argument, "thick", json_boolean(w.thick));
	return 0;
}
