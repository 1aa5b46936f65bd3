/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach: export a volume, or the whole backing, to one host for one instance, and prove the data
 * path.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "driver/attach.h"

#define PORT_TRIES 16

static void set_attachment(struct verb_run *v, const struct attachment *a)
{
	json_object_set_new(v->argument, "attachment", attachment_json(a));
}

/* The plan of a volume has started the target and brought back all exports just now. */
static int connect_target(struct verb_run *v, const struct accelerator *acc, struct client **c,
			  struct error *err)
{
	if (!strcmp(acc->scenario, SCENARIO_BLOBSTORE) && !verb_is_existing(v) &&
	    target_connect(v->d, acc, c, err) == 0)
		return 0;
	*err = (struct error)ERROR_INIT;
	return target_ensure(v->d, acc, c, err);
}

static int make_volume(struct verb_run *v, struct error *err)
{
	struct accelerator acc;
	struct attachment a;
	struct client *c;
	int rc;

	verb_accelerator(v, &acc);
	verb_attachment(v, &a);
	if (!a.volume[0] || verb_is_existing(v))
		return 0;
	rc = connect_target(v, &acc, &c, err);
	if (rc == 0)
		rc = volume_make(c, &acc, &a, json_is_true(json_object_get(v->argument, "thick")),
				 err);
	/* Between the plan's look and now somebody else may have opened it. */
	if (rc == 0 && !strcmp(a.source, SOURCE_RBD))
		rc = rbd_unused(v->d, &acc, &a, a.read_only ? 0 : 1, err);
	if (rc == 0)
		set_attachment(v, &a);
	client_destroy(c);
	return rc;
}

/*
 * The plan found no volume of that name, so what is there now was made by this verb. Where no
 * target can be had it stays, as one that detach kept: the same attach takes it again.
 */
static int unmake_volume(struct verb_run *v, struct error *err)
{
	struct error down = ERROR_INIT;
	struct accelerator acc;
	struct attachment a;
	struct client *c;
	int rc;

	verb_accelerator(v, &acc);
	verb_attachment(v, &a);
	if (!a.volume[0] || !strcmp(a.source, SOURCE_EXISTING))
		return 0;
	if (target_ensure(v->d, &acc, &c, &down) < 0)
		return 0;
	if (!strcmp(a.source, SOURCE_RBD))
		rc = export_remove(c, &a, err);
	else
		rc = volume_delete(c, &acc, &a, err);
	client_destroy(c);
	return rc;
}

static int record(struct verb_run *v, struct error *err)
{
	struct attachment a;

	verb_attachment(v, &a);
	return state_put_attachment(v->d->state, &a, err);
}

static int unrecord(struct verb_run *v, struct error *err)
{
	struct attachment a;

	verb_attachment(v, &a);
	return state_drop_attachment(v->d->state, a.instance, err);
}

/*
 * Between the choice of a port and the target's listening on it another program may have taken it.
 *
 * Return: true when another one is recorded now.
 */
static bool take_other_port(struct verb_run *v)
{
	struct attachment a;

	verb_attachment(v, &a);
	if (!json_is_true(json_object_get(v->argument, "port_is_ours_to_choose")) ||
	    port_is_free(&a, a.port) || port_choose(v->d, &a, NULL) < 0)
		return false;
	set_attachment(v, &a);
	return record(v, NULL) == 0;
}

/* Where the target listens for a hypervisor is known only once it does. */
static int record_socket(struct verb_run *v, struct client *c, struct error *err)
{
	struct attachment a;
	int rc;

	verb_attachment(v, &a);
	if (strcmp(a.transport, TRANSPORT_VHOST) != 0)
		return 0;
	rc = vhost_socket(v->d, c, &a, err);
	set_attachment(v, &a);
	return rc == 0 ? record(v, err) : rc;
}

static int ensure(struct verb_run *v, struct client *c, const struct accelerator *acc,
		  struct error *err)
{
	struct attachment a;
	int rc;

	verb_attachment(v, &a);
	rc = export_ensure(c, acc, &a, err);
	for (int more = PORT_TRIES; rc < 0 && more > 0 && take_other_port(v); more--) {
		*err = (struct error)ERROR_INIT;
		verb_attachment(v, &a);
		rc = export_ensure(c, acc, &a, err);
	}
	return rc;
}

/* What is recorded is what target_ensure() brings back, so recording comes first. */
static int export(struct verb_run *v, struct error *err)
{
	struct target_paths paths;
	struct accelerator acc;
	struct client *c;
	int rc;

	verb_accelerator(v, &acc);
	rc = connect_target(v, &acc, &c, err);
	if (rc == 0)
		rc = ensure(v, c, &acc, err);
	if (rc == 0)
		rc = record_socket(v, c, err);
	if (rc == 0)
		rc = target_paths(v->d, acc.id, &paths, err);
	if (rc == 0)
		rc = config_save(c, paths.config, err);
	client_destroy(c);
	return rc;
}

/* A target that is down shows nothing; it must not show it when it comes back either. */
static int unexport(struct verb_run *v, struct error *err)
{
	struct accelerator acc;
	struct attachment a;
	struct client *c;
	int rc, forgotten;

	verb_accelerator(v, &acc);
	verb_attachment(v, &a);
	rc = target_connect(v->d, &acc, &c, err);
	if (rc == 0)
		rc = export_remove(c, &a, err);
	else if (rc == -EHOSTDOWN)
		rc = 0;
	client_destroy(c);
	if (rc != 0 && rc != -EBUSY)
		return rc;
	forgotten = export_forget(v->d, &acc, &a, err);
	return forgotten < 0 || rc == 0 ? forgotten : vhost_cut_off(v->d, &acc, &a, err);
}

static int prove(struct verb_run *v, struct error *err)
{
	uint64_t before = clock_ns();
	struct attachment a;
	int rc;

	verb_attachment(v, &a);
	rc = proof_run(v->d, &a, err);
	json_object_set_new(v->answer, "proof_ns", json_integer((json_int_t)(clock_ns() - before)));
	return rc;
}

static int finish(struct verb_run *v, struct error *err)
{
	struct attachment a;
	json_t *connection;

	(void)err;
	verb_attachment(v, &a);
	json_object_set_new(v->answer, "attachment", attachment_json(&a));
	connection = attachment_connection(&a);
	json_object_update(v->answer, connection);
	json_decref(connection);
	json_object_set_new(v->answer, "command", attachment_command(&a));
	return 0;
}

static const struct verb_step steps[] = {
	{ "volume", "make the volume", make_volume, unmake_volume },
	{ "record", "record the attachment", record, unrecord },
	{ "export", "export it and save the target's configuration", export, unexport },
	{ "prove", "connect as the host and identify the namespace", prove, NULL },
	{ NULL, NULL, NULL, NULL },
};

const struct verb verb_attach = { "attach", false, steps, attach_plan, finish };
