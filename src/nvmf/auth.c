/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller's side of authentication, see auth.h.
 *
 *   NEGOTIATE -Negotiate-> CHALLENGE -Challenge-> REPLY -Reply-> SUCCESS1 -Success1->
 *     COMPLETED, or of a host that asked for the controller's proof: SUCCESS2 -Success2-> COMPLETED
 *
 * The host sends by Authentication Send and asks for the rest by Authentication Receive. What goes
 * wrong is told by Failure1 when it asks next, and the connection ends. Diffie-Hellman arithmetic
 * is done by a helper thread, what needs keys by reactor 0; one command at a time.
 *
 * Threading: as auth.h.
 */
#include "nvmf/auth.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/container_of.h"
#include "base/le.h"
#include "nvme/auth_message.h"
#include "nvme/dhchap.h"
#include "nvmf/secret.h"

#define GENERIC(sc) (NVME_STATUS(NVME_SCT_GENERIC, (sc)) | NVME_STATUS_DNR)

/* More than the longest message: an AUTH_Negotiate of 255 protocols. */
#define DATA_MAX 16384u

enum state {
	NEGOTIATE,
	CHALLENGE,
	REPLY,
	SUCCESS1,
	SUCCESS2,
	FAILURE1,
	COMPLETED,
	ERROR,
};

static const char *const state_names[] = {
	"negotiate", "challenge", "reply", "success1", "success2", "failure1", "completed", "error",
};

/* What other reactors see of it, in one word. */
#define SHOWN_EVER	  (UINT32_C(1) << 31)
#define SHOWN_AWAITED	  (UINT32_C(1) << 30) /* nothing else can be done on the queue */
#define SHOWN_STATE(word) ((word)&0xff)
#define SHOWN_HASH(word)  ((word) >> 8 & 0xff)
#define SHOWN_GROUP(word) ((word) >> 16 & 0xff)

/**
 * struct nvmf_auth - one that is under way
 * @busy: a helper thread or reactor 0 works on @req
 * @reason: that Failure1 will tell
 * @expected: the host's response; then @own, the controller's
 * @value: the controller's public value, later the secret of both
 */
struct nvmf_auth {
	struct nvmf_conn *conn;
	uint8_t state, hash, group, reason;
	bool busy;
	uint16_t tid;
	uint32_t seq;
	uint8_t challenge[NVME_DHCHAP_HASH_MAX];
	uint8_t expected[NVME_DHCHAP_HASH_MAX], own[NVME_DHCHAP_HASH_MAX];
	struct reactor_timer timer;

	struct nvmf_req *req;
	struct reactor_work work;
	void (*next)(struct nvmf_auth *auth, struct nvmf_req *req);
	int result;
	struct nvme_auth_replied reply; /* in the data of @req */
	bool asked;			/* for the controller's response */
	struct nvme_dh *dh;
	uint8_t value[NVME_DHCHAP_DH_MAX];
};

/* --- states ----------------------------------------------------------------------------------- */

static void show(const struct nvmf_auth *auth)
{
	uint32_t word =
		SHOWN_EVER | auth->state | (uint32_t)auth->hash << 8 | (uint32_t)auth->group << 16;

	if (auth->conn->state == NVMF_CONN_AUTHENTICATING)
		word |= SHOWN_AWAITED;
	atomic_store_explicit(&auth->conn->auth_shown, word, memory_order_relaxed);
}

void nvmf_auth_put(const struct nvmf_conn *conn, json_t *object)
{
	uint32_t word = atomic_load_explicit(&conn->auth_shown, memory_order_relaxed);
	const char *hash = nvme_dhchap_hash_name(SHOWN_HASH(word));

	json_object_set_new(object, "state",
			    json_string(word & SHOWN_AWAITED ? "authenticating" : "enabled"));
	if (word & SHOWN_EVER)
		json_object_set_new(object, "auth",
				    json_pack("{s:s, s:s, s:s}", "state",
					      state_names[SHOWN_STATE(word)], "digest",
					      hash ? hash : "unknown", "dhgroup",
					      nvme_dhchap_group_name(SHOWN_GROUP(word))));
}

