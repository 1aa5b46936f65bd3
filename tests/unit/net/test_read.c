/* SPDX-License-Identifier: Apache-2.0 */
/* net_stream_read_into(): from every offset of what arrived, small, large, in pieces, broken. */
#include "net_unit.h"

#include <errno.h>

/*
 * The bytes are a row of records: a header of 4 bytes with the length of what follows, which is
 * read into a place. Lengths run over small, around the bounds of buffers, and large.
 */
#define RECORDS	   1500u
#define HEADER	   4u
#define RECORD_MAX (300u * 1024)

static struct {
	struct unit_pair pair;
	struct net_read read;
	struct iovec iov[40];
	uint8_t place[RECORD_MAX];
	uint8_t header[HEADER];
	size_t header_have;
	size_t offset;
	uint32_t len;
	unsigned int sent, got, released;
	bool in_call;
	struct reactor_timer late;
} r;

static uint32_t record_len(unsigned int number)
{
	static const uint32_t special[] = { 1,	   2,	  4092,	 4096,	 16380,	    16384,
					    16388, 32768, 65536, 131072, RECORD_MAX };

	if (number % 3 == 0)
		return special[(number / 3) % (sizeof(special) / sizeof(special[0]))];
	return 1 + (number * 7919u) % (number % 3 == 1 ? 500 : 40000);
}

static void send_records(void)
{
	static uint8_t data[HEADER + RECORD_MAX];

	while (r.sent < RECORDS && net_stream_unsent(r.pair.client) < 500000) {
		uint32_t len = record_len(r.sent);

		memcpy(data, &len, HEADER);
		for (uint32_t i = 0; i < len; i++)
			data[HEADER + i] = unit_byte(r.sent + i);
		/* In two sends, so that the border falls anywhere. */
		unit_send(r.pair.client, data, 3, NULL, NULL);
		unit_send(r.pair.client, data + 3, HEADER - 3 + len, NULL, NULL);
		r.sent++;
	}
}

static void gone(void *user)
{
	(void)user;
	if (++r.released == 2)
		reactor_system_stop();
}

static void record_read(struct net_read *read, int result)
{
	assert_int_equal(result, 0);
	assert_false(r.in_call);
	assert_int_equal(r.len, record_len(r.got));
	assert_int_equal(read->filled, r.len);
	unit_check_pattern(r.place, r.got, r.len);
	memset(r.place, 0, r.len);
	r.header_have = 0;
	r.got++;
	send_records();
	if (r.got == RECORDS) {
		net_stream_close(r.pair.server, gone);
		net_stream_close(r.pair.client, gone);
	}
}

static void read_record(void)
{
	size_t off = 0;
	uint32_t count = 0;
	/* Sometimes in one piece, sometimes in more than a direct receive takes at once. */
	size_t piece = r.got % 4 == 0 ? r.len : r.len / (1 + r.got % 35) + 1;

	while (off < r.len) {
		size_t n = r.len - off < piece ? r.len - off : piece;

		r.iov[count++] = (struct iovec){ r.place + off, n };
		off += n;
	}
	r.read = (struct net_read){ .iov = r.iov, .iovcnt = count, .done = record_read };
	r.in_call = true;
	net_stream_read_into(r.pair.server, &r.read);
	r.in_call = false;
}

static void read_late(struct reactor_timer *timer)
{
	(void)timer;
	read_record();
}

static size_t header_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	size_t take = HEADER - r.header_have < len ? HEADER - r.header_have : len;

	(void)stream;
	(void)user;
	memcpy(r.header + r.header_have, data, take);
	r.header_have += take;
	if (r.header_have < HEADER)
		return take;
	memcpy(&r.len, r.header, HEADER);
	assert_in_range(r.len, 1, RECORD_MAX);
	/* Now and then the place is there only later, when reading has stopped. */
	if (r.got % 10 == 7 && take < len)
		reactor_timer_start(&r.late, 200000);
	else
		read_record();
	return take;
}

static size_t no_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)stream;
	(void)user;
	(void)data;
	return len;
}

static void not_closed(struct net_stream *stream, void *user, int reason)
{
	(void)stream;
	(void)user;
	fail_msg("closed: %d", reason);
}

static const struct net_stream_ops server_ops = { header_data, not_closed };
static const struct net_stream_ops client_ops = { no_data, not_closed };

static void ready(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &server_ops, NULL);
	net_stream_attach(pair->client, &client_ops, NULL);
	send_records();
}

static void start(void *arg)
{
	(void)arg;
	r.late.fn = read_late;
	r.pair.ready = ready;
	unit_pair_start(&r.pair);
}

static void test_records_are_read_into_their_places(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	unit_run(1, start, NULL);
	assert_int_equal(r.got, RECORDS);
}

