/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Cyborg driver: what the files of this room share. The driver meets a target only through
 * its JSON-RPC socket and the programs beside it.
 *
 * Threading: a driver belongs to one thread. Processes that change things are kept apart by the
 * lock of the state directory.
 */
#ifndef DRIVER_DRIVER_H
#define DRIVER_DRIVER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/error.h"
#include "cyborg-spdk/cyborg-spdk.h"
#include "driver/client.h"
#include "driver/loop.h"
#include "driver/state.h"
#include "probe/probe.h"

struct environment; /* env.h */

/**
 * struct driver - one user's view of one state directory
 * @dir: the state directory; real once the state is open
 * @state: NULL until a verb needs it
 * @state_dev, @state_ino: of its file
 * @still: why @state can only be read, until driver_end(); no code when it can be written
 * @progress: told of steps, and about every 100 ms while one is waited for
 * @at: what @progress is told
 * @finished: interrupted verbs that the present one completed or undid
 */
struct driver {
	char dir[PATH_MAX];
	struct state *state;
	dev_t state_dev;
	ino_t state_ino;
	struct error still;
	struct loop *loop;
	struct probe *probe;
	uint64_t lock_wait_ns;
	cyborg_spdk_progress_fn progress;
	void *progress_arg;
	struct cyborg_spdk_progress at;
	uint64_t began_ns;
	bool state_is_trial;
	json_t *finished;
};

int driver_open(const char *state_dir, struct driver **out, struct error *err);
void driver_close(struct driver *d);

enum driver_state_use {
	DRIVER_STATE_READ,   /* -ENOENT when there is none yet */
	DRIVER_STATE_TRY,    /* a trial state, forgotten at driver_end(), when there is none yet */
	DRIVER_STATE_CHANGE, /* made when there is none yet */
};

/** driver_state() - open the state */
int driver_state(struct driver *d, enum driver_state_use use, struct error *err);
/** driver_begin() - a verb begins: its progress is told from now on */
void driver_begin(struct driver *d, const char *verb);
void driver_end(struct driver *d);
/** driver_step() - tell the progress that step @at of @of begins */
void driver_step(struct driver *d, const char *title, unsigned int at, unsigned int of);
/** driver_default_dir() - CYBORG_SPDK_STATE_DIR, the system's, or the user's */
int driver_default_dir(char *out, size_t size, struct error *err);

/* What an accelerator's scenario, an attachment's source and its transport may be. */
#define SCENARIO_WHOLE	   "whole"
#define SCENARIO_BLOBSTORE "blobstore"
#define SCENARIO_CEPH	   "ceph"
#define SOURCE_WHOLE	   "whole"
#define SOURCE_EXISTING	   "existing"
#define SOURCE_NEW	   "new"
#define SOURCE_CLONE	   "clone"
#define SOURCE_SNAPSHOT	   "snapshot"
#define SOURCE_RBD	   "rbd"
#define TRANSPORT_TCP	   "tcp"
#define TRANSPORT_VHOST	   "vhost-user-blk"

/* request.c: members of a request, each refusal naming the member */

/** request_check() - every member is among @names (ends with NULL) */
int request_check(const json_t *request, const char *const *names, struct error *err);
/** request_text() - a string member, or NULL; @err is filled when it is something else */
const char *request_text(const json_t *request, const char *name, struct error *err);
bool request_flag(const json_t *request, const char *name, struct error *err);
/** request_u64() - a non-negative integer, or @otherwise when the member is not there */
uint64_t request_u64(const json_t *request, const char *name, uint64_t otherwise,
		     struct error *err);
/** request_lines() - an array of texts of one line, to one a line; "" when it is not there */
int request_lines(const json_t *request, const char *name, char *out, size_t size,
		  struct error *err);
/** request_arguments() - request_lines() of "arguments", without those that are ours to give */
int request_arguments(const json_t *request, char *out, size_t size, struct error *err);
/** check_type() - the request's "type", when it has one, is one that can be installed */
int check_type(const json_t *request, struct error *err);
/** check_id() - an accelerator's id: 1 to 48 letters, digits, '.', '_', '-', none first */
int check_id(const char *id, struct error *err);
/** check_instance() - 1 to 128 of the same and ':' */
int check_instance(const char *instance, struct error *err);
/** check_nqn() - NVMe base 2.0, section 4.7: nqn.yyyy-mm.domain[:text], at most 223 bytes */
int check_nqn(const char *what, const char *nqn, struct error *err);
/** parse_listen() - "ADDR", "ADDR:PORT", "[ADDR6]:PORT"; @port 0 when none was given */
int parse_listen(const char *text, struct attachment *out, struct error *err);

