/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a target says: judged in this one place, before anybody sees it, and given to the call that
 * it answers.
 *
 * Threading: as client.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "driver/client_internal.h"

static void call_remove(struct client *c, struct call *call)
{
	struct call **at = &c->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	if (!call->next)
		c->calls_end = at;
}

static void call_finish(struct client *c, struct call *call, const struct client_answer *answer)
{
	loop_timer_cancel(c->loop, call->timer);
	call->done(call->arg, answer);
	json_decref(call->result);
	free(call->message);
	free(call);
}

void client_end_call(struct client *c, struct call *call, const struct client_answer *answer)
{
	call_remove(c, call);
	call_finish(c, call, answer);
}

/* What a callback asks for anew is not of those that end here. */
void client_end_all(struct client *c, int status, const char *text)
{
	struct client_answer answer = { .status = status, .message = text };
	struct call *call, *next;

	call = c->calls;
	c->calls = NULL;
	c->calls_end = &c->calls;
	for (; call; call = next) {
		next = call->next;
		call_finish(c, call, &answer);
	}
}

/* Calls that were never sent have id 0. */
static struct call *call_find(struct client *c, uint64_t id)
{
	for (struct call *call = c->calls; call; call = call->next) {
		if (call->id == id)
			return call;
	}
	return NULL;
}

/* Return: true when the call had timed out; its answer is owed no longer. */
static bool late_take(struct client *c, uint64_t id)
{
	for (size_t i = 0; i < c->late_count; i++) {
		if (c->late[i] == id) {
			c->late[i] = c->late[--c->late_count];
			return true;
		}
	}
	return false;
}

static void words_take(char *out, size_t size, const struct json_value *message)
{
	snprintf(out, size, "%s",
		 message && message->kind == JSON_KIND_STRING ? message->text : "");
	error_clean_words(out);
	if (!out[0])
		snprintf(out, size, "no reason given");
}

static void answer_error(struct client *c, struct call *call, const struct json_value *error)
{
	const struct json_value *code = json_member(error, "code");
	struct client_answer answer = { .status = -EREMOTEIO };
	char words[ERROR_TEXT_MAX];

	if (code && json_get_i64(code, INT64_MIN, INT64_MAX, &answer.code) < 0)
		answer.code = 0;
	words_take(words, sizeof(words), json_member(error, "message"));
	answer.message = words;
	if (answer.code == RPC_METHOD_NOT_FOUND)
		answer.status = -ENOSYS;
	client_end_call(c, call, &answer);
}

static bool is_picked(const struct client_pick *pick, const char *name)
{
	for (size_t i = 0; i < CLIENT_PICK_MAX && pick->words[i]; i++) {
		if (!strcmp(pick->words[i], name))
			return true;
	}
	return false;
}

static json_t *object_picked(const struct json_value *v, const struct client_pick *pick)
{
	json_t *o = json_object();

	JSON_VALUE_FOREACH (member, v) {
		if (o && is_picked(pick, member->name) && !json_object_get(o, member->name) &&
		    json_object_set_new_nocheck(o, member->name, json_to_jansson(member)) < 0) {
			json_decref(o);
			o = NULL;
		}
	}
	return o;
}

static json_t *list_picked(const struct json_value *v, const struct client_pick *pick)
{
	json_t *list = json_array();

	JSON_VALUE_FOREACH (item, v) {
		if (list && item->kind == JSON_KIND_OBJECT &&
		    json_array_append_new(list, object_picked(item, pick)) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

/* Return: what is to be kept of a result; of one that is no list as said, all. */
static json_t *result_of(const struct json_value *v, const struct client_pick *pick)
{
	const struct json_value *list = pick && pick->inside ? json_member(v, pick->inside) : v;

	if (!pick || !list || list->kind != JSON_KIND_ARRAY)
		return json_to_jansson(v);
	return pick->inside ? json_pack("{s:o}", pick->inside, list_picked(list, pick))
			    : list_picked(list, pick);
}

static void answer_result(struct client *c, struct call *call, const struct json_value *value)
{
	json_t *result = result_of(value, call->pick);
	struct error err = ERROR_INIT;
	struct client_answer answer = { .result = NULL };

	if (!result)
		answer.status = error_set(&err, -ENOMEM, "out of memory");
	else
		answer.status = dialect_answer(call->method, &result, &err);
	if (answer.status == 0)
		answer.result = result;
	else
		answer.message = err.text;
	client_end_call(c, call, &answer);
	json_decref(result);
}

/* An error without id answers a request that the target could not read: it says why. */
static int wrong_id(const struct json_value *error, struct error *err)
{
	char words[ERROR_TEXT_MAX / 2];

	if (!error || error->kind != JSON_KIND_OBJECT)
		return error_set(err, -EBADMSG, "an answer without a usable id");
	words_take(words, sizeof(words), json_member(error, "message"));
	return error_set(err, -EBADMSG, "an error without a usable id: %s", words);
}

static int answer_take(struct client *c, const struct json_value *v, struct error *err)
{
	const struct json_value *id = json_member(v, "id");
	const struct json_value *error = json_member(v, "error");
	const struct json_value *result = json_member(v, "result");
	struct call *call;
	uint64_t n;

	if (v->kind != JSON_KIND_OBJECT)
		return error_set(err, -EBADMSG, "an answer that is no object");
	if (!id || id->kind != JSON_KIND_NUMBER || json_get_u64(id, UINT64_MAX, &n) != 0)
		return wrong_id(error, err);
	if (!result == !error)
		return error_set(err, -EBADMSG,
				 "an answer with neither or both of result and error");
	if (error && error->kind != JSON_KIND_OBJECT)
		return error_set(err, -EBADMSG, "an error that is no object");
	call = n ? call_find(c, n) : NULL;
	if (!call && late_take(c, n))
		return 0;
	if (!call)
		return error_set(err, -EBADMSG, "an answer that nobody waits for");
	if (error)
		answer_error(c, call, error);
	else
		answer_result(c, call, result);
	return 0;
}

static void give_up(struct client *c, const struct error *err)
{
	char text[ERROR_TEXT_MAX];

	snprintf(text, sizeof(text), "the target sent %.400s: connection given up", err->text);
	c->distrusted = true;
	client_abort(c, err->code == -EMSGSIZE || err->code == -ENOMEM ? err->code : -EBADMSG,
		     text);
}

void client_take_bytes(struct client *c, const char *data, size_t len)
{
	struct error err = ERROR_INIT;
	enum json_feed fed;
	size_t taken;

	while (len && c->fd >= 0) {
		fed = json_reader_feed(c->reader, data, len, &taken, &err);
		if (fed == JSON_FEED_MORE)
			return;
		if (fed == JSON_FEED_ERROR ||
		    answer_take(c, json_reader_value(c->reader), &err) < 0) {
			give_up(c, &err);
			return;
		}
		json_reader_next(c->reader);
		data += taken;
		len -= taken;
	}
}
