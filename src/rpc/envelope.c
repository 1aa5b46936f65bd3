/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC 2.0: requests, batches and their answers, as SPDK takes and gives them.
 *
 * A request without an id, or with null, is a notification: its success is silent, its error is
 * told all the same. The answers of a batch are one array, in order of completion, when the last
 * of them is there.
 *
 * Threading: reactor 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/client.h"

/**
 * struct rpc_text - a request or a batch that has not all its answers
 * @holds: items without an answer, and one while items are still being started
 * @out: the answers of a batch
 */
struct rpc_text {
	struct rpc_client *client;
	bool batch;
	size_t bytes;
	size_t holds;
	struct rpc_bytes out;
};

/** struct rpc_item - a request; @id as JSON text, NULL for a notification */
struct rpc_item {
	TAILQ_ENTRY(rpc_item) link;
	struct rpc_text *text;
	struct rpc_request *req;
	char *id;
};

/* --- answers ---------------------------------------------------------------------------------- */

static void put_head(struct rpc_bytes *out, const char *id)
{
	rpc_bytes_text(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	rpc_bytes_text(out, id ? id : "null");
}

/* Messages hold words of others, cut to length: a half character must not lose the answer. */
static json_t *message_json(const char *message)
{
	json_t *text = json_string(message);
	char *plain;

	if (text)
		return text;
	plain = strdup(message);
	if (!plain)
		return json_string("no memory for the message");
	for (char *c = plain; *c; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	text = json_string(plain);
	free(plain);
	return text;
}

static void put_error(struct rpc_bytes *out, const char *id, int code, const char *message)
{
	json_t *text = message_json(message);
	char number[48];

	put_head(out, id);
	snprintf(number, sizeof(number), ",\"error\":{\"code\":%d,\"message\":", code);
	rpc_bytes_text(out, number);
	rpc_bytes_json(out, text);
	rpc_bytes_text(out, "}}");
	json_decref(text);
}

void rpc_envelope_error(struct rpc_bytes *out, int code, const char *message)
{
	put_error(out, NULL, code, message);
	rpc_bytes_text(out, "\n");
}

static void put_answer(struct rpc_text *text, const char *id, const struct rpc_answer *a)
{
	struct rpc_client *c = text->client;
	struct rpc_bytes *out = text->batch ? &text->out : &c->out;

	if (c->broken || (a->result && !id))
		return;
	if (text->batch)
		rpc_bytes_text(out, out->len ? "," : "[");
	if (text->batch && out->len > c->limits->batch && a->result) {
		char message[128];

		snprintf(message, sizeof(message),
			 "the answers of this batch are over the limit of %zu bytes: ask for less "
			 "at once",
			 c->limits->batch);
		put_error(out, id, RPC_INTERNAL_ERROR, message);
		return;
	}
	if (a->result) {
		put_head(out, id);
		rpc_bytes_text(out, ",\"result\":");
		rpc_bytes_json(out, a->result);
		rpc_bytes_text(out, "}");
	} else {
		put_error(out, id, a->code, a->message);
	}
	if (!text->batch)
		rpc_bytes_text(out, "\n");
}

static void text_release(struct rpc_text *text)
{
	struct rpc_client *c = text->client;

	if (--text->holds > 0)
		return;
	if (text->out.len > 0 && !c->broken) {
		rpc_bytes_text(&text->out, "]\n");
		rpc_bytes_add(&c->out, text->out.data, text->out.len);
		c->out.failed = c->out.failed || text->out.failed;
	}
	c->kept -= text->bytes;
	rpc_bytes_free(&text->out);
	free(text);
}

static void answered(void *arg, const struct rpc_answer *a)
{
	struct rpc_item *item = arg;
	struct rpc_text *text = item->text;
	struct rpc_client *c = text->client;

	put_answer(text, item->id, a);
	json_decref(a->result);
	TAILQ_REMOVE(&c->items, item, link);
	free(item->id);
	free(item);
	text_release(text);
	c->owed--;
	rpc_client_work_later(c);
}

/* --- requests --------------------------------------------------------------------------------- */

/** struct envelope - the members of a request; NULL where there is none */
struct envelope {
	const struct json_value *jsonrpc, *method, *params, *id;
};

static const struct json_value **member_of(struct envelope *e, const char *name)
{
	if (strcmp(name, "jsonrpc") == 0)
		return &e->jsonrpc;
	if (strcmp(name, "method") == 0)
		return &e->method;
	if (strcmp(name, "params") == 0)
		return &e->params;
	return strcmp(name, "id") == 0 ? &e->id : NULL;
}

static const char *take_members(struct envelope *e, const struct json_value *v)
{
	if (v->kind != JSON_KIND_OBJECT)
		return "it must be an object, or a batch of objects in an array";
	JSON_VALUE_FOREACH (member, v) {
		const struct json_value **place = member_of(e, member->name);

		if (!place)
			return "its members may be jsonrpc, method, params and id, no others";
		if (*place)
			return "a member came twice";
		*place = member;
	}
	return NULL;
}

/* Return: what is wrong, in words, or NULL. */
static const char *check(struct envelope *e, const struct json_value *v)
{
	const char *wrong = take_members(e, v);

	if (wrong)
		return wrong;
	if (e->jsonrpc &&
	    (e->jsonrpc->kind != JSON_KIND_STRING || strcmp(e->jsonrpc->text, "2.0") != 0))
		return "its jsonrpc must be \"2.0\"";
	if (!e->method || e->method->kind != JSON_KIND_STRING)
		return "its method must be a string";
	if (e->id && e->id->kind != JSON_KIND_STRING && e->id->kind != JSON_KIND_NUMBER &&
	    e->id->kind != JSON_KIND_NULL)
		return "its id must be a string, a number or null";
	return NULL;
}

static char *id_text(const struct json_value *id)
{
	size_t len = json_print(id, NULL, 0);
	char *text = malloc(len + 1);

	if (text)
		json_print(id, text, len + 1);
	return text;
}

static void invalid(struct rpc_item *item, const char *wrong)
{
	char message[160];
	struct rpc_answer a = { .code = RPC_INVALID_REQUEST, .message = message };

	snprintf(message, sizeof(message), "Invalid request: %s", wrong);
	answered(item, &a);
}

static void start(struct rpc_item *item, const struct json_value *v)
{
	struct envelope e = { .method = NULL };
	const char *wrong = check(&e, v);
	struct rpc_request *req;

	if (wrong) {
		invalid(item, wrong);
		return;
	}
	if (e.id && e.id->kind != JSON_KIND_NULL) {
		item->id = id_text(e.id);
		if (!item->id) {
			struct rpc_answer a = { .code = RPC_INTERNAL_ERROR,
						.message = "no memory for the id" };

			answered(item, &a);
			return;
		}
	}
	if (e.params && e.params->kind == JSON_KIND_NULL)
		e.params = NULL;
	if (e.params && e.params->kind != JSON_KIND_OBJECT && e.params->kind != JSON_KIND_ARRAY) {
		invalid(item, "its params must be an object, an array or null");
		return;
	}
	/* An answer inside the call frees the item: only one that is still owed is touched. */
	req = rpc_call(e.method->text, e.params, answered, item);
	if (req)
		item->req = req;
}

static void add(struct rpc_text *text, const struct json_value *v)
{
	struct rpc_client *c = text->client;
	struct rpc_item *item = calloc(1, sizeof(*item));

	if (!item) {
		struct rpc_answer a = { .code = RPC_INTERNAL_ERROR,
					.message = "no memory for the request" };

		put_answer(text, NULL, &a);
		return;
	}
	item->text = text;
	text->holds++;
	c->owed++;
	TAILQ_INSERT_TAIL(&c->items, item, link);
	start(item, v);
}

void rpc_envelope_take(struct rpc_client *c, const struct json_value *v, size_t bytes)
{
	struct rpc_text *text;

	if (v->kind == JSON_KIND_ARRAY && v->count == 0) {
		rpc_envelope_error(&c->out, RPC_INVALID_REQUEST,
				   "Invalid request: a batch must hold at least one request");
		return;
	}
	text = calloc(1, sizeof(*text));
	if (!text) {
		rpc_envelope_error(&c->out, RPC_INTERNAL_ERROR, "no memory for the request");
		return;
	}
	text->client = c;
	text->batch = v->kind == JSON_KIND_ARRAY;
	text->bytes = bytes;
	text->holds = 1;
	c->kept += bytes;
	if (text->batch) {
		JSON_VALUE_FOREACH (request, v)
			add(text, request);
	} else {
		add(text, v);
	}
	text_release(text);
}

void rpc_envelope_gone(struct rpc_client *c)
{
	struct rpc_item *item = TAILQ_FIRST(&c->items);

	c->broken = true;
	while (item) {
		struct rpc_item *next = TAILQ_NEXT(item, link);

		/* It may answer at once, which frees this item and no other. */
		if (item->req)
			rpc_call_gone(item->req);
		item = next;
	}
}
