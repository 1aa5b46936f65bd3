/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach: export an accelerator's bdev to one host for one instance, and prove the data path.
 *
 * Threading: as driver.h.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/verb.h"

#define MODEL	   "cyborg-spdk"
#define PORT_FIRST 4420 /* NVMe-oF's own (IANA) */
#define PORT_TRIES 16
#define PORT_LAST  4519
#define NSID	   1

/* Names follow from node and instance, so that the same call gives the same names again. */
static void make_names(struct driver *d, const struct accelerator *acc, struct attachment *a)
{
	char name[STATE_NAME_SIZE + 16], text[UUID_TEXT_SIZE];
	struct uuid node, u;
	size_t n = 0, s = 2;

	state_node_uuid(d->state, &node);
	snprintf(name, sizeof(name), "instance/%s", a->instance);
	uuid_from_name(&u, &node, name);
	uuid_to_text(&u, text);
	snprintf(a->nqn, sizeof(a->nqn), "nqn.2014-08.org.nvmexpress:uuid:%s", text);
	snprintf(a->uuid, sizeof(a->uuid), "%s", acc->uuid);
	snprintf(a->serial, sizeof(a->serial), "CS");
	for (const char *c = acc->uuid; *c; c++) {
		if (*c == '-')
			continue;
		a->nguid[n++] = (char)toupper((unsigned char)*c);
		if (s < sizeof(a->serial) - 1)
			a->serial[s++] = (char)toupper((unsigned char)*c);
	}
	a->nguid[n] = a->serial[s] = '\0';
	snprintf(a->model, sizeof(a->model), MODEL);
	a->nsid = NSID;
}

static bool port_is_free(const struct attachment *a, uint16_t port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool is_v6 = !strcmp(a->family, "IPv6");
	int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, rc;

	if (fd < 0)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	inet_pton(AF_INET6, a->address, &v6.sin6_addr);
	inet_pton(AF_INET, a->address, &v4.sin_addr);
	rc = is_v6 ? bind(fd, (struct sockaddr *)&v6, sizeof(v6))
		   : bind(fd, (struct sockaddr *)&v4, sizeof(v4));
	close(fd);
	return rc == 0;
}

static bool port_is_recorded(const struct attachment *list, ssize_t n, const struct attachment *a,
			     uint16_t port)
{
	for (ssize_t i = 0; i < n; i++) {
		if (list[i].port == port && !strcmp(list[i].address, a->address))
			return true;
	}
	return false;
}

static int choose_port(struct driver *d, struct attachment *a, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, NULL, &list, err);
	unsigned int port;

	if (n < 0)
		return (int)n;
	for (port = PORT_FIRST; port <= PORT_LAST; port++) {
		if (!port_is_recorded(list, n, a, (uint16_t)port) &&
		    port_is_free(a, (uint16_t)port))
			break;
	}
	free(list);
	if (port > PORT_LAST)
		return error_set(err, -EADDRINUSE,
				 "no free port at %s between %d and %d, or no such address here: "
				 "give --listen ADDR:PORT",
				 a->address, PORT_FIRST, PORT_LAST);
	a->port = (uint16_t)port;
	return 0;
}

/* Without logical volumes an accelerator has one bdev, and that goes to one instance. */
static int check_free(struct driver *d, const struct accelerator *acc, struct error *err)
{
	struct attachment *list;
	ssize_t n = state_attachments(d->state, acc->id, &list, err);
	int rc = n < 0 ? (int)n : 0;

	if (n > 0)
		rc = error_set(err, -EBUSY,
			       "accelerator %s is attached to instance %s: one accelerator serves "
			       "one instance; detach that, or install another accelerator",
			       acc->id, list[0].instance);
	free(list);
	return rc;
}

static int choose_free(struct driver *d, struct accelerator *out, struct error *err)
{
	struct accelerator *list;
	ssize_t n = state_accelerators(d->state, &list, err), found = 0;

	for (ssize_t i = 0; i < n; i++) {
		if (check_free(d, &list[i], NULL) == 0 && found++ == 0)
			*out = list[i];
	}
	free(list);
	if (n < 0 || found == 1)
		return n < 0 ? (int)n : 0;
	if (n == 0)
		return error_set(err, -ENOENT, "no accelerator is installed: install one first");
	if (found == 0)
		return error_set(
			err, -EBUSY,
			"all %zd accelerators are attached: detach an instance, or install "
			"another accelerator",
			n);
	return error_set(err, -EINVAL, "%zd accelerators are free: name one with --accelerator",
			 found);
}

static int plan_new(struct verb_run *v, const char *id, const char *listen, uint64_t size,
		    struct accelerator *acc, struct attachment *a, struct error *err)
{
	int rc = id ? load_accelerator(v->d, id, acc, err) : choose_free(v->d, acc, err);

	if (rc == 0)
		rc = check_free(v->d, acc, err);
	if (rc == 0 && size && size != acc->size)
		rc = error_set(err, -EINVAL,
			       "accelerator %s has %llu bytes and is attached whole: ask for that "
			       "size, or leave --size away",
			       acc->id, (unsigned long long)acc->size);
	if (rc == 0)
		rc = parse_listen(listen ? listen : "127.0.0.1", a, err);
	if (rc == 0 && !a->port) {
		rc = choose_port(v->d, a, err);
		json_object_set_new(v->argument, "port_is_ours_to_choose", json_true());
	}
	if (rc < 0)
		return rc;
	snprintf(a->accelerator, sizeof(a->accelerator), "%s", acc->id);
	snprintf(a->bdev, sizeof(a->bdev), "%s", acc->bdev);
	a->size = acc->size;
	make_names(v->d, acc, a);
	return 0;
}