void nvmf_auth_free(struct nvmf_conn *conn)
{
	struct nvmf_auth *auth = conn->auth;

	if (!auth)
		return;
	reactor_timer_stop(&auth->timer);
	nvme_dh_free(auth->dh);
	nvmf_secret_free(auth, sizeof(*auth));
	conn->auth = NULL;
}

void nvmf_auth_stop(struct nvmf_conn *conn)
{
	if (conn->auth)
		reactor_timer_stop(&conn->auth->timer);
}

static void await_host(struct nvmf_auth *auth)
{
	struct nvmf_conn *conn = auth->conn;

	reactor_timer_start(&auth->timer, conn->ctrlr->auth_ms * NS_PER_MSEC);
	if (conn->qid == 0 && conn->state == NVMF_CONN_AUTHENTICATING)
		nvmf_keep_alive_restart(conn->ctrlr);
}

static void enter(struct nvmf_auth *auth, enum state state)
{
	auth->state = (uint8_t)state;
	show(auth);
	if (state != FAILURE1)
		await_host(auth);
}

/* A host that began anew on a live queue and stopped has proved itself before. */
static void timed_out(struct reactor_timer *timer)
{
	struct nvmf_auth *auth = container_of(timer, struct nvmf_auth, timer);
	struct nvmf_conn *conn = auth->conn;
	bool live = conn->state == NVMF_CONN_LIVE;
	char name[NET_ADDR_TEXT];

	if (auth->busy) {
		await_host(auth);
		return;
	}
	log_warning("nvmf: %s: host %s, queue %u of %s: no message of its authentication within "
		    "%u ms, %s",
		    nvmf_conn_name(conn, name, sizeof(name)), conn->ctrlr->hostnqn, conn->qid,
		    conn->ctrlr->subsystem->nqn, conn->ctrlr->auth_ms,
		    live && auth->state != FAILURE1 ? "given up" : "connection closed");
	if (live && auth->state != FAILURE1) {
		auth->state = COMPLETED;
		show(auth);
		nvmf_auth_free(conn);
	} else {
		nvmf_conn_close(conn, NVMF_CLOSE_NOW);
	}
}

int nvmf_auth_begin(struct nvmf_conn *conn)
{
	struct nvmf_auth *auth = nvmf_secret_alloc(sizeof(*auth));

	if (!auth)
		return -ENOMEM;
	auth->conn = conn;
	auth->timer.fn = timed_out;
	conn->auth = auth;
	enter(auth, NEGOTIATE);
	return 0;
}

static void complete(struct nvmf_auth *auth, struct nvmf_req *req)
{
	auth->busy = false;
	nvmf_req_complete(req, 0);
}

/* The host is who it says. */
static void succeed(struct nvmf_auth *auth, struct nvmf_req *req)
{
	struct nvmf_conn *conn = auth->conn;

	conn->state = NVMF_CONN_LIVE;
	auth->state = COMPLETED;
	show(auth);
	nvmf_auth_free(conn);
	nvmf_req_complete(req, 0);
}

static void note_failure(struct nvmf_auth *auth, enum nvme_auth_reason reason, const char *why)
{
	const struct nvmf_conn *conn = auth->conn;
	char name[NET_ADDR_TEXT];

	auth->reason = (uint8_t)reason;
	if (auth->state == FAILURE1)
		return;
	log_warning("nvmf: %s: host %s, queue %u of %s: authentication failed in state %s: %s",
		    nvmf_conn_name(conn, name, sizeof(name)), conn->ctrlr->hostnqn, conn->qid,
		    conn->ctrlr->subsystem->nqn, state_names[auth->state], why);
	enter(auth, FAILURE1);
}

/* A message that was sent is at fault: the command succeeds, and Failure1 tells why (8.13.4.4). */
static void fail(struct nvmf_auth *auth, struct nvmf_req *req, enum nvme_auth_reason reason,
		 const char *why)
{
	note_failure(auth, reason, why);
	complete(auth, req);
}