/* child.c */

#define CHILD_OUTPUT_MAX (1024 * 1024)

/**
 * struct child_result - what a program left
 * @out, @err_out: its standard output and error, NUL-terminated, cut at CHILD_OUTPUT_MAX
 */
struct child_result {
	int status; /* of waitpid(2) */
	char *out;
	char *err_out;
};

/**
 * child_run() - run a program to its end; standard input is empty
 *
 * Return: 0 when it ended by itself (look at @r->status), -ETIMEDOUT after killing it, -ENOENT and
 * other errno when it could not be started. @r is given back by child_result_fini() after 0.
 */
int child_run(struct loop *l, char *const argv[], uint64_t timeout_ns, struct child_result *r,
	      struct error *err);
void child_result_fini(struct child_result *r);

struct child;

/**
 * child_begin() - child_run() that is not waited for; child_end() is owed after 0
 * @argv: copied
 * @alone: what it starts itself is killed with it
 */
int child_begin(struct loop *l, char *const argv[], uint64_t timeout_ns, bool alone,
		struct child **out, struct error *err);
/** child_end() - wait for its end, as child_run() returns it; @c is gone */
int child_end(struct child *c, struct child_result *r, struct error *err);

/* kits.c: programs */

/**
 * struct kit - an installed target program, or a wrapper that hands its arguments on to one
 * @version: what `--version` says, first line
 * @kind: "engine", "spdk"
 * @stable: its release is none of -pre, -rc, git
 */
struct kit {
	char path[PATH_MAX];
	char version[160];
	const char *kind;
	unsigned int release[3];
	bool stable;
	int64_t mtime;
};

/**
 * struct kit_options - options of a real SPDK that not each release or build has
 * @socket_folder: -S, where it makes vhost-user sockets
 */
struct kit_options {
	bool no_huge, huge_unlink, no_pci, pci_allowed, pci_whitelist, disable_cpumask_locks,
		limit_coredump;
	bool socket_folder;
};

struct kits_search;

/**
 * kits_begin() - look for all target programs of the node, and ask each for its version
 * @limit_ns: of all of them together
 *
 * Return: for kits_end(), NULL when memory is short.
 */
struct kits_search *kits_begin(struct driver *d, uint64_t limit_ns);
/**
 * kits_end() - wait for what they tell, newest first
 * @s: gone afterwards; NULL is fine
 * @out: array to be freed by the caller
 * @silent: array to which the path of each is added that did not end in time; NULL: not wanted
 * @unsafe: of each that was not run, because the caller is root and others may change it
 * @why: why some could not be asked for want of descriptors or such; NULL: not wanted
 *
 * Return: how many, or -ENOMEM.
 */
ssize_t kits_end(struct kits_search *s, struct kit **out, json_t *silent, json_t *unsafe,
		 struct error *why);
/** kit_ask() - the kit at @path; -ENOENT, -EACCES, -ENOEXEC with @err when it is none */
int kit_ask(struct driver *d, const char *path, struct kit *out, struct error *err);
/** kit_read_version() - kind, release, stable of what `--version` said */
void kit_read_version(const char *version, struct kit *out);
/**
 * kit_newest() - the newest stable kit that is installed
 * @kind: "engine" or "spdk"; NULL: the engine before others
 *
 * Return: 0; -ENOENT with words that name the pre-releases that were passed over.
 */
int kit_newest(struct driver *d, const char *kind, struct kit *out, struct error *err);
/** kit_options() - ask a kit's `--help` */
int kit_options(struct driver *d, const struct kit *kit, struct kit_options *out,
		struct error *err);
/** helper_find() - one of our own programs; -ENOENT names where it was looked for */
int helper_find(const char *name, char path[static PATH_MAX], struct error *err);

/* target.c: the process */

/** struct target_paths - the files of one accelerator's target, below the state directory */
struct target_paths {
	char dir[PATH_MAX];
	char sock[PATH_MAX];
	char config[PATH_MAX];
	char log[PATH_MAX];
	char pidfile[PATH_MAX];
	char history[PATH_MAX];
};

int target_paths(const struct driver *d, const char *id, struct target_paths *out,
		 struct error *err);
