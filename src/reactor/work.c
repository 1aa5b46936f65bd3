/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helper threads for what blocks: few, made on first need, kept until the end.
 *
 * Threading: the queue and the counts are under one lock; run() is called without it.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "reactor/internal.h"

#define WORK_THREADS 8u

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct reactor_work *head;
	struct reactor_work *tail;
	pthread_t threads[WORK_THREADS];
	unsigned int count;
	unsigned int idle;
	unsigned int queued;
	bool stop;
} pool = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
};

static void work_done(struct reactor_msg *msg)
{
	struct reactor_work *work = container_of(msg, struct reactor_work, msg);

	work->done(work);
}

/* With the lock held; NULL when the threads shall end. */
static struct reactor_work *work_take(void)
{
	struct reactor_work *work;

	while (!pool.head && !pool.stop) {
		pool.idle++;
		pthread_cond_wait(&pool.more, &pool.lock);
		pool.idle--;
	}
	work = pool.head;
	if (work) {
		pool.head = work->next;
		pool.queued--;
	}
	return work;
}

static void *work_thread(void *arg)
{
	struct reactor_work *work;

	(void)arg;
	reactor_thread_unpin();
	pthread_mutex_lock(&pool.lock);
	while ((work = work_take()) != NULL) {
		pthread_mutex_unlock(&pool.lock);
		work->run(work);
		reactor_send_foreign(work->origin, &work->msg);
		pthread_mutex_lock(&pool.lock);
	}
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

/* With the lock held. Signals are for the main thread. */
static void thread_add(void)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&pool.threads[pool.count], NULL, work_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0) {
		(void)pthread_setname_np(pool.threads[pool.count], "reactor_work");
		pool.count++;
	} else {
		log_warning("helper thread %u: %s", pool.count, error_errno_text(-rc));
	}
}

void reactor_work_start(struct reactor_work *work)
{
	bool alone;

	work->origin = reactor_current;
	work->msg.fn = work_done;
	work->next = NULL;
	pthread_mutex_lock(&pool.lock);
	if (pool.head)
		pool.tail->next = work;
	else
		pool.head = work;
	pool.tail = work;
	pool.queued++;
	if (pool.queued > pool.idle && pool.count < WORK_THREADS)
		thread_add();
	alone = pool.count == 0;
	if (alone) {
		/* Not one thread can be made: better to block this reactor than to hang. */
		pool.head = NULL;
		pool.queued = 0;
	} else {
		pthread_cond_signal(&pool.more);
	}
	pthread_mutex_unlock(&pool.lock);
	if (alone) {
		work->run(work);
		reactor_defer(&work->msg);
	}
}

void work_fini(void)
{
	pthread_mutex_lock(&pool.lock);
	pool.stop = true;
	pthread_cond_broadcast(&pool.more);
	pthread_mutex_unlock(&pool.lock);
	for (unsigned int i = 0; i < pool.count; i++)
		pthread_join(pool.threads[i], NULL);
	pool.count = 0;
	pool.stop = false;
}