/* The message has not its form, or is not of this turn. */
static void fail_form(struct nvmf_auth *auth, struct nvmf_req *req, int reason)
{
	fail(auth, req, (enum nvme_auth_reason)reason, nvme_auth_reason_text((uint8_t)reason));
}

/* --- work elsewhere --------------------------------------------------------------------------- */

static bool is_over(struct nvmf_auth *auth, struct nvmf_req *req)
{
	if (auth->conn->state < NVMF_CONN_TERMINATING)
		return false;
	complete(auth, req);
	return true;
}

static void work_done(struct reactor_work *work)
{
	struct nvmf_auth *auth = container_of(work, struct nvmf_auth, work);
	struct nvmf_req *req = auth->req;

	nvmf_req_unhold(req);
	if (!is_over(auth, req))
		auth->next(auth, req);
}

static void start_work(struct nvmf_auth *auth, struct nvmf_req *req,
		       void (*run)(struct reactor_work *work),
		       void (*next)(struct nvmf_auth *auth, struct nvmf_req *req))
{
	auth->busy = true;
	auth->req = req;
	auth->next = next;
	auth->work.run = run;
	auth->work.done = work_done;
	nvmf_req_hold(req);
	reactor_work_start(&auth->work);
}

static void run_create(struct reactor_work *work)
{
	struct nvmf_auth *auth = container_of(work, struct nvmf_auth, work);

	auth->dh = nvme_dh_create(auth->group);
	auth->result = auth->dh ? nvme_dh_public(auth->dh, auth->value) : -EIO;
}

static void run_derive(struct reactor_work *work)
{
	struct nvmf_auth *auth = container_of(work, struct nvmf_auth, work);

	auth->result = nvme_dh_secret(auth->dh, auth->reply.dh, auth->reply.dh_len, auth->value);
}

/* --- Negotiate -------------------------------------------------------------------------------- */

static void choose(struct nvmf_auth *auth, struct nvmf_req *req,
		   const struct nvme_auth_offer *offer)
{
	const struct nvmf_target_options *allowed = &auth->conn->tgt->opts;
	int hash = nvme_dhchap_strongest(offer->hashes & allowed->dhchap_hashes);
	int group = nvme_dhchap_strongest(offer->groups & allowed->dhchap_groups);

	if (hash < 0) {
		fail(auth, req, NVME_AUTH_REASON_HASH,
		     "it offers no hash that dhchap_digests allows");
	} else if (group < 0) {
		fail(auth, req, NVME_AUTH_REASON_GROUP,
		     "it offers no Diffie-Hellman group that dhchap_dhgroups allows");
	} else {
		auth->hash = (uint8_t)hash;
		auth->group = (uint8_t)group;
		enter(auth, CHALLENGE);
		complete(auth, req);
	}
}

static void take_negotiate(struct nvmf_auth *auth, struct nvmf_req *req, const void *message)
{
	struct nvme_auth_offer offer;
	int reason;

	auth->tid = nvme_auth_tid(message);
	reason = nvme_auth_take_negotiate(message, req->data_len, &offer);
	if (reason == NVME_AUTH_REASON_SECURE_CHANNEL)
		fail(auth, req, NVME_AUTH_REASON_SECURE_CHANNEL,
		     "it wants secure channel concatenation, which this target does not do: use a "
		     "listener with secure_channel and a psk");
	else if (reason)
		fail_form(auth, req, reason);
	else
		choose(auth, req, &offer);
}

/* --- Reply ------------------------------------------------------------------------------------ */

static int respond(const struct nvmf_auth *auth, const struct key *key, bool own,
		   uint8_t out[static NVME_DHCHAP_HASH_MAX])
{
	const struct nvmf_ctrlr *ctrlr = auth->conn->ctrlr;
	const char *host = ctrlr->hostnqn, *subsystem = ctrlr->subsystem->nqn;
	struct nvme_dhchap_proof proof = {
		.hash = auth->hash,
		.challenge = own ? auth->reply.challenge : auth->challenge,
		.seq = own ? auth->reply.seq : auth->seq,
		.tid = auth->tid,
		.role = own ? "Controller" : "HostHost",
		.owner = own ? subsystem : host,
		.other = own ? host : subsystem,
		.secret = auth->value,
		.secret_len = nvme_dhchap_group_len(auth->group),
	};

	return nvme_dhchap_respond(key, &proof, out);
}

