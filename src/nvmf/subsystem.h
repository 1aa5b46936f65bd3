/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subsystems, namespaces, hosts and listeners as the files of this room share them.
 *
 * Threading: reactor 0 owns them. Each reactor has a struct nvmf_subsystem_part of its own with a
 * struct nvmf_ns_part for each namespace, which alone is used on the I/O path. What of struct
 * nvmf_subsystem and struct nvmf_ns is marked constant may be read by every reactor while the
 * subsystem, or the part of the namespace, exists there.
 */
#ifndef NVMF_SUBSYSTEM_H
#define NVMF_SUBSYSTEM_H

#include "bdev/bdev.h"
#include "nvmf/target.h"

#define NVMF_DEFAULT_MODEL	"SPDK bdev Controller"
#define NVMF_DEFAULT_SERIAL	"00000000000000000000"
#define NVMF_DEFAULT_NAMESPACES 32u
#define NVMF_MAX_NAMESPACES	65536u
#define NVMF_MIN_CNTLID		1u
#define NVMF_MAX_CNTLID		0xffefu
#define NVMF_DEFAULT_DMRSL	2097152u
#define NVMF_DEFAULT_WZSL	12u

/* Who sees a namespace that is not visible to all: told to the reactors as a whole, never changed.
 */
struct nvmf_ns_hosts {
	uint32_t count;
	char nqn[][NVME_NQN_FIELD];
};

/**
 * struct nvmf_ns - a namespace
 *
 * Constant: @nsid, @bdev_name, the ids, @block_size, @block_shift, what the bdev can.
 */
struct nvmf_ns {
	struct nvmf_subsystem *subsystem;
	uint32_t nsid;
	char *bdev_name;
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct uuid uuid;
	bool has_eui64;
	char *ptpl_file;
	uint32_t anagrpid;
	bool no_auto_visible;
	bool hide_metadata;
	uint32_t block_size;
	uint8_t block_shift;
	uint32_t optimal_boundary;
	bool write_cache, unmaps, unmap_zeroes;

	struct bdev_desc *desc;
	struct nvmf_ns_hosts *visible; /* NULL: to all */
	struct nvmf_op *remove_op;     /* made with the namespace: removal must not fail */
	bool hot_removed, hot_resized; /* @remove_op or a resize is on its way */
};

struct nvmf_ns_part {
	const struct nvmf_ns *ns;
	struct bdev_channel *channel;
	uint64_t blocks;
	uint32_t outstanding;
	bool removed; /* new commands are refused; only drained for */
	const struct nvmf_ns_hosts *visible;
	struct nvmf_tell_part *drain; /* answered when nothing is outstanding */
};

struct nvmf_subsystem_part {
	struct nvmf_ns_part **ns; /* by NSID - 1 */
	uint32_t count;
} __attribute__((aligned(64)));

struct nvmf_psk;

/** struct nvmf_dhchap - keys of a host, in memory for secrets; @ctrlr may have none */
struct nvmf_dhchap {
	struct key host, ctrlr;
};

/**
 * struct nvmf_host
 * @psk: NULL: it cannot come over TLS
 * @dhchap: NULL: it need not authenticate
 * @psk_name, @dhchap_name, @ctrlr_name: of keys, as they were named
 */
struct nvmf_host {
	char nqn[NVME_NQN_FIELD];
	struct nvmf_psk *psk;
	struct nvmf_dhchap *dhchap;
	char *psk_name, *dhchap_name, *ctrlr_name;
	TAILQ_ENTRY(nvmf_host) link;
};

struct nvmf_listener {
	struct nvmf_socket *socket;
	char adrfam[8];
	char traddr[NVMF_TRADDR_MAX];
	char trsvcid[NVMF_TRSVCID_MAX];
	char ana_state[16];
	bool secure_channel;
	TAILQ_ENTRY(nvmf_listener) link;
};

/**
 * struct nvmf_subsystem
 *
 * Constant: @tgt, @nqn, @is_discovery, @serial, @model, @max_namespaces, @dmrsl, @wzsl, @crdt,
 * @parts (the array).
 */
struct nvmf_subsystem {
	struct nvmf_target *tgt;
	char nqn[NVME_NQN_FIELD];
	bool is_discovery;
	char serial[NVME_SERIAL_BYTES + 1];
	char model[NVME_MODEL_BYTES + 1];
	uint32_t max_namespaces;
	uint32_t dmrsl;
	uint8_t wzsl;
	uint16_t crdt[3];
	bool allow_any_host, ana_reporting;
	uint16_t min_cntlid, max_cntlid, next_cntlid;
	bool deleting;