/* The same call again must ask for what is there. */
static int plan_repeat(struct verb_run *v, const char *id, const char *host, const char *listen,
		       struct accelerator *acc, const struct attachment *a, struct error *err)
{
	struct attachment want = { .port = 0 };
	int rc = load_accelerator(v->d, a->accelerator, acc, err);

	if (rc == 0 && listen)
		rc = parse_listen(listen, &want, err);
	if (rc < 0)
		return rc;
	if (strcmp(a->host, host) != 0)
		return error_set(
			err, -EEXIST,
			"instance %s is attached for host %s: detach it first to attach it "
			"for %s",
			a->instance, a->host, host);
	if ((id && strcmp(id, a->accelerator) != 0) ||
	    (listen &&
	     (strcmp(want.address, a->address) != 0 || (want.port && want.port != a->port))))
		return error_set(
			err, -EEXIST,
			"instance %s is attached to accelerator %s at %s port %u: detach it "
			"first to attach it otherwise",
			a->instance, a->accelerator, a->address, a->port);
	return 0;
}

static int plan(struct verb_run *v, const json_t *request, struct error *err)
{
	static const char *const names[] = { "instance", "host",    "accelerator", "listen",
					     "size",	 "dry_run", NULL };
	const char *instance = request_text(request, "instance", err);
	const char *host = request_text(request, "host", err);
	const char *id = request_text(request, "accelerator", err);
	const char *listen = request_text(request, "listen", err);
	uint64_t size = request_u64(request, "size", 0, err);
	struct attachment a = { .port = 0 };
	struct accelerator acc;
	bool existing;
	int rc = err->code ? err->code : request_check(request, names, err);

	if (rc == 0 && (!instance || !host))
		rc = error_set(err, -EINVAL,
			       "attach needs --instance ID and --host NQN: no export is made for "
			       "any host");
	if (rc == 0)
		rc = check_instance(instance, err);
	if (rc == 0)
		rc = check_nqn("host", host, err);
	if (rc < 0)
		return rc;
	rc = state_attachment(v->d->state, instance, &a, err);
	existing = rc == 0;
	snprintf(a.instance, sizeof(a.instance), "%s", instance);
	if (rc == 0)
		rc = plan_repeat(v, id, host, listen, &acc, &a, err);
	else if (rc == -ENOENT)
		rc = plan_new(v, id, listen, size, &acc, &a, err);
	if (rc < 0)
		return rc;
	snprintf(a.host, sizeof(a.host), "%s", host);
	snprintf(v->intent.object, sizeof(v->intent.object), "%s", instance);
	json_object_set_new(v->argument, "accelerator", accelerator_json(&acc));
	json_object_set_new(v->argument, "attachment", attachment_json(&a));
	json_object_set_new(v->argument, "existing", json_boolean(existing));
	return 0;
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
	    port_is_free(&a, a.port) || choose_port(v->d, &a, NULL) < 0)
		return false;
	json_object_set_new(v->argument, "attachment", attachment_json(&a));
	return record(v, NULL) == 0;
}

/* What is recorded is what target_ensure() brings back, so recording comes first. */
static int export(struct verb_run *v, struct error *err)
{
	struct target_paths paths;
	struct accelerator acc;
	struct client *c;
	int rc;

	verb_accelerator(v, &acc);
	rc = target_ensure(v->d, &acc, &c, err);
	for (int more = PORT_TRIES; rc < 0 && more > 0 && take_other_port(v); more--) {
		*err = (struct error)ERROR_INIT;
		rc = target_ensure(v->d, &acc, &c, err);
	}
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
	struct target_paths paths;
	struct accelerator acc;
	struct attachment a;
	struct client *c;
	int rc;

	verb_accelerator(v, &acc);
	verb_attachment(v, &a);
	rc = target_paths(v->d, acc.id, &paths, err);
	if (rc < 0)
		return rc;
	rc = target_connect(v->d, &acc, &c, err);
	if (rc == 0)
		rc = export_remove(c, a.nqn, err);
	else if (rc == -EHOSTDOWN)
		rc = 0;
	client_destroy(c);
	return rc == 0 ? config_drop_subsystem(paths.config, a.nqn, err) : rc;
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
	char command[2 * STATE_NQN_SIZE + 160];
	struct attachment a;
	json_t *connection;

	(void)err;
	verb_attachment(v, &a);
	attachment_command(&a, command, sizeof(command));
	json_object_set_new(v->answer, "attachment", attachment_json(&a));
	connection = attachment_connection(&a);
	json_object_update(v->answer, connection);
	json_decref(connection);
	json_object_set_new(v->answer, "command", json_string(command));
	return 0;
}

static const struct verb_step steps[] = {
	{ "record", "record the attachment", record, unrecord },
	{ "export", "export it and save the target's configuration", export, unexport },
	{ "prove", "connect as the host and identify the namespace", prove, NULL },
	{ NULL, NULL, NULL, NULL },
};

const struct verb verb_attach = { "attach", false, steps, plan, finish };