static int respond_by(struct nvmf_auth *auth, const struct nvmf_dhchap *keys)
{
	int rc;

	if (!keys || (auth->reply.challenge && keys->ctrlr.len == 0))
		return -ENOKEY;
	rc = respond(auth, &keys->host, false, auth->expected);
	if (rc == 0 && auth->reply.challenge)
		rc = respond(auth, &keys->ctrlr, true, auth->own);
	return rc;
}

static void reply_judge(struct nvmf_req *req)
{
	struct nvmf_auth *auth = req->conn->auth;

	explicit_bzero(auth->value, sizeof(auth->value));
	if (is_over(auth, req))
		return;
	if (auth->result == -ENOKEY) {
		fail(auth, req, NVME_AUTH_REASON_FAILED,
		     auth->reply.challenge ? "it asks for the controller's proof and has no "
					     "dhchap_ctrlr_key, or no dhchap_key; "
					     "nvmf_subsystem_set_keys gives them"
					   : "it has no dhchap_key; nvmf_subsystem_set_keys gives "
					     "one");
	} else if (auth->result < 0) {
		fail(auth, req, NVME_AUTH_REASON_FAILED, "the cryptographic library failed");
	} else if (CRYPTO_memcmp(auth->expected, auth->reply.response,
				 nvme_dhchap_hash_len(auth->hash)) != 0) {
		fail(auth, req, NVME_AUTH_REASON_FAILED, "its key is another one");
	} else {
		auth->asked = auth->reply.challenge;
		enter(auth, SUCCESS1);
		complete(auth, req);
	}
}

/* Reactor 0. */
static void reply_at_manager(struct nvmf_req *req)
{
	struct nvmf_auth *auth = req->conn->auth;
	const struct nvmf_ctrlr *ctrlr = req->conn->ctrlr;
	const struct nvmf_host *host = nvmf_host_find(ctrlr->subsystem, ctrlr->hostnqn);

	auth->result = respond_by(auth, host ? host->dhchap : NULL);
	nvmf_req_return(req, reply_judge);
}

static void reply_ask(struct nvmf_auth *auth, struct nvmf_req *req)
{
	auth->busy = true;
	nvmf_req_at_manager(req, reply_at_manager);
}

static void reply_derived(struct nvmf_auth *auth, struct nvmf_req *req)
{
	if (auth->result == 0)
		reply_ask(auth, req);
	else
		fail(auth, req,
		     auth->result == -EINVAL ? NVME_AUTH_REASON_PAYLOAD : NVME_AUTH_REASON_FAILED,
		     auth->result == -EINVAL ? "its Diffie-Hellman value is none of the group"
					     : "the cryptographic library failed");
}

static void take_reply(struct nvmf_auth *auth, struct nvmf_req *req, const void *message)
{
	int reason = nvme_auth_take_reply(message, req->data_len, auth->tid, auth->hash,
					  auth->group, &auth->reply);

	if (reason)
		fail_form(auth, req, reason);
	else if (auth->reply.dh)
		start_work(auth, req, run_derive, reply_derived);
	else
		reply_ask(auth, req);
}

/* --- Success2 and Failure2 -------------------------------------------------------------------- */

static void take_success2(struct nvmf_auth *auth, struct nvmf_req *req, const void *message)
{
	if (nvme_auth_take_end(message, req->data_len, auth->tid,
			       sizeof(struct nvme_auth_success2)))
		fail_form(auth, req, NVME_AUTH_REASON_PAYLOAD);
	else
		succeed(auth, req);
}

static void take_failure2(struct nvmf_auth *auth, struct nvmf_req *req, const void *message)
{
	const struct nvme_auth_failure *m = message;
	struct nvmf_conn *conn = auth->conn;

	if (nvme_auth_take_end(message, req->data_len, auth->tid, sizeof(*m))) {
		fail_form(auth, req, NVME_AUTH_REASON_PAYLOAD);
		return;
	}
	note_failure(auth, NVME_AUTH_REASON_FAILED,
		     "the host does not take this controller's part");
	auth->state = ERROR;
	show(auth);
	complete(auth, req);
	nvmf_conn_close(conn, NVMF_CLOSE_NOW);
}