/** target_pids() - of supervisor and target, 0 when that one does not run */
void target_pids(const struct driver *d, const char *id, pid_t *supervisor, pid_t *target);
/** target_history() - what the supervisor noted of starts and ends, new reference; NULL for nothing
 */
json_t *target_history(const struct driver *d, const char *id);
/** target_make_folder() - for its files */
int target_make_folder(const struct driver *d, const char *dir, struct error *err);
/** target_start() - 0 when it runs already; waits until it answers */
int target_start(struct driver *d, const struct accelerator *a, struct error *err);
/** target_stop() - drain and stop supervisor and target; 0 when they do not run */
int target_stop(struct driver *d, const struct accelerator *a, struct error *err);
/** target_connect() - to a running target, initialised; -EHOSTDOWN when it does not run */
int target_connect(struct driver *d, const struct accelerator *a, struct client **out,
		   struct error *err);
/** target_connect_within() - the same, where an answer may take so long; 0: as usual */
int target_connect_within(struct driver *d, const struct accelerator *a, uint64_t timeout_ns,
			  struct client **out, struct error *err);
/**
 * target_tell_end() - of a target that hung up or listens no more: how its process ended
 * @before: how often it had been started again when the waiting for it began
 * @keeps_log: the log stays, and is named
 * @rc: returned; @err gets the words when it is -EHOSTDOWN or -ECONNRESET
 */
int target_tell_end(struct driver *d, const struct accelerator *a, uint64_t before, bool keeps_log,
		    int rc, struct error *err);
/** target_ensure() - start it when it is down, connect, bring back what is recorded */
int target_ensure(struct driver *d, const struct accelerator *a, struct client **out,
		  struct error *err);
/** target_remove_files() - its folder with all in it */
int target_remove_files(struct driver *d, const char *id, struct error *err);

/* service.c: who keeps the target alive */

bool service_is_systemd(const struct driver *d);
/**
 * service_unit() - the systemd unit of an accelerator's supervisor
 * @argv: of the supervisor; ends with NULL
 */
void service_unit(FILE *f, const struct driver *d, const struct accelerator *a,
		  const struct environment *e, char *const argv[]);
/** service_boot_unit() - what starts at boot one that needs more of the node; @program: ours */
void service_boot_unit(FILE *f, const struct driver *d, const struct accelerator *a,
		       const char *program);
int service_start(struct driver *d, const struct accelerator *a, const struct target_paths *p,
		  struct error *err);
int service_stop(struct driver *d, const struct accelerator *a, const struct target_paths *p,
		 struct error *err);
/**
 * service_start_trial() - a daemon beside the systemd units, for a target that is only looked at
 * @of_node: what it is told of its memory, one argument a line
 */
int service_start_trial(struct driver *d, const struct accelerator *a, const struct target_paths *p,
			const char *of_node, struct error *err);
int service_stop_trial(struct driver *d, const char *id, struct error *err);
/** service_forget() - remove the unit files; 0 when there are none */
int service_forget(struct driver *d, const char *id, struct error *err);

/* orphans.c */

/** orphans_end() - end what a supervisor that was killed left of its target; 0 for nothing */
int orphans_end(struct driver *d, const struct target_paths *p, struct error *err);

/* config.c: the saved configuration */

/** config_save() - write what the target has now, whole or not at all */
int config_save(struct client *c, const char *path, struct error *err);
/** config_take() - what the target would save, subsystem by subsystem; @out is a new reference */
int config_take(struct client *c, json_t **out, struct error *err);
/**
 * config_replay() - tell a running target all that the file has
 *
 * What it refuses, because it has that already, say, is passed over.
 */
int config_replay(struct client *c, const char *path, struct error *err);
/** config_write() - whole or not at all, also over a power cut */
int config_write(const char *path, json_t *config, struct error *err);
/** config_put_aside() - rename one that is no JSON, which no target starts with */
int config_put_aside(const char *path, struct error *err);
/**
 * config_drop() - take out of the file every entry with one of @names as its subsystem, controller
 * or name; 0 when there is none
 * @names: ends with NULL
 */
int config_drop(const char *path, const char *const *names, struct error *err);

/* config_translate.c: the same, for another target */

