/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: order, a full ring, the way between sleeping and waking, other threads, every reactor.
 */
#include "reactor_unit.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* --- to oneself ----------------------------------------------------------------------------- */

struct self {
	struct reactor_msg msg;
	unsigned int calls;
	bool sending;
};

static void self_again(struct reactor_msg *msg)
{
	struct self *s = container_of(msg, struct self, msg);

	assert_false(s->sending);
	if (++s->calls == 1000) {
		reactor_system_stop();
		return;
	}
	s->sending = true;
	if (s->calls % 2)
		reactor_send(reactor_self(), msg);
	else
		reactor_defer(msg);
	s->sending = false;
}

static void self_start(void *arg)
{
	struct self *s = arg;

	s->msg.fn = self_again;
	s->sending = true;
	reactor_defer(&s->msg);
	s->sending = false;
}

static void test_message_to_self_is_done_later(void **state)
{
	struct self s = { .calls = 0 };

	(void)state;
	unit_run(1, self_start, &s);
	assert_int_equal(s.calls, 1000);
}

/* --- order and overflow --------------------------------------------------------------------- */

#define MANY 5000u

struct numbered {
	struct reactor_msg msg;
	struct flood *flood;
	unsigned int number;
};

struct flood {
	struct reactor_msg begin;
	struct reactor_msg more;
	struct numbered *items;
	unsigned int next;
	unsigned int sent;
};

static void flood_arrived(struct reactor_msg *msg)
{
	struct numbered *n = container_of(msg, struct numbered, msg);

	assert_int_equal(n->number, n->flood->next);
	n->flood->next++;
	if (n->flood->next == 2 * MANY)
		reactor_system_stop();
}

static void flood_send(struct flood *f, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct numbered *n = &f->items[f->sent];

		n->number = f->sent++;
		n->flood = f;
		n->msg.fn = flood_arrived;
		reactor_send(reactor_at(0), &n->msg);
	}
}

/* On reactor 1: five rings full at once, then, while these are under way, more in small doses. */
static void flood_more(struct reactor_msg *msg)
{
	struct flood *f = container_of(msg, struct flood, more);

	flood_send(f, 10);
	if (f->sent < 2 * MANY)
		reactor_defer(msg);
}

static void flood_begin(struct reactor_msg *msg)
{
	struct flood *f = container_of(msg, struct flood, begin);

	flood_send(f, MANY);
	f->more.fn = flood_more;
	reactor_defer(&f->more);
}

static void flood_start(void *arg)
{
	struct flood *f = arg;

	f->begin.fn = flood_begin;
	reactor_send(reactor_at(1), &f->begin);
}

static void test_messages_keep_their_order_when_the_ring_is_full(void **state)
{
	struct flood f = { .items = calloc(2 * MANY, sizeof(struct numbered)) };

	(void)state;
	assert_non_null(f.items);
	unit_run(2, flood_start, &f);
	assert_int_equal(f.next, 2 * MANY);
	free(f.items);
}

/* --- sleeping and waking -------------------------------------------------------------------- */

#define ROUNDS 3000u

struct ball {
	struct reactor_msg msg;
	unsigned int rounds;
};

static void ball_hit(struct reactor_msg *msg)
{
	struct ball *b = container_of(msg, struct ball, msg);
	unsigned int here = reactor_index(reactor_self());

	if (++b->rounds == ROUNDS)
		reactor_system_stop();
	else
		reactor_send(reactor_at(1 - here), msg);
}

static void ball_start(void *arg)
{
	struct ball *b = arg;

	b->msg.fn = ball_hit;
	reactor_send(reactor_at(1), &b->msg);
}

/* With no spinning each reactor sleeps between two hits: a lost wake-up hangs the test. */
static void test_sleeping_reactors_are_woken(void **state)
{
	struct reactor_options opts = unit_options(2);
	struct ball b = { .rounds = 0 };

	(void)state;
	opts.spin_ns = 0;
	unit_run_with(&opts, ball_start, &b);
	assert_int_equal(b.rounds, ROUNDS);
}