/* --- Authentication Send ---------------------------------------------------------------------- */

static const struct turn {
	uint8_t type, id;
	uint32_t states; /* in which it may come, a bit for each */
	void (*take)(struct nvmf_auth *auth, struct nvmf_req *req, const void *message);
} turns[] = {
	{ NVME_AUTH_COMMON, NVME_AUTH_NEGOTIATE, 1u << NEGOTIATE, take_negotiate },
	{ NVME_AUTH_DHCHAP, NVME_AUTH_REPLY, 1u << REPLY, take_reply },
	{ NVME_AUTH_DHCHAP, NVME_AUTH_SUCCESS2, 1u << SUCCESS2, take_success2 },
	{ NVME_AUTH_COMMON, NVME_AUTH_FAILURE2, 1u << REPLY | 1u << SUCCESS2, take_failure2 },
};

static void take(struct nvmf_auth *auth, struct nvmf_req *req)
{
	const void *message = req->iov[0].iov_base;

	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		if (turns[i].states & 1u << auth->state &&
		    nvme_auth_is(message, req->data_len, turns[i].type, turns[i].id)) {
			turns[i].take(auth, req, message);
			return;
		}
	}
	if (req->data_len < sizeof(struct nvme_auth_head))
		fail(auth, req, NVME_AUTH_REASON_PAYLOAD, "a message is shorter than its head");
	else
		fail_form(auth, req, NVME_AUTH_REASON_MESSAGE);
}

/* --- Authentication Receive ------------------------------------------------------------------- */

static void give_failure(struct nvmf_auth *auth, struct nvmf_req *req)
{
	struct nvme_auth_failure *m = req->iov[0].iov_base;
	struct nvmf_conn *conn = auth->conn;

	auth->busy = false;
	if (req->data_len < sizeof(*m)) {
		nvmf_req_complete(req, GENERIC(NVME_SC_INVALID_FIELD));
	} else {
		nvme_auth_fill_head(m, req->data_len, NVME_AUTH_COMMON, NVME_AUTH_FAILURE1,
				    auth->tid);
		m->reason = NVME_AUTH_FAILURE;
		m->explanation = auth->reason;
		nvmf_req_complete(req, 0);
	}
	nvmf_conn_close(conn, NVMF_CLOSE_NOW);
}

static void fail_now(struct nvmf_auth *auth, struct nvmf_req *req, enum nvme_auth_reason reason,
		     const char *why)
{
	note_failure(auth, reason, why);
	give_failure(auth, req);
}

/* Never twice the same within this target's life on a reactor, and never 0. */
static int next_seq(struct nvmf_group *group, uint32_t *seq)
{
	if (group->auth_seq == 0 && getrandom(&group->auth_seq, sizeof(group->auth_seq), 0) !=
					    (ssize_t)sizeof(group->auth_seq))
		return -EIO;
	if (++group->auth_seq == 0)
		group->auth_seq = 1;
	*seq = group->auth_seq;
	return 0;
}

static void challenge_send(struct nvmf_auth *auth, struct nvmf_req *req)
{
	uint8_t len = nvme_dhchap_hash_len(auth->hash);
	struct nvme_auth_challenge *m = req->iov[0].iov_base;

	if (auth->result < 0 || next_seq(auth->conn->group, &auth->seq) < 0 ||
	    getrandom(auth->challenge, len, 0) != (ssize_t)len) {
		fail_now(auth, req, NVME_AUTH_REASON_FAILED, "no challenge could be made");
		return;
	}
	nvme_auth_fill_head(m, req->data_len, NVME_AUTH_DHCHAP, NVME_AUTH_CHALLENGE, auth->tid);
	m->hash_len = len;
	m->hash = auth->hash;
	m->group = auth->group;
	le16_put(&m->dh_len, nvme_dhchap_group_len(auth->group));
	le32_put(&m->seq, auth->seq);
	memcpy(m->data, auth->challenge, len);
	memcpy(m->data + len, auth->value, nvme_dhchap_group_len(auth->group));
	enter(auth, REPLY);
	complete(auth, req);
}

