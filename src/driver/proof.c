/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proof of a data path: cyborg-spdk-perf as a child, connected as the very host, says what it
 * sees; of a vhost-user device its own front-end. Only when that is what is recorded the verb
 * succeeds.
 *
 * Threading: as driver.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "driver/driver.h"

#define PROOF_TIMEOUT_NS (20 * NS_PER_SEC)
#define VHOST_TIMEOUT_NS (10 * NS_PER_SEC)

static int mismatch(const struct attachment *a, const char *what, const char *seen,
		    const char *recorded, struct error *err)
{
	return error_set(err, -EPROTO,
			 "instance %s: its host sees the %s \"%s\" and should see \"%s\"",
			 a->instance, what, seen, recorded);
}

static const char *text_of(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static const json_t *find_namespace(const json_t *list, uint32_t nsid)
{
	json_t *ns;
	size_t i;

	json_array_foreach ((json_t *)list, i, ns) {
		if (json_integer_value(json_object_get(ns, "nsid")) == (json_int_t)nsid)
			return ns;
	}
	return NULL;
}

static int compare_namespace(const struct attachment *a, const json_t *ns, struct error *err)
{
	char seen[32], recorded[32];
	json_int_t size;

	if (strcasecmp(text_of(ns, "uuid"), a->uuid) != 0)
		return mismatch(a, "UUID", text_of(ns, "uuid"), a->uuid, err);
	size = json_integer_value(json_object_get(ns, "blocks")) *
	       json_integer_value(json_object_get(ns, "block_size"));
	if ((uint64_t)size == a->size)
		return 0;
	snprintf(seen, sizeof(seen), "%lld", (long long)size);
	snprintf(recorded, sizeof(recorded), "%llu", (unsigned long long)a->size);
	return mismatch(a, "size", seen, recorded, err);
}

static int compare(const struct attachment *a, const json_t *seen, struct error *err)
{
	const json_t *ns = find_namespace(json_object_get(seen, "namespaces"), a->nsid);
	const json_t *ctrlr = json_object_get(seen, "controller");

	if (strcmp(text_of(ctrlr, "serial"), a->serial) != 0)
		return mismatch(a, "serial", text_of(ctrlr, "serial"), a->serial, err);
	if (strcmp(text_of(ctrlr, "model"), a->model) != 0)
		return mismatch(a, "model", text_of(ctrlr, "model"), a->model, err);
	if (!ns)
		return error_set(err, -EPROTO, "instance %s: its host sees no namespace %u",
				 a->instance, a->nsid);
	if (!json_is_true(json_object_get(seen, "proved")))
		return error_set(err, -EPROTO, "instance %s: its host could not read from it",
				 a->instance);
	return compare_namespace(a, ns, err);
}

static int judge(const struct attachment *a, const struct child_result *r, struct error *err)
{
	json_t *seen;
	int rc;

	if (!WIFEXITED(r->status) || WEXITSTATUS(r->status) != 0)
		return error_set(err, -EPROTO,
				 "instance %s: connecting as host %s to %s port %u failed: %.*s",
				 a->instance, a->host, a->address, a->port,
				 (int)strcspn(r->err_out, "\n"), r->err_out);
	seen = json_loads(r->out, 0, NULL);
	rc = seen ? compare(a, seen, err)
		  : error_set(err, -EBADMSG, "instance %s: what cyborg-spdk-perf saw is no JSON",
			      a->instance);
	json_decref(seen);
	return rc;
}

static int prove_tcp(struct driver *d, const struct attachment *a, struct error *err)
{
	char perf[PATH_MAX], path[STATE_NQN_SIZE + 160];
	char *argv[] = { perf,
			 (char *)"--identify",
			 (char *)(a->read_only ? "--prove-read-only" : "--prove"),
			 (char *)"--json",
			 (char *)"--hostnqn",
			 (char *)a->host,
			 (char *)"-r",
			 path,
			 NULL,
			 NULL,
			 NULL,
			 NULL,
			 NULL,
			 NULL,
			 NULL };
	size_t n = sizeof(argv) / sizeof(argv[0]) - 7;
	struct child_result r;
	int rc = helper_find("cyborg-spdk-perf", perf, err);

	if (rc < 0)
		return rc;
	if (a->dhchap_key[0]) {
		argv[n++] = (char *)"--dhchap-key";
		argv[n++] = (char *)a->dhchap_key;
	}
	if (a->dhchap_ctrlr_key[0]) {
		argv[n++] = (char *)"--dhchap-ctrlr-key";
		argv[n++] = (char *)a->dhchap_ctrlr_key;
	}
	if (a->psk[0]) {
		argv[n++] = (char *)"--psk";
		argv[n++] = (char *)a->psk;
	}
	snprintf(path, sizeof(path), "trtype:TCP adrfam:%s traddr:%s trsvcid:%u subnqn:%s",
		 a->family, a->address, a->port, a->nqn);
	rc = child_run(d->loop, argv, PROOF_TIMEOUT_NS, &r, err);
	if (rc < 0)
		return rc;
	rc = judge(a, &r, err);
	child_result_fini(&r);
	return rc;
}

static int prove_vhost(const struct attachment *a, struct error *err)
{
	struct vhost_seen seen;
	char text[64], recorded[64];
	int rc = vhost_user_ask(a->socket, VHOST_TIMEOUT_NS, &seen, err);

	if (rc < 0)
		return error_prefix(err, "instance %s: ", a->instance);
	if (seen.bytes == a->size && (seen.read_only || !a->read_only))
		return 0;
	snprintf(text, sizeof(text), "%llu bytes, %s", (unsigned long long)seen.bytes,
		 seen.read_only ? "read-only" : "read and write");
	snprintf(recorded, sizeof(recorded), "%llu bytes, %s", (unsigned long long)a->size,
		 a->read_only ? "read-only" : "read and write");
	return error_set(err, -EPROTO, "instance %s: its machine sees %s and should see %s",
			 a->instance, text, recorded);
}

int proof_run(struct driver *d, const struct attachment *a, struct error *err)
{
	if (!strcmp(a->transport, TRANSPORT_VHOST))
		return prove_vhost(a, err);
	return prove_tcp(d, a, err);
}