/**
 * config_translate() - the configuration at @path, for the target behind @c
 * @c: a target that serves nothing yet, and is stopped afterwards
 * @older: than the target that saved it
 * @out: new reference
 *
 * What that target calls otherwise is renamed, options that it has not are left out, also single
 * members where it is older. -ENOSYS, with words that name them, when it lacks methods
 * that make something.
 */
int config_translate(struct client *c, const char *path, bool older, json_t **out,
		     struct error *err);

/* view.c: what a target has now */

/**
 * struct view - one look at a target, all questions asked at once
 * @stores, @controllers (vhost), @keys: empty where the target has no such method
 */
struct view {
	json_t *bdevs, *transports, *subsystems, *stores, *controllers, *keys;
};

/** view_take() - 0 and view_fini() later, or a negative errno and nothing to give back */
int view_take(struct client *c, struct view *out, struct error *err);
void view_fini(struct view *v);
/** view_by() - the object of an array whose member @name is the text @value; NULL */
json_t *view_by(const json_t *list, const char *name, const char *value);
/** view_text() - a text member; "" when there is none */
const char *view_text(const json_t *o, const char *name);
/** view_bdev() - by name or alias */
json_t *view_bdev(const json_t *bdevs, const char *name);
/** view_bdev_size() - bytes */
uint64_t view_bdev_size(const json_t *bdev);
/** view_bdev_writes() - a host may write to it */
bool view_bdev_writes(const json_t *bdev);
/** need_method() - -ENOSYS naming @what where the target has no @method */
int need_method(struct client *c, const char *method, const char *what, struct error *err);

/* backing.c: the accelerator's own bdev and its store */

/** export_backing() - the accelerator's bdev and the TCP transport exist, the store is loaded */
int export_backing(struct client *c, const struct accelerator *a, struct error *err);
/** backing_look() - a file or device is where it was, and a file as large */
int backing_look(const struct accelerator *a, struct error *err);
/** backing_drift() - append to @list a text for each thing of the bdev and store that is wrong */
void backing_drift(const struct view *v, const struct accelerator *a, json_t *list);
/**
 * backing_clear_store() - zero super block and metadata of a Blobstore; 0 when there is none
 *
 * A PCI function has no path here: function_clear() does it.
 */
int backing_clear_store(const struct accelerator *a, struct error *err);
/** backing_wipe() - zero all of it, with progress; the target is down */
int backing_wipe(struct driver *d, const struct accelerator *a, struct error *err);

/* store.c: a store on the backing */

/** struct store_found - what is on a backing that no target has open */
struct store_found {
	char name[STATE_STORE_SIZE];
	char uuid[UUID_TEXT_SIZE];
	json_t *volumes; /* names */
};

/** store_inspect() - -ENOENT when it holds no store of volumes that can be used as it is */
int store_inspect(struct driver *d, const char *path, struct store_found *out, struct error *err);
/**
 * store_ensure() - make @a->store, or take the one that is there; fills its UUID and cluster size
 * @clear: how space is cleared: "none", "unmap", "write_zeroes", or NULL
 */
int store_ensure(struct client *c, struct accelerator *a, const char *clear, struct error *err);
/**
 * store_wait() - wait for what the target finds on a bdev, which goes on behind the bdev's creation
 * @until_ns: 0 at first; kept between calls
 *
 * SPDK since 21.01 can be asked to wait until all is found. Before, only looking again and again
 * tells, for a few seconds.
 *
 * Return: 1 to look again, 0 when nothing more will come, or a negative errno.
 */
int store_wait(struct client *c, uint64_t *until_ns, struct error *err);
/**
 * store_look() - the store whose @member has @value
 * @expected: wait for it where the target cannot say that it looked at all bdevs
 * @out: new reference; NULL when there is none
 */
int store_look(struct client *c, const char *member, const char *value, bool expected, json_t **out,
	       struct error *err);
/** store_volumes() - names of the volumes of a store, new array */
json_t *store_volumes(const json_t *bdevs, const struct accelerator *a);

/* volume.c: volumes of a store */

/** volume_alias() - "STORE/VOLUME" */
void volume_alias(const struct accelerator *acc, const char *volume,
		  char out[static STATE_STORE_SIZE + STATE_VOLUME_SIZE]);
/**
 * volume_make() - as the attachment's source says, @a->size being the size that is wanted; 0 when
 * it is there; fills bdev, size and identity
 */
int volume_make(struct client *c, const struct accelerator *acc, struct attachment *a, bool thick,
		struct error *err);
