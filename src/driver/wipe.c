/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wiping a volume, and looking whether there is anything on one: over the same path as a host's
 * data, by cyborg-spdk-perf, through an export of its own that only this node may open and that is
 * gone afterwards.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "driver/attach.h"

#define PIECE	 (UINT64_C(1) << 30)
#define PIECE_NS (3600 * NS_PER_SEC)
#define LOOK_NS	 (120 * NS_PER_SEC)

static const char *name_of(const struct attachment *a)
{
	return a->volume[0] ? a->volume : "the backing";
}

static int plan_export(struct driver *d, const struct attachment *a, struct attachment *out,
		       struct error *err)
{
	char text[UUID_TEXT_SIZE];
	int rc;

	*out = *a;
	memset(&out->qos, 0, sizeof(out->qos));
	out->leaving = false;
	out->dhchap_key[0] = out->dhchap_ctrlr_key[0] = out->psk[0] = '\0';
	snprintf(out->transport, sizeof(out->transport), TRANSPORT_TCP);
	names_uuid(d, "wipe", a->instance, text);
	snprintf(out->nqn, sizeof(out->nqn), "nqn.2014-08.org.nvmexpress:uuid:%s", text);
	names_uuid(d, "wiper", a->instance, text);
	snprintf(out->host, sizeof(out->host), "nqn.2014-08.org.nvmexpress:uuid:%s", text);
	out->port = 0;
	rc = parse_listen("127.0.0.1", out, err);
	return rc == 0 ? port_choose(d, out, err) : rc;
}

static void transport_id(const struct attachment *a, char *out, size_t size)
{
	snprintf(out, size, "trtype:TCP adrfam:%s traddr:%s trsvcid:%u subnqn:%s", a->family,
		 a->address, a->port, a->nqn);
}

static int wipe_piece(struct driver *d, const struct attachment *a, uint64_t at, uint64_t len,
		      struct error *err)
{
	char perf[PATH_MAX], path[STATE_NQN_SIZE + 160], offset[24], length[24];
	char *argv[] = { perf,
			 (char *)"--zero",
			 (char *)"--hostnqn",
			 (char *)a->host,
			 (char *)"--offset",
			 offset,
			 (char *)"--length",
			 length,
			 (char *)"-r",
			 path,
			 NULL };
	struct child_result r;
	int rc = helper_find("cyborg-spdk-perf", perf, err);

	if (rc < 0)
		return rc;
	snprintf(offset, sizeof(offset), "%llu", (unsigned long long)at);
	snprintf(length, sizeof(length), "%llu", (unsigned long long)len);
	transport_id(a, path, sizeof(path));
	rc = child_run(d->loop, argv, PIECE_NS, &r, err);
	if (rc < 0)
		return rc;
	if (!WIFEXITED(r.status) || WEXITSTATUS(r.status) != 0)
		rc = error_set(err, -EIO, "%s of instance %s cannot be wiped: %.*s", name_of(a),
			       a->instance, (int)strcspn(r.err_out, "\n"), r.err_out);
	child_result_fini(&r);
	return rc;
}

static int wipe_all(struct driver *d, const struct attachment *a, void *arg, struct error *err)
{
	struct cyborg_spdk_progress before = d->at;
	char title[96];
	int rc = 0;

	(void)arg;
	for (uint64_t at = 0; at < a->size && rc == 0; at += PIECE) {
		uint64_t len = a->size - at < PIECE ? a->size - at : PIECE;

		snprintf(title, sizeof(title), "wipe %.40s: %llu of %llu MiB", name_of(a),
			 (unsigned long long)(at >> 20), (unsigned long long)(a->size >> 20));
		driver_step(d, title, before.at, before.of);
		rc = wipe_piece(d, a, at, len, err);
	}
	driver_step(d, before.step, before.at, before.of);
	return rc;
}

static int look(struct driver *d, const struct attachment *a, void *arg, struct error *err)
{
	char perf[PATH_MAX], path[STATE_NQN_SIZE + 160];
	char *argv[] = { perf,
			 (char *)"--empty",
			 (char *)"--json",
			 (char *)"--hostnqn",
			 (char *)a->host,
			 (char *)"-r",
			 path,
			 NULL };
	struct child_result r;
	json_t *seen;
	int rc = helper_find("cyborg-spdk-perf", perf, err);

	if (rc < 0)
		return rc;
	transport_id(a, path, sizeof(path));
	rc = child_run(d->loop, argv, LOOK_NS, &r, err);
	if (rc < 0)
		return rc;
	seen = json_loads(r.out, 0, NULL);
	*(bool *)arg = json_is_true(json_object_get(seen, "empty"));
	if (!json_is_boolean(json_object_get(seen, "empty")))
		rc = error_set(err, -EIO, "%s of %s cannot be looked at: %.*s", name_of(a),
			       a->instance, (int)strcspn(r.err_out, "\n"), r.err_out);
	json_decref(seen);
	child_result_fini(&r);
	return rc;
}

/* Do @work on an export of our own. */
static int with_export(struct driver *d, struct client *c, const struct accelerator *acc,
		       const struct attachment *a,
		       int (*work)(struct driver *d, const struct attachment *a, void *arg,
				   struct error *err),
		       void *arg, struct error *err)
{
	struct attachment *t = malloc(sizeof(*t));
	struct error remove_err = ERROR_INIT;
	int rc = t ? plan_export(d, a, t, err) : error_set(err, -ENOMEM, "out of memory");

	/* One that was killed left its export behind, at a port that may be gone. */
	if (rc == 0)
		rc = export_remove(c, t, err);
	if (rc == 0)
		rc = export_ensure(c, acc, t, err);
	if (rc == 0)
		rc = work(d, t, arg, err);
	if (t && export_remove(c, t, &remove_err) < 0 && rc == 0)
		rc = error_set(err, remove_err.code, "%s", remove_err.text);
	free(t);
	return rc;
}

int wipe_run(struct driver *d, struct client *c, const struct accelerator *acc,
	     const struct attachment *a, struct error *err)
{
	return with_export(d, c, acc, a, wipe_all, NULL, err);
}

int wipe_look(struct driver *d, struct client *c, const struct accelerator *acc,
	      const struct attachment *a, bool *empty, struct error *err)
{
	return with_export(d, c, acc, a, look, empty, err);
}
