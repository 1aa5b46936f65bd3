/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces: adding (a channel on every reactor before any host is told), removing (commands that
 * run are awaited, then channels go, then hosts are told, then the bdev is closed), removal and
 * resizing of the bdev below, visibility.
 *
 * Threading: reactor 0; what happens on each reactor is said there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/container_of.h"
#include "bdev/module.h"
#include "nvmf/ctrlr.h"

/* Claims of bdevs are in this name; there is nothing else of a module here. */
static const struct bdev_module claimant = { .name = "NVMe-oF Target" };

bool nvmf_ns_sees(const struct nvmf_ns_part *ns, const char *hostnqn)
{
	if (!ns->visible)
		return true;
	for (uint32_t i = 0; i < ns->visible->count; i++) {
		if (strcmp(ns->visible->nqn[i], hostnqn) == 0)
			return true;
	}
	return false;
}

struct nvmf_ns *nvmf_ns_find(const struct nvmf_subsystem *s, uint32_t nsid)
{
	return nsid > 0 && nsid <= s->ns_slots ? s->ns[nsid - 1] : NULL;
}

void nvmf_ns_free(struct nvmf_ns *ns)
{
	if (ns->desc)
		bdev_close(ns->desc);
	nvmf_op_free(ns->remove_op);
	free(ns->visible);
	free(ns->bdev_name);
	free(ns->ptpl_file);
	free(ns);
}

/* --- on each reactor -------------------------------------------------------------------------- */

static int part_grow(struct nvmf_subsystem_part *part, uint32_t count)
{
	struct nvmf_ns_part **more;

	if (count <= part->count)
		return 0;
	more = realloc(part->ns, count * sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + part->count, 0, (count - part->count) * sizeof(*more));
	part->ns = more;
	part->count = count;
	return 0;
}

static struct nvmf_ns_part *part_of(const struct nvmf_tell_part *tell)
{
	const struct nvmf_op *op = container_of(tell->tell, struct nvmf_op, tell);
	const struct nvmf_subsystem_part *part = &op->s->parts[tell->on];

	return op->nsid <= part->count ? part->ns[op->nsid - 1] : NULL;
}

static int attach(struct nvmf_subsystem_part *part, const struct nvmf_ns *ns, uint64_t blocks)
{
	struct nvmf_ns_part *np;
	int rc = part_grow(part, ns->nsid);

	if (rc)
		return rc;
	np = calloc(1, sizeof(*np));
	if (!np)
		return -ENOMEM;
	rc = bdev_channel_get(ns->desc, &np->channel);
	if (rc) {
		free(np);
		return rc;
	}
	np->ns = ns;
	np->blocks = blocks;
	np->visible = ns->visible;
	part->ns[ns->nsid - 1] = np;
	return 0;
}

static void attach_here(struct nvmf_tell_part *tell)
{
	struct nvmf_op *op = container_of(tell->tell, struct nvmf_op, tell);

	nvmf_tell_answer(tell, attach(&op->s->parts[tell->on], op->ns, op->blocks));
}

static void drain_here(struct nvmf_tell_part *tell)
{
	struct nvmf_ns_part *np = part_of(tell);

	if (np) {
		np->removed = true;
		if (np->outstanding > 0) {
			np->drain = tell;
			return;
		}
		bdev_channel_put(np->channel);
		np->channel = NULL;
	}
	nvmf_tell_answer(tell, 0);
}

/* Controllers of the subsystem that see the namespace; @only: of this host. */
static void notify(struct nvmf_group *group, const struct nvmf_subsystem *s,
		   const struct nvmf_ns_part *np, const char *only)
{
	struct nvmf_conn *conn;

	LIST_FOREACH (conn, &group->conns, link) {
		if (conn->state != NVMF_CONN_LIVE || conn->qid != 0 || conn->ctrlr->subsystem != s)
			continue;
		if (only ? strcmp(conn->ctrlr->hostnqn, only) == 0
			 : nvmf_ns_sees(np, conn->ctrlr->hostnqn))
			nvmf_event_changed_ns(conn->ctrlr, np->ns->nsid);
	}
}

