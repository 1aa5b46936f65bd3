/* SPDX-License-Identifier: Apache-2.0 */
/* Work that blocks: done elsewhere, answered where it was asked for. */
#include "reactor_unit.h"

#include <assert.h>

#define COUNT 200u

struct job {
	struct reactor_work work;
	unsigned int in;
	unsigned int out;
	struct jobs *all;
};

struct jobs {
	struct job jobs[COUNT];
	struct reactor_msg begin;
	struct reactor_msg end;
	struct reactor *home;
	unsigned int done;
};

static void job_run(struct reactor_work *work)
{
	struct job *j = container_of(work, struct job, work);

	assert(reactor_self() == NULL);
	j->out = j->in * 2;
}

static void jobs_end(struct reactor_msg *msg)
{
	(void)msg;
	reactor_system_stop();
}

static void job_done(struct reactor_work *work)
{
	struct job *j = container_of(work, struct job, work);

	assert(reactor_self() == j->all->home);
	assert(j->out == j->in * 2);
	if (++j->all->done < COUNT)
		return;
	j->all->end.fn = jobs_end;
	reactor_send(reactor_at(0), &j->all->end);
}

static void jobs_begin(struct reactor_msg *msg)
{
	struct jobs *all = container_of(msg, struct jobs, begin);

	all->home = reactor_self();
	for (unsigned int i = 0; i < COUNT; i++) {
		struct job *j = &all->jobs[i];

		j->work.run = job_run;
		j->work.done = job_done;
		j->in = i;
		j->all = all;
		reactor_work_start(&j->work);
	}
	assert(all->done == 0);
}

static void jobs_start(void *arg)
{
	struct jobs *all = arg;

	all->begin.fn = jobs_begin;
	reactor_send(reactor_at(reactor_count() - 1), &all->begin);
}

static void test_work_is_answered_on_its_reactor(void **state)
{
	static struct jobs one, two;

	(void)state;
	unit_run(1, jobs_start, &one);
	assert_int_equal(one.done, COUNT);
	unit_run(2, jobs_start, &two);
	assert_int_equal(two.done, COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_work_is_answered_on_its_reactor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
