/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's connection: opened, written, read, broken, and opened again.
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
#include "base/listener.h"
#include "driver/client_internal.h"

#define ANSWER_VALUES_MAX (2 * 1000 * 1000)
#define ANSWER_DEPTH_MAX  100
#define READ_SIZE	  (256 * 1024)

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
	c->late_count = 0;
}

void client_abort(struct client *c, int status, const char *text)
{
	connection_close(c);
	client_end_all(c, status, text);
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
		client_take_bytes(c, c->in, (size_t)n);
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

/* What goes wrong here goes wrong again in the loop, which may end calls. */
void client_flush(struct client *c)
{
	ssize_t n = 0;

	if (c->fd >= 0 && c->out_len)
		n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at, MSG_NOSIGNAL);
	if (n > 0)
		c->out_at += (size_t)n;
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

int client_reopen(struct client *c, struct error *err)
{
	int fd = socket_connect(c->path, err);

	if (fd < 0)
		return fd;
	c->watch = loop_watch(c->loop, fd, POLLIN, on_event, c);
	if (!c->watch) {
		close(fd);
		return error_set(err, -ENOMEM, "out of memory");
	}
	c->fd = fd;
	json_reader_next(c->reader);
	return 0;
}

int client_connect(struct loop *l, const char *path, struct client **out, struct error *err)
{
	const struct json_limits limits = { CLIENT_ANSWER_MAX, ANSWER_VALUES_MAX,
					    ANSWER_DEPTH_MAX };
	struct client *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (!c)
		return error_set(err, -ENOMEM, "out of memory");
	*c = (struct client){ .loop = l,
			      .fd = -1,
			      .calls_end = &c->calls,
			      .next_id = 1,
			      .timeout_ns = 30 * NS_PER_SEC,
			      .in = malloc(READ_SIZE),
			      .reader = json_reader_create(&limits) };
	if (!c->in || !c->reader)
		rc = error_set(err, -ENOMEM, "out of memory");
	else if (snprintf(c->path, sizeof(c->path), "%s", path) >= (int)sizeof(c->path))
		rc = error_set(err, -EINVAL, "socket path %.100s... is too long", path);
	else
		rc = client_reopen(c, err);
	if (rc < 0)
		client_destroy(c);
	else
		*out = c;
	return rc;
}

void client_destroy(struct client *c)
{
	if (!c)
		return;
	do
		client_abort(c, -ECANCELED, "the connection was given up");
	while (c->calls);
	if (c->reader)
		json_reader_destroy(c->reader);
	dialect_fini(&c->dialect);
	free(c->in);
	free(c);
}

bool client_is_connected(const struct client *c)
{
	return c->fd >= 0;
}

bool client_is_stale(const struct client *c, pid_t since)
{
	return c->fd >= 0 && listener_is_stale(c->fd, since);
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
	if (c->out_len - c->out_at + len > CLIENT_UNSENT_MAX)
		return -ENOBUFS;
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
	struct client *c = call->client;
	struct client_answer answer = { .status = -ETIMEDOUT,
					.message = "no answer within the time allowed" };

	call->timer = NULL;
	if (c->late_count == CLIENT_LATE_MAX) {
		client_abort(c, -ETIMEDOUT, "the target owes too many answers: given up");
		return;
	}
	c->late[c->late_count++] = call->id;
	client_end_call(c, call, &answer);
}

static void on_settled(void *arg)
{
	struct call *call = arg;
	struct client_answer answer = { .status = call->status,
					.message = call->message,
					.result = call->result };

	call->timer = NULL;
	client_end_call(call->client, call, &answer);
}

static struct call *call_create(struct client *c, const char *method, client_done_fn done,
				void *arg)
{
	size_t len = strlen(method) + 1;
	struct call *call = calloc(1, sizeof(*call) + len);

	if (!call)
		return NULL;
	call->client = c;
	call->done = done;
	call->arg = arg;
	memcpy(call->method, method, len);
	return call;
}

static void call_append(struct client *c, struct call *call)
{
	*c->calls_end = call;
	c->calls_end = &call->next;
}

int client_settle(struct client *c, int status, const char *message, json_t *result,
		  client_done_fn done, void *arg)
{
	struct call *call = call_create(c, "", done, arg);

	if (call) {
		call->status = status;
		call->message = strdup(message);
		call->timer = call->message ? loop_timer(c->loop, 0, on_settled, call) : NULL;
	}
	if (!call || !call->timer) {
		if (call)
			free(call->message);
		free(call);
		json_decref(result);
		return -ENOMEM;
	}
	call->result = result;
	call_append(c, call);
	return 0;
}

int client_send(struct client *c, const char *method, const char *name, json_t *params,
		const struct client_pick *pick, uint64_t timeout_ns, client_done_fn done, void *arg)
{
	struct call *call;
	int rc = -ENOMEM;

	if (c->fd < 0) {
		json_decref(params);
		return client_settle(c, -ECONNRESET, "the connection to the target is broken", NULL,
				     done, arg);
	}
	call = call_create(c, method, done, arg);
	if (call) {
		call->id = c->next_id;
		call->pick = pick;
		call->timer = loop_timer(c->loop, clock_ns() + timeout_ns, on_timeout, call);
		if (call->timer)
			rc = request_append(c, call->id, name, params);
	}
	json_decref(params);
	if (rc < 0) {
		if (call)
			loop_timer_cancel(c->loop, call->timer);
		free(call);
		return rc;
	}
	c->next_id++;
	call_append(c, call);
	loop_watch_events(c->watch, POLLIN | POLLOUT);
	return 0;
}