/* --- other threads -------------------------------------------------------------------------- */

#define THREADS	   3u
#define PER_THREAD 2000u

struct strangers {
	struct reactor_msg *msgs;
	struct reactor *to;
	pthread_t threads[THREADS];
	_Atomic unsigned int begun;
	unsigned int arrived;
};

static struct strangers *strangers_now;

static void stranger_arrived(struct reactor_msg *msg)
{
	(void)msg;
	if (++strangers_now->arrived < THREADS * PER_THREAD)
		return;
	/* A reactor must outlive whoever sends to it. */
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(strangers_now->threads[i], NULL);
	reactor_system_stop();
}

static void *stranger(void *arg)
{
	struct strangers *s = arg;
	unsigned int first = atomic_fetch_add(&s->begun, 1) * PER_THREAD;

	assert(reactor_self() == NULL);
	for (unsigned int i = 0; i < PER_THREAD; i++) {
		s->msgs[first + i].fn = stranger_arrived;
		reactor_send_foreign(s->to, &s->msgs[first + i]);
		if (i % 64 == 0)
			sched_yield();
	}
	return NULL;
}

static void strangers_start(void *arg)
{
	struct strangers *s = arg;

	s->to = reactor_self();
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&s->threads[i], NULL, stranger, s), 0);
}

static void test_threads_that_are_no_reactors_send(void **state)
{
	struct strangers s = { .msgs = calloc(THREADS * PER_THREAD, sizeof(struct reactor_msg)) };
	struct reactor_options opts = unit_options(1);

	(void)state;
	assert_non_null(s.msgs);
	opts.spin_ns = 0;
	strangers_now = &s;
	unit_run_with(&opts, strangers_start, &s);
	assert_int_equal(s.arrived, THREADS * PER_THREAD);
	free(s.msgs);
}

/* --- every reactor -------------------------------------------------------------------------- */

struct visit {
	struct reactor_each each;
	struct reactor_timer late;
	unsigned int seen[8];
	unsigned int count;
	unsigned int rounds;
};

static void visit_late(struct reactor_timer *timer)
{
	struct visit *v = container_of(timer, struct visit, late);

	reactor_each_next(&v->each);
}

/* Odd rounds answer at once, even ones later. */
static void visit_one(struct reactor_each *each)
{
	struct visit *v = container_of(each, struct visit, each);

	v->seen[v->count++] = reactor_index(reactor_self());
	if (v->rounds % 2) {
		reactor_each_next(each);
		return;
	}
	v->late = (struct reactor_timer){ .fn = visit_late };
	reactor_timer_start(&v->late, 1000);
}

static void visit_done(struct reactor_each *each)
{
	struct visit *v = container_of(each, struct visit, each);

	assert_ptr_equal(reactor_self(), reactor_at(0));
	assert_int_equal(v->count, reactor_count());
	for (unsigned int i = 0; i < v->count; i++)
		assert_int_equal(v->seen[i], i);
	v->count = 0;
	if (++v->rounds == 20)
		reactor_system_stop();
	else
		reactor_for_each(each);
}

static void visit_start(void *arg)
{
	struct visit *v = arg;

	v->each.fn = visit_one;
	v->each.done = visit_done;
	reactor_for_each(&v->each);
}

static void test_every_reactor_is_told_in_turn(void **state)
{
	struct visit v = { .count = 0 };

	(void)state;
	unit_run(2, visit_start, &v);
	assert_int_equal(v.rounds, 20);
}

static void test_the_only_reactor_is_told(void **state)
{
	struct visit v = { .count = 0 };

	(void)state;
	unit_run(1, visit_start, &v);
	assert_int_equal(v.rounds, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_to_self_is_done_later),
		cmocka_unit_test(test_messages_keep_their_order_when_the_ring_is_full),
		cmocka_unit_test(test_sleeping_reactors_are_woken),
		cmocka_unit_test(test_threads_that_are_no_reactors_send),
		cmocka_unit_test(test_every_reactor_is_told_in_turn),
		cmocka_unit_test(test_the_only_reactor_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