static void notify_here(struct nvmf_tell_part *tell)
{
	struct nvmf_op *op = container_of(tell->tell, struct nvmf_op, tell);
	struct nvmf_ns_part *np = part_of(tell);

	if (np) {
		notify(&op->s->tgt->groups[tell->on], op->s, np, NULL);
		if (np->removed) {
			op->s->parts[tell->on].ns[op->nsid - 1] = NULL;
			free(np);
		}
	}
	nvmf_tell_answer(tell, 0);
}

void nvmf_ns_detach_all(struct nvmf_subsystem_part *part)
{
	for (uint32_t i = 0; i < part->count; i++) {
		struct nvmf_ns_part *np = part->ns[i];

		if (!np)
			continue;
		if (np->channel)
			bdev_channel_put(np->channel);
		free(np);
	}
	free(part->ns);
	part->ns = NULL;
	part->count = 0;
}

/* --- removing --------------------------------------------------------------------------------- */

static void remove_notified(struct nvmf_tell *tell)
{
	struct nvmf_op *op = container_of(tell, struct nvmf_op, tell);

	nvmf_ns_free(op->ns);
	nvmf_op_finish(op, 0);
}

static void remove_drained(struct nvmf_tell *tell)
{
	nvmf_tell_start(tell, notify_here, remove_notified, NULL);
}

static void remove_start(struct nvmf_op *op)
{
	op->ns = nvmf_ns_find(op->s, op->nsid);
	if (!op->ns) {
		nvmf_op_finish(op, error_set(&op->err, -ENOENT, "subsystem %s has no namespace %u",
					     op->s->nqn, op->nsid));
		return;
	}
	op->s->ns[op->nsid - 1] = NULL;
	nvmf_tell_start(&op->tell, drain_here, remove_drained, NULL);
}

static int refuse_op(struct nvmf_subsystem *s, struct error *err)
{
	if (s->deleting)
		return error_set(err, -ENODEV, "subsystem %s is being deleted", s->nqn);
	return error_set(err, -ENOMEM, "no memory for a change of subsystem %s", s->nqn);
}

void nvmf_subsystem_remove_ns(struct nvmf_subsystem *s, uint32_t nsid, nvmf_done *done, void *arg)
{
	struct nvmf_op *op = s->deleting ? NULL : nvmf_op_create(s, remove_start, done, arg);
	struct error err = ERROR_INIT;

	if (!op) {
		refuse_op(s, &err);
		nvmf_answer_later(done, arg, err.code, &err);
		return;
	}
	op->nsid = nsid;
	nvmf_op_submit(op);
}

/* --- what happens to the bdev below ----------------------------------------------------------- */

/* It may have been removed meanwhile, and another have taken its NSID. */
static void hot_remove_start(struct nvmf_op *op)
{
	const struct nvmf_ns *ns = nvmf_ns_find(op->s, op->nsid);

	if (ns && ns->hot_removed)
		remove_start(op);
	else
		nvmf_op_finish(op, 0);
}

static void resize_told(struct nvmf_tell *tell)
{
	struct nvmf_op *op = container_of(tell, struct nvmf_op, tell);

	nvmf_op_finish(op, 0);
}

static void resize_here(struct nvmf_tell_part *tell)
{
	const struct nvmf_op *op = container_of(tell->tell, struct nvmf_op, tell);
	struct nvmf_ns_part *np = part_of(tell);

	if (np)
		np->blocks = op->blocks;
	notify_here(tell);
}

static void resize_start(struct nvmf_op *op)
{
	struct nvmf_ns *ns = nvmf_ns_find(op->s, op->nsid);

	if (!ns || !ns->hot_resized) {
		nvmf_op_finish(op, 0);
		return;
	}
	ns->hot_resized = false;
	op->blocks = bdev_num_blocks(bdev_of(ns->desc));
	nvmf_tell_start(&op->tell, resize_here, resize_told, NULL);
}

static void hot_resize(struct nvmf_ns *ns)
{
	struct nvmf_op *op;

	if (ns->hot_resized)
		return;
	op = nvmf_op_create(ns->subsystem, resize_start, NULL, NULL);
	if (!op) {
		log_error("nvmf: no memory to tell the new size of %s", ns->bdev_name);
		return;
	}
	ns->hot_resized = true;
	op->nsid = ns->nsid;
	nvmf_op_submit(op);
}