static void give_challenge(struct nvmf_auth *auth, struct nvmf_req *req)
{
	uint16_t dh_len = nvme_dhchap_group_len(auth->group);

	auth->result = 0;
	if (req->data_len <
	    sizeof(struct nvme_auth_challenge) + nvme_dhchap_hash_len(auth->hash) + (size_t)dh_len)
		fail_now(auth, req, NVME_AUTH_REASON_PAYLOAD,
			 "a challenge does not fit in what it allocated");
	else if (dh_len)
		start_work(auth, req, run_create, challenge_send);
	else
		challenge_send(auth, req);
}

static void give_success1(struct nvmf_auth *auth, struct nvmf_req *req)
{
	uint8_t len = nvme_dhchap_hash_len(auth->hash);
	struct nvme_auth_success1 *m = req->iov[0].iov_base;

	if (req->data_len < sizeof(*m) + (auth->asked ? len : 0u)) {
		fail_now(auth, req, NVME_AUTH_REASON_PAYLOAD,
			 "Success1 does not fit in what it allocated");
		return;
	}
	nvme_auth_fill_head(m, req->data_len, NVME_AUTH_DHCHAP, NVME_AUTH_SUCCESS1, auth->tid);
	m->hash_len = len; /* Linux wants it always */
	if (!auth->asked) {
		succeed(auth, req);
		return;
	}
	m->response_valid = 1;
	memcpy(m->response, auth->own, len);
	enter(auth, SUCCESS2);
	complete(auth, req);
}

static void give(struct nvmf_auth *auth, struct nvmf_req *req)
{
	switch (auth->state) {
	case CHALLENGE:
		give_challenge(auth, req);
		break;
	case SUCCESS1:
		give_success1(auth, req);
		break;
	case FAILURE1:
		give_failure(auth, req);
		break;
	default:
		fail_now(auth, req, NVME_AUTH_REASON_MESSAGE,
			 "it asks for a message out of its turn");
		break;
	}
}

/* --- commands --------------------------------------------------------------------------------- */

static bool is_send(const struct nvme_cmd *cmd)
{
	return ((const struct nvme_auth_cmd *)(const void *)cmd)->fctype == NVME_FCTYPE_AUTH_SEND;
}

bool nvmf_auth_is_command(const struct nvme_cmd *cmd)
{
	const struct nvme_auth_cmd *auth = (const void *)cmd;

	return cmd->opc == NVME_OPC_FABRICS &&
	       (auth->fctype == NVME_FCTYPE_AUTH_SEND || auth->fctype == NVME_FCTYPE_AUTH_RECV);
}

uint16_t nvmf_auth_prepare(struct nvmf_req *req)
{
	const struct nvme_auth_cmd *cmd = (const void *)&req->cmd;
	uint32_t len = le32_get(&cmd->len);

	if (cmd->secp != NVME_AUTH_PROTOCOL || cmd->spsp0 != NVME_AUTH_SPECIFIC ||
	    cmd->spsp1 != NVME_AUTH_SPECIFIC || len == 0 || len > DATA_MAX)
		return GENERIC(NVME_SC_INVALID_FIELD);
	return nvmf_cmd_data(req, is_send(&req->cmd) ? NVMF_DIR_H2C : NVMF_DIR_C2H, len, true);
}

void nvmf_auth_execute(struct nvmf_req *req)
{
	struct nvmf_conn *conn = req->conn;

	if (!conn->auth && nvmf_auth_begin(conn) < 0)
		nvmf_req_complete(req, GENERIC(NVME_SC_INTERNAL_ERROR));
	else if (conn->auth->busy)
		nvmf_req_complete(req, GENERIC(NVME_SC_SEQUENCE_ERROR));
	else if (is_send(&req->cmd))
		take(conn->auth, req);
	else
		give(conn->auth, req);
}