	struct nvmf_ns **ns; /* by NSID - 1, grown as needed */
	uint32_t ns_slots;
	TAILQ_HEAD(nvmf_hosts, nvmf_host) hosts;	     /* newest first */
	TAILQ_HEAD(nvmf_listeners, nvmf_listener) listeners; /* newest first */
	TAILQ_HEAD(, nvmf_ctrlr) ctrlrs;
	uint32_t ctrlr_count;

	STAILQ_HEAD(, nvmf_op) ops;
	struct reactor_msg ops_msg;
	TAILQ_ENTRY(nvmf_subsystem) link;
	struct nvmf_subsystem_part *parts; /* of each reactor */
};

/* --- changes, one at a time -------------------------------------------------------------------
 */

/**
 * struct nvmf_op - a change of a subsystem
 * @start: begins it when those before are done; ends with nvmf_op_finish()
 */
struct nvmf_op {
	struct nvmf_subsystem *s;
	void (*start)(struct nvmf_op *op);
	nvmf_done *done;
	nvmf_ns_added *added;
	void *arg;
	int result;
	struct error err;
	STAILQ_ENTRY(nvmf_op) link;

	struct nvmf_ns *ns;
	uint32_t nsid;
	struct nvmf_ns_hosts *hosts; /* the new, then the old ones */
	char host[NVME_NQN_FIELD];
	uint64_t blocks;
	struct nvmf_listener *listener;
	struct net_addr addr;
	struct nvmf_close_wait wait;
	bool allow;
	struct nvmf_tell tell; /* last: its parts follow */
};

/** nvmf_op_create() - NULL when memory is short */
struct nvmf_op *nvmf_op_create(struct nvmf_subsystem *s, void (*start)(struct nvmf_op *op),
			       nvmf_done *done, void *arg);
/** nvmf_op_submit() - start when those before are done, never inside this call */
void nvmf_op_submit(struct nvmf_op *op);
/** nvmf_op_finish() - tell the caller, free @op, start the next */
void nvmf_op_finish(struct nvmf_op *op, int result);
void nvmf_op_free(struct nvmf_op *op);
/** nvmf_answer_later() - tell @done a refusal, later, without an op */
void nvmf_answer_later(nvmf_done *done, void *arg, int result, const struct error *err);

/* --- look-ups ---------------------------------------------------------------------------------
 */

/** nvmf_subsystem_check_new() - -EINVAL naming what is wrong in the options */
int nvmf_subsystem_check_new(const char *nqn, const struct nvmf_subsystem_options *opts,
			     struct error *err);
bool nvmf_host_is_allowed(const struct nvmf_subsystem *s, const char *hostnqn);
/** nvmf_host_proved() - the key of @identity, which TLS proved, is this host's and subsystem's */
bool nvmf_host_proved(const struct nvmf_subsystem *s, const char *hostnqn, const char *identity);
struct nvmf_host *nvmf_host_find(const struct nvmf_subsystem *s, const char *hostnqn);
/** nvmf_host_set_dhchap() - in place of the keys that it had; none for a @opts without */
int nvmf_host_set_dhchap(struct nvmf_host *host, const struct nvmf_dhchap_options *opts,
			 struct error *err);
/** nvmf_host_must_authenticate() - DH-HMAC-CHAP comes before the first command of a queue */
bool nvmf_host_must_authenticate(const struct nvmf_subsystem *s, const char *hostnqn);
/** nvmf_host_put_dhchap() - members that name its keys, added to @object */
void nvmf_host_put_dhchap(const struct nvmf_host *host, json_t *object);
/** nvmf_host_free() - not in the list any more */
void nvmf_host_free(struct nvmf_subsystem *s, struct nvmf_host *host);
struct nvmf_listener *nvmf_listener_of(const struct nvmf_subsystem *s,
				       const struct nvmf_socket *socket);
struct nvmf_ns *nvmf_ns_find(const struct nvmf_subsystem *s, uint32_t nsid);
/** nvmf_ns_free() - not in the subsystem any more, no part left */
void nvmf_ns_free(struct nvmf_ns *ns);
/** nvmf_ns_detach() - on each reactor, all connections gone: put the channels of all namespaces */
void nvmf_ns_detach_all(struct nvmf_subsystem_part *part);

/** nvmf_ns_sees() - may the host see the namespace; on the part's reactor */
bool nvmf_ns_sees(const struct nvmf_ns_part *ns, const char *hostnqn);

/* Matches of nvmf_close_wait: subject is a subsystem. */
bool nvmf_match_subsystem(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn);
bool nvmf_match_host(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn);
bool nvmf_match_not_allowed(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn);
bool nvmf_match_listener(const struct nvmf_close_wait *wait, const struct nvmf_conn *conn);

#endif