/** volume_delete() - 0 also when there is none */
int volume_delete(struct client *c, const struct accelerator *acc, const struct attachment *a,
		  struct error *err);
/** volume_unit() - sizes of volumes are multiples of this */
uint64_t volume_unit(const struct accelerator *acc);
/** attachment_identity() - UUID, NGUID and serial number that follow from the data's UUID */
void attachment_identity(struct attachment *a, const char *uuid);
/** volume_is_ours() - attach made the volume and no host could write to it: detach deletes it */
bool volume_is_ours(const struct attachment *a);

/* rbd.c: images of a Ceph cluster */

/**
 * rbd_reach() - the cluster lets the accelerator's user in, and the image (NULL: none) can be read
 *
 * Asked from here, under a time limit. Return: 0, also where librbd is not installed here;
 * -ETIMEDOUT, -EACCES, -ENOENT and what else Ceph says.
 */
int rbd_reach(struct driver *d, const struct accelerator *acc, const char *image,
	      struct error *err);
/** rbd_drift() - the same for who may lack the user's keyring: what is wrong in any case */
int rbd_drift(struct driver *d, const struct accelerator *acc, const char *image,
	      struct error *err);
/**
 * rbd_unused() - nobody has the image open for writing, or locked it
 * @own: how many of those that have it open are our own target
 */
int rbd_unused(struct driver *d, const struct accelerator *acc, const struct attachment *a,
	       size_t own, struct error *err);
/** rbd_amend_config() - what SPDK forgets to save: clusters, which one an image is of, read-only */
int rbd_amend_config(struct client *c, json_t *subsystems, struct error *err);
/** rbd_create() - the bdev @a->bdev on the image @a->volume */
int rbd_create(struct client *c, const struct accelerator *acc, const struct attachment *a,
	       struct error *err);
/** rbd_remove() - 0 also when there is none */
int rbd_remove(struct client *c, const struct view *v, const struct attachment *a,
	       struct error *err);
/** rbd_check() - "POOL/IMAGE" in characters that Ceph takes */
int rbd_check(const char *image, struct error *err);

/* qos.c: limits */

bool qos_is_set(const struct qos *q);
bool qos_equal(const struct qos *a, const struct qos *b);
/** qos_request() - the request's "qos" object, checked; IOPS are rounded up to thousands */
int qos_request(const json_t *request, struct qos *out, struct error *err);
/** qos_ensure() - the bdev has these limits and no others */
int qos_ensure(struct client *c, const json_t *bdev, const struct qos *q, struct error *err);
/** qos_of() - what the bdev has */
void qos_of(const json_t *bdev, struct qos *out);
json_t *qos_json(const struct qos *q);

/* keys.c: what a host proves itself with */

/** keys_request() - the files exist, nobody else may read them, they hold keys of that kind */
int keys_request(const json_t *request, struct attachment *a, struct error *err);
bool keys_are_set(const struct attachment *a);
/** keys_ensure() - the target's keyring has them */
int keys_ensure(struct client *c, const struct view *v, const struct attachment *a,
		struct error *err);
/** keys_host() - members that nvmf_subsystem_add_host wants for them, added to @params */
void keys_host(struct client *c, const struct attachment *a, json_t *params);
/** keys_are_named() - a host of nvmf_get_subsystems has these DH-HMAC-CHAP keys and no others */
bool keys_are_named(const struct attachment *a, const json_t *host);
/** keys_drift() - append to @list a text for each that the keyring has lost */
void keys_drift(const struct view *v, const struct attachment *a, json_t *list);
/** keys_remove() - out of the keyring; 0 when they are not in it */
int keys_remove(struct client *c, const struct view *v, const struct attachment *a,
		struct error *err);

/* tls.c */

/**
 * tls_look() - when one of @list is over TLS, ask what else tells of it
 *
 * Listeners of @v get "secure_channel" by it, hosts the name of their "psk".
 */
int tls_look(struct client *c, struct view *v, const struct attachment *list, size_t n,
	     struct error *err);

/* export.c: what a target shows */

/** export_ensure() - the attachment is shown as recorded: no more hosts, no other namespace */
int export_ensure(struct client *c, const struct accelerator *acc, const struct attachment *a,
		  struct error *err);
/** export_remove() - 0 also when there is no such export */
int export_remove(struct client *c, const struct attachment *a, struct error *err);
/** export_drop() - take it out of the configuration at a path */
int export_drop(const char *config, const struct attachment *a, struct error *err);
/** export_forget() - take it out of the saved configuration */
int export_forget(struct driver *d, const struct accelerator *acc, const struct attachment *a,
		  struct error *err);
