/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted target, see peer.h.
 *
 * Threading: as peer.h.
 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct peer peer;

static void *peer_main(void *arg)
{
	(void)arg;
	for (int i = 0; peer.scripts[i]; i++) {
		int fd = accept(peer.listener, NULL, NULL);

		if (fd < 0)
			break;
		peer.accepted++;
		peer.scripts[i](fd);
		close(fd);
	}
	return NULL;
}

void peer_start(peer_script first, peer_script second)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct error err = ERROR_INIT;

	peer = (struct peer){ .dir = "/tmp/cs-peer-XXXXXX", .scripts = { first, second } };
	assert_non_null(mkdtemp(peer.dir));
	snprintf(peer.path, sizeof(peer.path), "%s/s", peer.dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", peer.path);
	peer.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(peer.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(peer.listener, 2), 0);
	assert_int_equal(pthread_create(&peer.thread, NULL, peer_main, NULL), 0);
	peer.loop = loop_create();
	assert_int_equal(client_connect(peer.loop, peer.path, &peer.client, &err), 0);
}

void peer_stop(void)
{
	client_destroy(peer.client);
	loop_destroy(peer.loop);
	shutdown(peer.listener, SHUT_RDWR);
	pthread_join(peer.thread, NULL);
	close(peer.listener);
	unlink(peer.path);
	rmdir(peer.dir);
}

void peer_take(int fd)
{
	char buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	(void)n;
}

void peer_say_bytes(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

void peer_say(int fd, const char *text)
{
	peer_say_bytes(fd, text, strlen(text));
}

void peer_wait_for_close(int fd)
{
	char buf[65536];

	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
}
