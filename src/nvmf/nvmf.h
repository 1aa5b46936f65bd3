/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NVMe-oF target as those see it who configure it: target, transports, subsystems, namespaces,
 * hosts, listeners.
 *
 * Threading: everything here on reactor 0. What changes something that other reactors use completes
 * later, when all of them know; changes of one subsystem that are asked for while one is under way
 * are done in order.
 */
#ifndef NVMF_NVMF_H
#define NVMF_NVMF_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/error.h"
#include "base/key_file.h"
#include "base/uuid.h"
#include "net/net.h"
#include "nvme/spec.h"

struct nvmf_target;
struct nvmf_subsystem;

/**
 * nvmf_done - how an asynchronous change ended; called once, later
 * @result: 0, or a negative errno with @err filled
 */
typedef void nvmf_done(void *arg, int result, const struct error *err);

/* --- target ---------------------------------------------------------------------------------- */

/**
 * struct nvmf_target_options - of a target
 * @max_subsystems: 0 for the default (1024)
 * @discovery_filter: bits of NVMF_FILTER_*
 * @dhchap_hashes, @dhchap_groups: that hosts may authenticate with, a bit for each identifier
 */
#define NVMF_FILTER_TRTYPE  1u
#define NVMF_FILTER_TRADDR  2u
#define NVMF_FILTER_TRSVCID 4u
struct nvmf_target_options {
	uint32_t max_subsystems;
	uint32_t discovery_filter;
	uint32_t crdt[3];
	uint32_t dhchap_hashes, dhchap_groups;
};

/** nvmf_target_options_init() - the defaults */
void nvmf_target_options_init(struct nvmf_target_options *opts);

/**
 * nvmf_target_create() - a target with its discovery subsystem
 * @name: "nvmf_tgt" is the default target's
 */
int nvmf_target_create(const char *name, const struct nvmf_target_options *opts,
		       struct nvmf_target **tgt, struct error *err);
/** nvmf_target_destroy() - all connections, subsystems and listeners go */
void nvmf_target_destroy(struct nvmf_target *tgt, nvmf_done *done, void *arg);
/** nvmf_target_find() - NULL finds the default target */
struct nvmf_target *nvmf_target_find(const char *name);
struct nvmf_target *nvmf_target_first(void);
struct nvmf_target *nvmf_target_next(const struct nvmf_target *tgt);
const char *nvmf_target_name(const struct nvmf_target *tgt);
struct nvmf_target_options *nvmf_target_options(struct nvmf_target *tgt);

/**
 * nvmf_target_drain() - for leaving: stop to accept, let commands in flight finish, tell hosts,
 * close
 * @timeout_ms: after it what is still there is aborted
 */
void nvmf_target_drain(struct nvmf_target *tgt, uint32_t timeout_ms, nvmf_done *done, void *arg);

/* --- transports --------------------------------------------------------------------------------
 */

/**
 * struct nvmf_transport_options - with SPDK's defaults (see nvmf_transport_options_init())
 * @max_queue_depth: entries of a queue
 * @max_io_qpairs: of one controller
 * @in_capsule_data_size, @max_io_size: bytes
 * @max_connections: of the transport; more are refused with a reason
 */
struct nvmf_transport_options {
	uint32_t max_queue_depth;
	uint32_t max_io_qpairs;
	uint32_t in_capsule_data_size;
	uint32_t max_io_size;
	uint32_t io_unit_size;
	uint32_t max_aq_depth;
	uint32_t num_shared_buffers;
	uint32_t buf_cache_size;
	uint32_t abort_timeout_sec;
	uint32_t acceptor_backlog;
	uint32_t sock_priority;
	uint32_t control_msg_num;
	uint32_t max_connections;
	uint32_t kas;	   /* keep-alive granularity as Identify says it, 100 ms */
	uint32_t min_kato; /* ms */
	bool c2h_success;
	bool zcopy;
	bool dif_insert_or_strip;
};

void nvmf_transport_options_init(struct nvmf_transport_options *opts);
/** nvmf_transport_create() - "TCP" in any case; -EEXIST, -EINVAL naming the option and its range */
int nvmf_transport_create(struct nvmf_target *tgt, const char *trtype,
			  const struct nvmf_transport_options *opts, struct error *err);
/** nvmf_transport_to_json() - the objects of nvmf_get_transports; NULL trtype for all */
json_t *nvmf_transports_to_json(const struct nvmf_target *tgt, const char *trtype);

/* --- subsystems --------------------------------------------------------------------------------
 */

/**
 * struct nvmf_subsystem_options - of a new subsystem
 * @serial, @model: ASCII, at most 20 and 40 characters; NULL for the defaults
 * @max_namespaces: highest NSID; 0 for the default (32)
 * @max_discard_kib, @max_write_zeroes_kib: 0 for the default
 * @dmrsl, @wzsl: the same as Identify says them (blocks of 512 bytes; 4 KiB << wzsl); 0: from the
 *                former
 */
struct nvmf_subsystem_options {
	const char *serial;
	const char *model;
	uint32_t max_namespaces;
	bool allow_any_host;
	bool ana_reporting;
	uint16_t min_cntlid;
	uint16_t max_cntlid;
	uint64_t max_discard_kib;
	uint64_t max_write_zeroes_kib;
	uint32_t dmrsl;
	uint8_t wzsl;
};

/** nvmf_nqn_check() - -EINVAL with @err naming what is wrong (Base 2.0, 4.5) */
int nvmf_nqn_check(const char *nqn, struct error *err);

void nvmf_subsystem_options_init(struct nvmf_subsystem_options *opts);
int nvmf_subsystem_create(struct nvmf_target *tgt, const char *nqn,
			  const struct nvmf_subsystem_options *opts,
			  struct nvmf_subsystem **subsystem, struct error *err);