/** export_hosts() - how many controllers hosts have now; or a negative errno */
int export_hosts(struct client *c, const struct attachment *a, struct error *err);

/* export_vhost.c: the same for vhost-user-blk */

int vhost_ensure(struct client *c, const struct view *v, const struct attachment *a,
		 struct error *err);
/** vhost_remove() - -EBUSY while a machine has it open */
int vhost_remove(struct client *c, const struct view *v, const struct attachment *a,
		 struct error *err);
#define VHOST_NAME_SIZE 48
#define VHOST_PREFIX	"cs-"

/** vhost_name() - of the controller */
void vhost_name(const struct attachment *a, char out[static VHOST_NAME_SIZE]);
/** vhost_sessions() - how many machines have it open; -ENOSYS where that is not told */
int vhost_sessions(const struct view *v, const struct attachment *a, struct error *err);
/** vhost_socket() - where the target listens; fills @a->socket */
int vhost_socket(struct driver *d, struct client *c, struct attachment *a, struct error *err);
/** vhost_socket_again() - vhost_socket(), and record it where it is another one now */
int vhost_socket_again(struct driver *d, struct client *c, struct attachment *a, struct error *err);
/** vhost_drift() - of its controller, as export_drift() */
void vhost_drift(const struct view *v, const struct attachment *a, json_t *list);
/**
 * vhost_cut_off() - take a disk from a machine that has it open: restart the target without it
 *
 * It is in the saved configuration no more. Return: 0; -EBUSY when others are attached, whom that
 * would disturb; what a start of the target says.
 */
int vhost_cut_off(struct driver *d, const struct accelerator *acc, const struct attachment *a,
		  struct error *err);

/* drift.c */

/** export_drift() - append to @list a text for each thing of an attachment that is not as recorded
 */
void export_drift(const struct view *v, const struct attachment *a, json_t *list);

/* proof.c */

/** proof_run() - connect as the host, identify the namespace, compare; only then 0 */
int proof_run(struct driver *d, const struct attachment *a, struct error *err);

/* wipe.c */

/** wipe_run() - write zeroes to all of it through the target, with progress; it is not exported */
int wipe_run(struct driver *d, struct client *c, const struct accelerator *acc,
	     const struct attachment *a, struct error *err);
/** wipe_look() - whether it reads as zeroes at both ends and in samples between; not exported */
int wipe_look(struct driver *d, struct client *c, const struct accelerator *acc,
	      const struct attachment *a, bool *empty, struct error *err);

/* vhost_user.c: the front-end's side of a negotiation */

/** struct vhost_seen - what a vhost-user-blk device tells */
struct vhost_seen {
	uint64_t bytes;
	bool read_only;
};

/**
 * vhost_user_ask() - negotiate with the back-end at @path and read its configuration
 * @patience_ns: within which all of it must have happened, whatever the back-end does
 */
int vhost_user_ask(const char *path, uint64_t patience_ns, struct vhost_seen *out,
		   struct error *err);

/* preflight.c */

/**
 * preflight_run() - a kit starts beside the target that it is to replace, and can do all that needs
 * @a: the row with the new kit in it
 * @of_node: what the target is told of its memory, one argument a line
 * @config: the configuration that the old target saved; @next: where to put it for the new one
 */
int preflight_run(struct driver *d, const struct accelerator *a, const char *of_node,
		  const char *config, const char *next, struct error *err);
/** preflight_clean() - what an interrupted one left; 0 when there is nothing */
int preflight_clean(struct driver *d, struct error *err);

/* answer.c */

json_t *accelerator_json(const struct accelerator *a);
/** accelerator_from() / attachment_from() - what accelerator_json(), attachment_json() wrote */
void accelerator_from(const json_t *o, struct accelerator *out);
void attachment_from(const json_t *o, struct attachment *out);
/** attachment_json() - what is recorded */
json_t *attachment_json(const struct attachment *a);
/** attachment_connection() - in os-brick's form for its NVMe-oF connector */
json_t *attachment_connection(const struct attachment *a);
/**
 * attachment_command() - the command line that connects a Linux host, or QEMU's for vhost-user, fit
 * for a shell; new reference
 */
json_t *attachment_command(const struct attachment *a);

#endif