static void bdev_event(struct bdev_desc *desc, enum bdev_event event, void *user)
{
	struct nvmf_ns *ns = user;
	struct nvmf_op *op = ns->remove_op;

	(void)desc;
	/* A subsystem that is being deleted closes its bdevs by itself. */
	if (ns->subsystem->deleting)
		return;
	if (event == BDEV_EVENT_RESIZE) {
		hot_resize(ns);
	} else if (op) {
		log_notice("nvmf: %s goes: namespace %u of %s is removed", ns->bdev_name, ns->nsid,
			   ns->subsystem->nqn);
		ns->hot_removed = true;
		ns->remove_op = NULL;
		op->nsid = ns->nsid;
		nvmf_op_submit(op);
	}
}

/* --- adding ----------------------------------------------------------------------------------- */

static void add_told(struct nvmf_tell *tell)
{
	struct nvmf_op *op = container_of(tell, struct nvmf_op, tell);

	nvmf_op_finish(op, 0);
}

static void add_undone(struct nvmf_tell *tell)
{
	struct nvmf_op *op = container_of(tell, struct nvmf_op, tell);
	int result = op->result;

	error_set(&op->err, result, "namespace of bdev %s: no channel: %s", op->ns->bdev_name,
		  error_errno_text(result));
	nvmf_ns_free(op->ns);
	nvmf_op_finish(op, result);
}

static void undo_here(struct nvmf_tell_part *tell)
{
	struct nvmf_op *op = container_of(tell->tell, struct nvmf_op, tell);
	struct nvmf_ns_part *np = part_of(tell);

	if (np) {
		bdev_channel_put(np->channel);
		op->s->parts[tell->on].ns[op->nsid - 1] = NULL;
		free(np);
	}
	nvmf_tell_answer(tell, 0);
}

static void add_attached(struct nvmf_tell *tell)
{
	struct nvmf_op *op = container_of(tell, struct nvmf_op, tell);

	if (tell->result) {
		op->result = tell->result;
		nvmf_tell_start(tell, undo_here, add_undone, NULL);
		return;
	}
	op->s->ns[op->nsid - 1] = op->ns;
	nvmf_tell_start(tell, notify_here, add_told, NULL);
}

static int choose_nsid(struct nvmf_op *op)
{
	struct nvmf_subsystem *s = op->s;

	if (op->nsid > s->max_namespaces)
		return error_set(&op->err, -EINVAL,
				 "nsid %u: subsystem %s has at most %u namespaces", op->nsid,
				 s->nqn, s->max_namespaces);
	if (op->nsid > 0 && nvmf_ns_find(s, op->nsid))
		return error_set(&op->err, -EEXIST, "nsid %u of subsystem %s is in use by bdev %s",
				 op->nsid, s->nqn, nvmf_ns_find(s, op->nsid)->bdev_name);
	for (uint32_t nsid = 1; op->nsid == 0 && nsid <= s->max_namespaces; nsid++) {
		if (!nvmf_ns_find(s, nsid))
			op->nsid = nsid;
	}
	if (op->nsid == 0)
		return error_set(&op->err, -ENOSPC, "all %u namespaces of subsystem %s are in use",
				 s->max_namespaces, s->nqn);
	return 0;
}