/* --- the peer goes in the middle ------------------------------------------------------------ */

static struct {
	struct unit_pair pair;
	struct net_read read;
	struct iovec iov;
	uint8_t *place;
	size_t size;
	int read_result, close_reason;
	unsigned int reads, closes, released;
	bool reset;
} b;

static void broken_gone(void *user)
{
	(void)user;
	if (++b.released == 2)
		reactor_system_stop();
}

static void broken_read(struct net_read *read, int result)
{
	(void)read;
	assert_int_equal(b.closes, 0);
	b.reads++;
	b.read_result = result;
}

static size_t broken_data(struct net_stream *stream, void *user, const uint8_t *data, size_t len)
{
	(void)user;
	(void)data;
	(void)len;
	if (b.reads > 0)
		return len;
	b.iov = (struct iovec){ b.place, b.size };
	b.read = (struct net_read){ .iov = &b.iov, .iovcnt = 1, .done = broken_read };
	net_stream_read_into(stream, &b.read);
	return 0;
}

static void broken_closed(struct net_stream *stream, void *user, int reason)
{
	(void)user;
	b.closes++;
	b.close_reason = reason;
	net_stream_close(stream, broken_gone);
}

static const struct net_stream_ops broken_ops = { broken_data, broken_closed };

static struct reactor_timer broken_timer;

static void broken_end(struct reactor_timer *timer)
{
	(void)timer;
	if (b.reset)
		net_stream_abort(b.pair.client, broken_gone);
	else
		net_stream_close(b.pair.client, broken_gone);
}

static void broken_ready(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &broken_ops, NULL);
	net_stream_attach(pair->client, &client_ops, NULL);
	unit_send_pattern(pair->client, 0, b.size / 2);
	broken_timer = (struct reactor_timer){ .fn = broken_end };
	reactor_timer_start(&broken_timer, unit_is_tls() ? 200000000 : 5000000);
}

static void broken_start(void *arg)
{
	(void)arg;
	b.pair.ready = broken_ready;
	unit_pair_start(&b.pair);
}

static void run_broken(size_t size, bool reset)
{
	memset(&b, 0, sizeof(b));
	b.size = size;
	b.reset = reset;
	b.place = malloc(size);
	assert_non_null(b.place);
	unit_run(1, broken_start, NULL);
	assert_int_equal(b.reads, 1);
	assert_int_equal(b.read_result, -ECONNRESET);
	assert_int_equal(b.closes, 1);
	assert_int_equal(b.close_reason, reset ? -ECONNRESET : 0);
	free(b.place);
}

static void test_peer_ends_inside_a_read(void **state)
{
	(void)state;
	run_broken(1000, false);
	run_broken(1000, true);
	run_broken(1u << 20, false);
	run_broken(1u << 20, true);
}

/* --- closed by the user inside a read ------------------------------------------------------- */

static void own_end(struct reactor_timer *timer)
{
	(void)timer;
	if (b.reset)
		net_stream_abort(b.pair.server, broken_gone);
	else
		net_stream_close(b.pair.server, broken_gone);
}

static void own_client_closed(struct net_stream *stream, void *user, int reason)
{
	(void)user;
	(void)reason;
	net_stream_close(stream, broken_gone);
}

static const struct net_stream_ops own_client_ops = { no_data, own_client_closed };

static void own_ready(struct unit_pair *pair)
{
	net_stream_attach(pair->server, &broken_ops, NULL);
	net_stream_attach(pair->client, &own_client_ops, NULL);
	unit_send_pattern(pair->client, 0, b.size / 2);
	broken_timer = (struct reactor_timer){ .fn = own_end };
	reactor_timer_start(&broken_timer, unit_is_tls() ? 200000000 : 5000000);
}

static void own_start(void *arg)
{
	(void)arg;
	b.pair.ready = own_ready;
	unit_pair_start(&b.pair);
}

static void run_own(size_t size, bool reset)
{
	memset(&b, 0, sizeof(b));
	b.size = size;
	b.reset = reset;
	b.place = malloc(size);
	assert_non_null(b.place);
	unit_run(1, own_start, NULL);
	assert_int_equal(b.reads, 1);
	assert_int_equal(b.read_result, -ECANCELED);
	assert_int_equal(b.closes, 0);
	free(b.place);
}

static void test_user_ends_inside_a_read(void **state)
{
	(void)state;
	run_own(1000, false);
	run_own(1000, true);
	run_own(1u << 20, false);
	run_own(1u << 20, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_are_read_into_their_places),
		cmocka_unit_test(test_peer_ends_inside_a_read),
		cmocka_unit_test(test_user_ends_inside_a_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
