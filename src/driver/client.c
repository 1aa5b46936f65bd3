/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's connection: requests out, answers in, each matched by its id.
 *
 * Threading: as client.h.
 */
#include "driver/client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "driver/client_internal.h"

#define ANSWER_VALUES_MAX (4 * 1000 * 1000)
#define ANSWER_DEPTH_MAX  100
#define READ_SIZE	  (256 * 1024)

static void call_end(struct client *c, struct call *call, const struct client_answer *answer)
{
	for (struct call **at = &c->calls; *at; at = &(*at)->next) {
		if (*at == call) {
			*at = call->next;
			break;
		}
	}
	loop_timer_cancel(c->loop, call->timer);
	call->done(call->arg, answer);
	free(call);
}

static void connection_close(struct client *c)
{
	loop_unwatch(c->loop, c->watch);
	c->watch = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	free(c->out);
	c->out = NULL;
	c->out_len = c->out_at = c->out_room = 0;
}

/* Everything in flight ends the same way; callbacks may not call on a broken connection again. */
void client_abort(struct client *c, int status, const char *text)
{
	struct client_answer answer = { .status = status, .message = text };

	connection_close(c);
	while (c->calls)
		call_end(c, c->calls, &answer);
}

static struct call *call_find(struct client *c, uint64_t id)
{
	for (struct call *call = c->calls; call; call = call->next) {
		if (call->id == id)
			return call;
	}
	return NULL;
}

static void answer_error(struct client *c, struct call *call, const struct json_value *error)
{
	const struct json_value *code = json_member(error, "code");
	const struct json_value *message = json_member(error, "message");
	struct client_answer answer = { .status = -EREMOTEIO, .message = "no reason given" };

	if (code)
		json_get_i64(code, INT64_MIN, INT64_MAX, &answer.code);
	if (message && message->kind == JSON_KIND_STRING)
		answer.message = message->text;
	if (answer.code == RPC_METHOD_NOT_FOUND)
		answer.status = -ENOSYS;
	call_end(c, call, &answer);
}

static void answer_result(struct client *c, struct call *call, const struct json_value *result)
{
	struct client_answer answer = { .result = json_to_jansson(result) };
	json_t *hold = answer.result;

	if (!hold) {
		answer.status = -ENOMEM;
		answer.message = error_errno_text(-ENOMEM);
	}
	call_end(c, call, &answer);
	json_decref(hold);
}

/* Return: NULL, or what is wrong with the answer. */
static const char *answer_take(struct client *c, const struct json_value *v)
{
	const struct json_value *id = json_member(v, "id");
	const struct json_value *error = json_member(v, "error");
	const struct json_value *result = json_member(v, "result");
	struct call *call;
	uint64_t n;

	if (v->kind != JSON_KIND_OBJECT)
		return "an answer that is no object";
	if (!id || json_get_u64(id, UINT64_MAX, &n) != 0)
		return "an answer without a usable id";
	if (n == 0 || n >= c->next_id)
		return "an answer to an id that was never sent";
	if (!result == !error)
		return "an answer with neither or both of result and error";
	if (error && error->kind != JSON_KIND_OBJECT)
		return "an error that is no object";
	call = call_find(c, n);
	if (!call)
		return NULL; /* its time was over */
	if (error)
		answer_error(c, call, error);
	else
		answer_result(c, call, result);
	return NULL;
}

static void answer_bad(struct client *c, int status, const char *what)
{
	char text[ERROR_TEXT_MAX];

	snprintf(text, sizeof(text), "the target sent %s: connection given up", what);
	client_abort(c, status, text);
}

static void bytes_take(struct client *c, const char *data, size_t len)
{
	struct error err = ERROR_INIT;
	const char *wrong;
	size_t taken;

	while (len && c->fd >= 0) {
		switch (json_reader_feed(c->reader, data, len, &taken, &err)) {
		case JSON_FEED_MORE:
			return;
		case JSON_FEED_ERROR:
			answer_bad(c, err.code == -EMSGSIZE ? -EMSGSIZE : -EBADMSG, err.text);
			return;
		case JSON_FEED_VALUE:
			break;
		}
		wrong = answer_take(c, json_reader_value(c->reader));
		if (wrong) {
			answer_bad(c, -EBADMSG, wrong);
			return;
		}
		json_reader_next(c->reader);
		data += taken;
		len -= taken;
	}
}

static void peer_closed(struct client *c)
{
	client_abort(c, -ECONNRESET,
		     json_reader_is_empty(c->reader)
			     ? "the target closed the connection before it answered"
			     : "the target closed the connection in mid-answer");
}

static void socket_failed(struct client *c, int code)
{
	if (code == -EAGAIN || code == -EINTR)
		return;
	if (code == -ECONNRESET || code == -EPIPE)
		peer_closed(c);
	else
		client_abort(c, -ECONNRESET, error_errno_text(code));
}

static void read_some(struct client *c)
{
	ssize_t n = recv(c->fd, c->in, READ_SIZE, 0);

	if (n > 0)
		bytes_take(c, c->in, (size_t)n);
	else if (n == 0)
		peer_closed(c);
	else
		socket_failed(c, -errno);
}

