/* SPDX-License-Identifier: Apache-2.0 */
/* Pollers and flushes: called once a turn, added and removed from inside. */
#include "reactor_unit.h"

#include "base/clock.h"

static struct reactor_poller pollers[4];
static unsigned int calls[4];

/* --- pollers -------------------------------------------------------------------------------- */

static bool counts(struct reactor_poller *poller)
{
	calls[poller - pollers]++;
	return false;
}

static bool removes_itself(struct reactor_poller *poller)
{
	counts(poller);
	reactor_poller_remove(poller);
	return true;
}

/* The newest stands first in the list: so the one it removes is the next to be called. */
static bool removes_next(struct reactor_poller *poller)
{
	counts(poller);
	if (calls[3] == 1)
		reactor_poller_remove(&pollers[2]);
	if (calls[3] == 2)
		reactor_poller_add(&pollers[2]);
	if (calls[3] == 20)
		reactor_system_stop();
	return false;
}

static void start_pollers(void *arg)
{
	(void)arg;
	memset(calls, 0, sizeof(calls));
	for (unsigned int i = 0; i < 4; i++) {
		pollers[i] = (struct reactor_poller){ .fn = counts, .name = "unit" };
		reactor_poller_add(&pollers[i]);
	}
	pollers[0].fn = removes_itself;
	pollers[3].fn = removes_next;
}

static void test_pollers_are_removed_inside_pollers(void **state)
{
	(void)state;
	unit_run(1, start_pollers, NULL);
	assert_int_equal(calls[0], 1);
	assert_int_equal(calls[1], 20);
	/* Missed the first turn; back at the head in the second, it was looked at from the third.
	 */
	assert_int_equal(calls[2], 18);
	assert_int_equal(calls[3], 20);
}

/* --- flushes -------------------------------------------------------------------------------- */

struct flushing {
	struct reactor_flush flush;
	struct reactor_msg asks[3];
	unsigned int asked;
	unsigned int flushed;
	uint64_t turn_ns;
};

static void flushed(struct reactor_flush *flush)
{
	struct flushing *f = container_of(flush, struct flushing, flush);

	assert_true(reactor_now_ns() > f->turn_ns);
	f->turn_ns = reactor_now_ns();
	if (++f->flushed == 1)
		assert_int_equal(f->asked, 3);
	if (f->flushed == 10)
		reactor_system_stop();
	else
		reactor_flush_later(flush);
}

static struct flushing *flushing_now;

static void ask(struct reactor_msg *msg)
{
	(void)msg;
	flushing_now->asked++;
	reactor_flush_later(&flushing_now->flush);
	reactor_flush_later(&flushing_now->flush);
	assert_int_equal(flushing_now->flushed, 0);
}

static void start_flushing(void *arg)
{
	struct flushing *f = arg;

	flushing_now = f;
	f->flush.fn = flushed;
	for (unsigned int i = 0; i < 3; i++) {
		f->asks[i].fn = ask;
		reactor_defer(&f->asks[i]);
	}
}

static void test_flush_is_called_once_at_the_end_of_the_turn(void **state)
{
	struct flushing f = { .asked = 0 };

	(void)state;
	unit_run(1, start_flushing, &f);
	assert_int_equal(f.flushed, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pollers_are_removed_inside_pollers),
		cmocka_unit_test(test_flush_is_called_once_at_the_end_of_the_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