/** nvmf_subsystem_delete() - connections are closed first; later changes of it are refused at once
 */
void nvmf_subsystem_delete(struct nvmf_subsystem *s, nvmf_done *done, void *arg);
struct nvmf_subsystem *nvmf_subsystem_find(const struct nvmf_target *tgt, const char *nqn);
struct nvmf_subsystem *nvmf_subsystem_first(const struct nvmf_target *tgt);
struct nvmf_subsystem *nvmf_subsystem_next(const struct nvmf_subsystem *s);
const char *nvmf_subsystem_nqn(const struct nvmf_subsystem *s);

/**
 * struct nvmf_ns_options - of a namespace to add
 * @bdev_name: name, alias or UUID
 * @nsid: 0 for the lowest free one
 * @nguid, @eui64, @uuid: all zero for none given (the bdev's UUID is used)
 */
struct nvmf_ns_options {
	const char *bdev_name;
	uint32_t nsid;
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct uuid uuid;
	const char *ptpl_file;
	uint32_t anagrpid;
	bool no_auto_visible;
	bool hide_metadata;
};

typedef void nvmf_ns_added(void *arg, int result, uint32_t nsid, const struct error *err);
void nvmf_subsystem_add_ns(struct nvmf_subsystem *s, const struct nvmf_ns_options *opts,
			   nvmf_ns_added *done, void *arg);
void nvmf_subsystem_remove_ns(struct nvmf_subsystem *s, uint32_t nsid, nvmf_done *done, void *arg);

/* Visibility of a namespace that was added with no_auto_visible. */
void nvmf_ns_allow_host(struct nvmf_subsystem *s, uint32_t nsid, const char *host, bool allow,
			nvmf_done *done, void *arg);

/**
 * struct nvmf_dhchap_options - keys of DH-HMAC-CHAP
 * @key: the host proves itself by it on each queue; NULL: it need not
 * @ctrlr_key: with this one the controller does, to a host that asks; NULL: it cannot
 * @name, @ctrlr_name: what the keys are called in a saved configuration
 */
struct nvmf_dhchap_options {
	const struct key *key, *ctrlr_key;
	const char *name, *ctrlr_name;
};

/**
 * struct nvmf_host_options - how a host proves itself
 * @psk: by TLS with this pre-shared key; NULL: it cannot use a secure listener
 * @psk_name: what the key is called in a saved configuration
 */
struct nvmf_host_options {
	const struct key *psk;
	const char *psk_name;
	struct nvmf_dhchap_options dhchap;
};

int nvmf_subsystem_add_host(struct nvmf_subsystem *s, const char *host,
			    const struct nvmf_host_options *opts, struct error *err);
/**
 * nvmf_subsystem_set_keys() - other keys, or none, for authentications from now on; connections
 * stay
 *
 * Return: 0; -EINVAL for a host that is not in the list and for a controller's key alone, -ENOMEM,
 * -ENODEV, with @err.
 */
int nvmf_subsystem_set_keys(struct nvmf_subsystem *s, const char *host,
			    const struct nvmf_dhchap_options *opts, struct error *err);
/** nvmf_subsystem_remove_host() - the host's connections are closed before @done */
void nvmf_subsystem_remove_host(struct nvmf_subsystem *s, const char *host, nvmf_done *done,
				void *arg);
void nvmf_subsystem_allow_any_host(struct nvmf_subsystem *s, bool allow);

/**
 * struct nvmf_listen_options - an address to listen on
 * @trtype: "TCP"; @adrfam: "IPv4", "IPv6" or NULL (from the address); @traddr: numeric;
 * @trsvcid: port; "0" is refused
 */
struct nvmf_listen_options {
	const char *trtype;
	const char *adrfam;
	const char *traddr;
	const char *trsvcid;
	bool secure_channel;
	const char *ana_state; /* NULL: optimized */
};

/** nvmf_subsystem_add_listener() - subsystems share the socket of an address */
void nvmf_subsystem_add_listener(struct nvmf_subsystem *s, const struct nvmf_listen_options *opts,
				 nvmf_done *done, void *arg);
/** nvmf_subsystem_remove_listener() - connections made through it are closed */
void nvmf_subsystem_remove_listener(struct nvmf_subsystem *s,
				    const struct nvmf_listen_options *opts, nvmf_done *done,
				    void *arg);

/* --- referrals ----------------------------------------------------------------------------------
 */

int nvmf_referral_add(struct nvmf_target *tgt, const struct nvmf_listen_options *where,
		      const char *subnqn, struct error *err);
int nvmf_referral_remove(struct nvmf_target *tgt, const struct nvmf_listen_options *where,
			 const char *subnqn, struct error *err);
json_t *nvmf_referrals_to_json(const struct nvmf_target *tgt);

/* --- what there is
 * -------------------------------------------------------------------------------- */

/** nvmf_subsystem_to_json() - the object of nvmf_get_subsystems; a new reference */
json_t *nvmf_subsystem_to_json(const struct nvmf_subsystem *s);
json_t *nvmf_subsystem_listeners_to_json(const struct nvmf_subsystem *s);

/** nvmf_*_get() - gathered from all reactors; @json is a new reference */
typedef void nvmf_json_done(void *arg, json_t *json);
void nvmf_subsystem_controllers_get(struct nvmf_subsystem *s, nvmf_json_done *done, void *arg);
void nvmf_subsystem_qpairs_get(struct nvmf_subsystem *s, nvmf_json_done *done, void *arg);
void nvmf_stats_get(struct nvmf_target *tgt, nvmf_json_done *done, void *arg);

/** nvmf_save_config() - append {"method","params"} objects in an order that loads */
void nvmf_save_config(json_t *array);

#endif