static void write_some(struct client *c)
{
	while (c->out_at < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			socket_failed(c, -errno);
			break;
		}
		c->out_at += (size_t)n;
	}
	if (c->fd < 0)
		return;
	if (c->out_at == c->out_len)
		c->out_at = c->out_len = 0;
	loop_watch_events(c->watch, (short)(POLLIN | (c->out_len ? POLLOUT : 0)));
}

static void on_event(void *arg, short revents)
{
	struct client *c = arg;

	if (revents & POLLOUT)
		write_some(c);
	if (c->fd >= 0 && (revents & (POLLIN | POLLHUP | POLLERR)))
		read_some(c);
}

static int socket_connect(const char *path, struct error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, code;

	if (strlen(path) >= sizeof(addr.sun_path))
		return error_set(err, -EINVAL,
				 "socket path %s has %zu bytes; a UNIX socket's has at most %zu: "
				 "use a shorter one",
				 path, strlen(path), sizeof(addr.sun_path) - 1);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "socket: %s", error_errno_text(-errno));
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	code = errno == ECONNREFUSED || errno == ENOENT ? -EHOSTDOWN : -errno;
	close(fd);
	return error_set(err, code, "no target answers at %s: %s", path,
			 code == -EHOSTDOWN ? "nobody listens there" : error_errno_text(code));
}

int client_connect(struct loop *l, const char *path, struct client **out, struct error *err)
{
	const struct json_limits limits = { CLIENT_ANSWER_MAX, ANSWER_VALUES_MAX,
					    ANSWER_DEPTH_MAX };
	int fd = socket_connect(path, err);
	struct client *c;

	*out = NULL;
	if (fd < 0)
		return fd;
	c = calloc(1, sizeof(*c));
	if (!c) {
		close(fd);
		return error_set(err, -ENOMEM, "out of memory");
	}
	c->loop = l;
	c->fd = fd;
	c->next_id = 1;
	c->timeout_ns = 30 * NS_PER_SEC;
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->in = malloc(READ_SIZE);
	c->reader = json_reader_create(&limits);
	c->watch = loop_watch(l, fd, POLLIN, on_event, c);
	if (!c->in || !c->reader || !c->watch) {
		client_destroy(c);
		return error_set(err, -ENOMEM, "out of memory");
	}
	*out = c;
	return 0;
}

void client_destroy(struct client *c)
{
	if (!c)
		return;
	client_abort(c, -ECANCELED, "the connection was given up");
	if (c->reader)
		json_reader_destroy(c->reader);
	json_decref(c->methods);
	free(c->in);
	free(c);
}

bool client_is_connected(const struct client *c)
{
	return c->fd >= 0;
}

const char *client_path(const struct client *c)
{
	return c->path;
}

void client_set_timeout(struct client *c, uint64_t ns)
{
	c->timeout_ns = ns;
}

static int out_append(struct client *c, const char *text, size_t len)
{
	if (c->out_len + len > c->out_room) {
		size_t room = (c->out_len + len) * 2;
		char *more = realloc(c->out, room);

		if (!more)
			return -ENOMEM;
		c->out = more;
		c->out_room = room;
	}
	memcpy(c->out + c->out_len, text, len);
	c->out_len += len;
	return 0;
}

static int request_append(struct client *c, uint64_t id, const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s, s:I, s:s}", "jsonrpc", "2.0", "id", (json_int_t)id,
				    "method", method);
	char *text = NULL;
	int rc = -ENOMEM;

	if (request && (!params || json_object_set(request, "params", params) == 0))
		text = json_dumps(request, JSON_COMPACT);
	if (text)
		rc = out_append(c, text, strlen(text));
	free(text);
	json_decref(request);
	return rc;
}

static void on_timeout(void *arg)
{
	struct call *call = arg;
	struct client_answer answer = { .status = -ETIMEDOUT,
					.message = "no answer within the time allowed" };

	call->timer = NULL;
	call_end(call->client, call, &answer);
}

/* A call on a broken connection ends from the loop too, never inside client_call(). */
static void on_broken(void *arg)
{
	struct call *call = arg;
	struct client_answer answer = { .status = -ECONNRESET,
					.message = "the connection to the target is broken" };

	call->timer = NULL;
	call_end(call->client, call, &answer);
}

int client_send(struct client *c, const char *name, json_t *params, uint64_t timeout_ns,
		client_done_fn done, void *arg)
{
	struct call *call = calloc(1, sizeof(*call));
	bool broken = c->fd < 0;
	int rc = -ENOMEM;

	if (call) {
		*call = (struct call){ .client = c, .id = c->next_id, .done = done, .arg = arg };
		call->timer = loop_timer(c->loop, broken ? 0 : clock_ns() + timeout_ns,
					 broken ? on_broken : on_timeout, call);
		rc = !call->timer ? -ENOMEM
		     : broken	  ? 0
				  : request_append(c, call->id, name, params);
	}
	json_decref(params);
	if (rc < 0) {
		if (call)
			loop_timer_cancel(c->loop, call->timer);
		free(call);
		return rc;
	}
	c->next_id++;
	call->next = c->calls;
	c->calls = call;
	if (!broken)
		loop_watch_events(c->watch, POLLIN | POLLOUT);
	return 0;
}