static int slots_grow(struct nvmf_op *op)
{
	struct nvmf_subsystem *s = op->s;
	struct nvmf_ns **more;

	if (op->nsid <= s->ns_slots)
		return 0;
	more = realloc(s->ns, op->nsid * sizeof(*more));
	if (!more)
		return error_set(&op->err, -ENOMEM, "no memory for namespace %u", op->nsid);
	memset(more + s->ns_slots, 0, (op->nsid - s->ns_slots) * sizeof(*more));
	s->ns = more;
	s->ns_slots = op->nsid;
	return 0;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

/* What is not given follows from the bdev, so that it is the same after each start. */
static void fill_ids(struct nvmf_ns *ns, const struct bdev *bdev)
{
	if (uuid_is_nil(&ns->uuid))
		ns->uuid = *bdev_uuid(bdev);
	if (is_zero(ns->nguid, sizeof(ns->nguid)))
		memcpy(ns->nguid, ns->uuid.raw, sizeof(ns->nguid));
	ns->has_eui64 = !is_zero(ns->eui64, sizeof(ns->eui64));
	if (ns->anagrpid == 0)
		ns->anagrpid = ns->nsid;
}

static int fill_geometry(struct nvmf_ns *ns, const struct bdev *bdev, struct error *err)
{
	ns->block_size = bdev_block_size(bdev);
	if (!is_power_of_two(ns->block_size) || ns->block_size < 512 || ns->block_size > 32768)
		return error_set(err, -EINVAL,
				 "bdev %s has blocks of %u bytes; a namespace takes powers of two "
				 "from 512 to 32768",
				 bdev_name(bdev), ns->block_size);
	ns->block_shift = (uint8_t)__builtin_ctz(ns->block_size);
	ns->optimal_boundary = bdev_optimal_boundary(bdev);
	ns->write_cache = bdev_has_write_cache(bdev);
	ns->unmaps = bdev_supports(bdev, BDEV_IO_UNMAP);
	ns->unmap_zeroes = bdev_unmap_zeroes(bdev);
	return 0;
}

static int open_bdev(struct nvmf_op *op)
{
	struct nvmf_ns *ns = op->ns;
	int rc = bdev_open(ns->bdev_name, false, bdev_event, ns, &ns->desc, &op->err);

	if (!rc)
		rc = bdev_claim(ns->desc, &claimant, &op->err);
	if (!rc)
		rc = fill_geometry(ns, bdev_of(ns->desc), &op->err);
	if (rc)
		return rc;
	fill_ids(ns, bdev_of(ns->desc));
	op->blocks = bdev_num_blocks(bdev_of(ns->desc));
	if (ns->anagrpid > op->s->max_namespaces)
		return error_set(&op->err, -EINVAL,
				 "anagrpid %u: groups of subsystem %s are 1 to %u", ns->anagrpid,
				 op->s->nqn, op->s->max_namespaces);
	return 0;
}

static void add_start(struct nvmf_op *op)
{
	int rc = choose_nsid(op);

	op->ns->nsid = op->nsid;
	if (!rc)
		rc = slots_grow(op);
	if (!rc)
		rc = open_bdev(op);
	if (rc) {
		nvmf_ns_free(op->ns);
		nvmf_op_finish(op, rc);
		return;
	}
	nvmf_tell_start(&op->tell, attach_here, add_attached, NULL);
}

static struct nvmf_ns *ns_create(struct nvmf_subsystem *s, const struct nvmf_ns_options *opts)
{
	struct nvmf_ns *ns = calloc(1, sizeof(*ns));

	if (!ns)
		return NULL;
	ns->subsystem = s;
	ns->bdev_name = strdup(opts->bdev_name);
	ns->ptpl_file = opts->ptpl_file ? strdup(opts->ptpl_file) : NULL;
	memcpy(ns->nguid, opts->nguid, sizeof(ns->nguid));
	memcpy(ns->eui64, opts->eui64, sizeof(ns->eui64));
	ns->uuid = opts->uuid;
	ns->anagrpid = opts->anagrpid;
	ns->no_auto_visible = opts->no_auto_visible;
	ns->hide_metadata = opts->hide_metadata;
	ns->visible = opts->no_auto_visible ? calloc(1, sizeof(*ns->visible)) : NULL;
	ns->remove_op = nvmf_op_create(s, hot_remove_start, NULL, NULL);
	if (!ns->bdev_name || !ns->remove_op || (opts->ptpl_file && !ns->ptpl_file) ||
	    (opts->no_auto_visible && !ns->visible)) {
		nvmf_ns_free(ns);
		return NULL;
	}
	return ns;
}

struct add_refusal {
	struct reactor_msg msg;
	nvmf_ns_added *done;
	void *arg;
	struct error err;
};

static void add_refused(struct reactor_msg *msg)
{
	struct add_refusal *r = container_of(msg, struct add_refusal, msg);

	r->done(r->arg, r->err.code, 0, &r->err);
	free(r);
}

void nvmf_subsystem_add_ns(struct nvmf_subsystem *s, const struct nvmf_ns_options *opts,
			   nvmf_ns_added *done, void *arg)
{
	struct nvmf_op *op = s->deleting ? NULL : nvmf_op_create(s, add_start, NULL, arg);
	struct nvmf_ns *ns = op ? ns_create(s, opts) : NULL;
	struct add_refusal *r;
	struct error err = ERROR_INIT;

	if (ns) {
		op->added = done;
		op->ns = ns;
		op->nsid = opts->nsid;
		nvmf_op_submit(op);
		return;
	}
	nvmf_op_free(op);
	refuse_op(s, &err);
	r = calloc(1, sizeof(*r));
	if (!r) {
		done(arg, err.code, 0, &err);
		return;
	}
	r->msg.fn = add_refused;
	r->done = done;
	r->arg = arg;
	r->err = err;
	reactor_send(reactor_self(), &r->msg);
}

/* --- visibility ------------------------------------------------------------------------------- */

static int hosts_find(const struct nvmf_ns_hosts *hosts, const char *nqn)
{
	for (uint32_t i = 0; i < hosts->count; i++) {
		if (strcmp(hosts->nqn[i], nqn) == 0)
			return (int)i;
	}
	return -1;
}

static struct nvmf_ns_hosts *hosts_with(const struct nvmf_ns_hosts *old, const char *nqn, bool with)
{
	struct nvmf_ns_hosts *hosts =
		calloc(1, sizeof(*hosts) + (old->count + 1) * sizeof(hosts->nqn[0]));

	if (!hosts)
		return NULL;
	for (uint32_t i = 0; i < old->count; i++) {
		if (strcmp(old->nqn[i], nqn) != 0)
			strcpy(hosts->nqn[hosts->count++], old->nqn[i]);
	}
	if (with)
		strcpy(hosts->nqn[hosts->count++], nqn);
	return hosts;
}

static void show_here(struct nvmf_tell_part *tell)
{
	const struct nvmf_op *op = container_of(tell->tell, struct nvmf_op, tell);
	struct nvmf_ns_part *np = part_of(tell);

	if (np) {
		np->visible = op->ns->visible;
		notify(&op->s->tgt->groups[tell->on], op->s, np, op->host);
	}
	nvmf_tell_answer(tell, 0);
}

static void show_start(struct nvmf_op *op)
{
	struct nvmf_ns *ns = nvmf_ns_find(op->s, op->nsid);
	struct nvmf_ns_hosts *hosts;

	if (!ns) {
		nvmf_op_finish(op, error_set(&op->err, -ENOENT, "subsystem %s has no namespace %u",
					     op->s->nqn, op->nsid));
		return;
	}
	if (!ns->visible) {
		nvmf_op_finish(op, error_set(&op->err, -EPERM,
					     "namespace %u of %s is visible to all hosts; only one "
					     "added with no_auto_visible has a list",
					     op->nsid, op->s->nqn));
		return;
	}
	if ((hosts_find(ns->visible, op->host) >= 0) == op->allow) {
		nvmf_op_finish(op, 0);
		return;
	}
	hosts = hosts_with(ns->visible, op->host, op->allow);
	if (!hosts) {
		nvmf_op_finish(op, -ENOMEM);
		return;
	}
	op->ns = ns;
	op->hosts = ns->visible;
	ns->visible = hosts;
	nvmf_tell_start(&op->tell, show_here, resize_told, NULL);
}

void nvmf_ns_allow_host(struct nvmf_subsystem *s, uint32_t nsid, const char *host, bool allow,
			nvmf_done *done, void *arg)
{
	struct error err = ERROR_INIT;
	struct nvmf_op *op = NULL;

	if (nvmf_nqn_check(host, &err) == 0) {
		op = s->deleting ? NULL : nvmf_op_create(s, show_start, done, arg);
		if (!op)
			refuse_op(s, &err);
	}
	if (!op) {
		nvmf_answer_later(done, arg, err.code, &err);
		return;
	}
	op->nsid = nsid;
	op->allow = allow;
	strcpy(op->host, host);
	nvmf_op_submit(op);
}
