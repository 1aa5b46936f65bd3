/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the target still answers: one question in a while on its socket, whose answer, even a
 * refusal, shows that its loop goes round. A process that is there and does nothing serves nobody.
 *
 * A target that has not answered in its present life is left alone: it may have much to load.
 *
 * Threading: one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervise/supervise.h"

#define QUESTION "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"spdk_get_version\"}"

void alive_begin(struct alive *a, uint64_t now)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
	a->answered = false;
	a->asked_ns = 0;
	a->next_ns = now;
}

/* What cannot be asked now is asked again soon; the time of the first attempt counts. */
static void ask(struct alive *a, const struct supervise_options *o, uint64_t now)
{
	a->fd = socket_open(o->ready);
	a->next_ns = now + o->alive_ns / 4;
	if (!a->asked_ns)
		a->asked_ns = now;
	if (a->fd >= 0 &&
	    send(a->fd, QUESTION, strlen(QUESTION), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		close(a->fd);
		a->fd = -1;
	}
}

static void listen_to(struct alive *a)
{
	char some[4096];
	ssize_t n = recv(a->fd, some, sizeof(some), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		a->answered = true;
		a->asked_ns = 0;
	}
	close(a->fd);
	a->fd = -1;
}

bool alive_check(struct alive *a, const struct supervise_options *o, uint64_t now)
{
	if (a->fd >= 0)
		listen_to(a);
	if (a->answered && a->asked_ns && now - a->asked_ns >= o->alive_ns)
		return false;
	if (a->fd < 0 && now >= a->next_ns)
		ask(a, o, now);
	return true;
}

uint64_t alive_next(const struct alive *a, const struct supervise_options *o)
{
	if (a->fd < 0)
		return a->next_ns;
	return a->answered ? a->asked_ns + o->alive_ns : UINT64_MAX;
}
