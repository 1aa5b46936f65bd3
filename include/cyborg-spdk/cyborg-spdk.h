/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcyborg-spdk: discover, list, install, attach, detach, update, uninstall storage acceleration
 * on this node, on top of an SPDK target.
 *
 * Requests and answers are JSON text (RFC 8259, UTF-8): the shape of both is in docs/verbs.md and
 * grows by new members only. Every verb is safe to repeat: what is done already is not done again,
 * and a verb that was killed half-way is completed or undone by the next one.
 *
 * Threading: a handle belongs to one thread at a time; different handles are independent, also in
 * different processes. The library starts no threads and touches no signal dispositions; it starts
 * programs (the target's supervisor, the data path's prover) and waits for them.
 */
#ifndef CYBORG_SPDK_H
#define CYBORG_SPDK_H

#ifdef __cplusplus
extern "C" {
#endif

#define CYBORG_SPDK_API __attribute__((visibility("default")))

struct cyborg_spdk;

/**
 * cyborg_spdk_version() - release and commit of the library, static
 */
CYBORG_SPDK_API const char *cyborg_spdk_version(void);

/**
 * cyborg_spdk_open() - a handle on a state directory
 * @state_dir: NULL for the default: the environment's CYBORG_SPDK_STATE_DIR, else
 *             /var/lib/cyborg-spdk for root and for the user to whom it belongs, else
 *             $XDG_STATE_HOME/cyborg-spdk (~/.local/state/cyborg-spdk)
 * @out: the handle; also after a failure, then good only for cyborg_spdk_error() and
 *       cyborg_spdk_close(); NULL when memory is short
 *
 * The directory is made by the first verb that changes something, not here.
 *
 * Return: 0 or a negative errno.
 */
CYBORG_SPDK_API int cyborg_spdk_open(const char *state_dir, struct cyborg_spdk **out);

/** cyborg_spdk_close() - NULL is fine */
CYBORG_SPDK_API void cyborg_spdk_close(struct cyborg_spdk *h);

/**
 * cyborg_spdk_error() - why the last call on @h failed, a sentence for a person
 *
 * Return: text that is valid until the next call on @h; "" after a success.
 */
CYBORG_SPDK_API const char *cyborg_spdk_error(const struct cyborg_spdk *h);

/** cyborg_spdk_free() - give back an answer; NULL is fine */
CYBORG_SPDK_API void cyborg_spdk_free(char *answer);

/**
 * struct cyborg_spdk_progress - where a verb is
 * @verb: its name
 * @step: what is being done, for a person
 * @at, @of: number of the step, from 1
 * @elapsed_ns: since the verb began
 */
struct cyborg_spdk_progress {
	const char *verb;
	const char *step;
	unsigned int at;
	unsigned int of;
	unsigned long long elapsed_ns;
};

typedef void (*cyborg_spdk_progress_fn)(void *arg, const struct cyborg_spdk_progress *progress);

/**
 * cyborg_spdk_set_progress() - be told of each step, and about every 100 ms while it lasts
 * @fn: called from inside the verbs; it must not call the library
 */
CYBORG_SPDK_API void cyborg_spdk_set_progress(struct cyborg_spdk *h, cyborg_spdk_progress_fn fn,
					      void *arg);

/*
 * The verbs. @request is a JSON object (NULL for {}); on success *@answer is a JSON object to be
 * given back with cyborg_spdk_free(), on failure it is NULL. All of those that change something
 * take "dry_run": true and then answer the steps they would take.
 *
 * Return: 0, or a negative errno that says what kind of refusal it is:
 *   -EINVAL     the request is wrong
 *   -EBUSY      refused: the device or export is in use
 *   -EEXIST     refused: it is there already, with other properties
 *   -ENOTEMPTY  refused: the device holds data, or the accelerator has attachments
 *   -EPERM      refused: it needs a consent that the request did not give
 *   -ENOSPC     refused: it does not fit
 *   -ENOENT     no such accelerator, instance, device or program
 *   -EHOSTDOWN, -ETIMEDOUT, -ECONNRESET, -EBADMSG, -EMSGSIZE
 *               the target does not run, or does not answer as it should
 *   -EREMOTEIO, -ENOSYS  the target refused a request or does not know it
 *   -EPROTO     the data path does not show what it should; the state is of a newer release
 *   -EAGAIN     another process works in the state directory
 *   -ECANCELED  the verb failed and was rolled back; all is as it was
 *   others      of the operating system
 */

/**
 * cyborg_spdk_discover() - the node, its devices, SPDK kits, running targets
 *
 * Request: {}. Changes nothing.
 */
CYBORG_SPDK_API int cyborg_spdk_discover(struct cyborg_spdk *h, const char *request, char **answer);
/**
 * cyborg_spdk_list() - candidates for a scenario, best first, each with yes or no and why; and what
 * is installed
 *
 * Request: "scenario": "blobstore" (default) or "ceph"; "paths": further files or devices to judge.
 */
CYBORG_SPDK_API int cyborg_spdk_list(struct cyborg_spdk *h, const char *request, char **answer);
/**
 * cyborg_spdk_install() - start a supervised target on a backing
 *
 * Request: "id"; one of "backing" (path of a file or block device) and "memory" (bytes); "size"
 * (bytes, of a file to be made); "type" ("nvmf"); "target" (program; default the newest); "force"
 * (serial of a backing that holds data); "arguments" (array of further arguments of the target).
 * "scenario": "whole" (default), "blobstore" with "store" (name; it implies the scenario),
 * "cluster_size" and "clear_method", or "ceph" with "ceph_config" and "ceph_user" and no backing.
 */
CYBORG_SPDK_API int cyborg_spdk_install(struct cyborg_spdk *h, const char *request, char **answer);
/**
 * cyborg_spdk_attach() - export to an instance and prove the data path
 *
 * Request: "instance", "host" (NQN), "accelerator" (default: the only one that suits), "listen"
 * ("ADDR[:PORT]", default loopback). On a store "size" (of a new volume, with "thick"), "volume"
 * (name) or "clone" (of which snapshot); of a cluster "rbd" ("POOL/IMAGE"). "read_only"; "qos"
 * (object of "rw_ios", "rw_mb", "r_mb", "w_mb"); "dhchap_key", "dhchap_ctrlr_key", "psk" (files);
 * "transport" ("tcp", or "vhost-user-blk", which has no host). The answer is in os-brick's form
 * ("driver_volume_type", "data") with further members beside.
 */
CYBORG_SPDK_API int cyborg_spdk_attach(struct cyborg_spdk *h, const char *request, char **answer);
/**
 * cyborg_spdk_detach() - take an export back
 *
 * Request: "instance"; "wait_ns": how long to wait for the host to leave (default 30 s); "force":
 * do not wait. The volume is kept, unless "delete" or "wipe", or attach made it and no host could
 * write to it ("keep" keeps that too).
 */
CYBORG_SPDK_API int cyborg_spdk_detach(struct cyborg_spdk *h, const char *request, char **answer);
/**
 * cyborg_spdk_update() - replace a running target by another build and bring all exports back
 *
 * Request: "id" (default: the only one); "target" (default: the newest installed);
 * "lose_volatile": exports in memory may be lost.
 */
CYBORG_SPDK_API int cyborg_spdk_update(struct cyborg_spdk *h, const char *request, char **answer);
/**
 * cyborg_spdk_uninstall() - stop the target and remove what install made
 *
 * Request: "id"; "keep_backing": a file or store that install made stays; "delete": its volumes may
 * be lost; "wipe": all of the backing is zeroed.
 */
CYBORG_SPDK_API int cyborg_spdk_uninstall(struct cyborg_spdk *h, const char *request,
					  char **answer);
/**
 * cyborg_spdk_status() - health of each piece, and what is not as recorded
 *
 * Request: "id" (default: all). The answer's "health" is "ok", "degraded" or "down". Changes
 * nothing.
 */
CYBORG_SPDK_API int cyborg_spdk_status(struct cyborg_spdk *h, const char *request, char **answer);
/**
 * cyborg_spdk_recover() - complete or undo interrupted verbs, start targets that are down, bring
 * back every attachment as recorded
 *
 * Request: "id" (default: all). The answer has "health" as status has, and of each accelerator an
 * "outcome": "ok" (it was as recorded), "restored", or "failed" with a "reason"; "finished" are the
 * interrupted verbs, each with its "verb", "object" and "outcome" ("done" or "undone").
 */
CYBORG_SPDK_API int cyborg_spdk_recover(struct cyborg_spdk *h, const char *request, char **answer);

#ifdef __cplusplus
}
#endif

#endif
