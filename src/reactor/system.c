/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making, running and ending the reactors of a program, and the choice of the backend.
 *
 * Threading: start, run and fini are the main thread's; what is set up by start is read by all.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpuset.h"
#include "reactor/fiber.h"
#include "reactor/internal.h"

LOG_FLAG_DEFINE(reactor);

/*
 * Waking a sleeper costs 50 to 100 us; a reactor spins about twice that, so that it loses at most
 * as much again as it could have saved, and work that comes in short intervals finds it awake.
 */
#define SPIN_NS UINT64_C(200000)

#define BACKEND_ENV "CYBORG_SPDK_BACKEND"

struct reactor_system reactor_system;
_Thread_local struct reactor *reactor_current;

void reactor_options_init(struct reactor_options *opts)
{
	*opts = (struct reactor_options){
		.backend = REACTOR_BACKEND_AUTO,
		.spin_ns = SPIN_NS,
		.small_buffers = 4096,
		.large_buffers = 256,
	};
}

/* --- choice of the backend ------------------------------------------------------------------ */

static int backend_from_env(enum reactor_backend *backend, struct error *err)
{
	const char *name = getenv(BACKEND_ENV);

	if (!name || !*name)
		return 0;
	if (strcmp(name, "uring") == 0)
		*backend = REACTOR_BACKEND_URING;
	else if (strcmp(name, "epoll") == 0)
		*backend = REACTOR_BACKEND_EPOLL;
	else
		return error_set(err, -EINVAL,
				 "environment variable %s is \"%.64s\"; use uring or epoll",
				 BACKEND_ENV, name);
	return 0;
}

#define WHY_MAX (ERROR_TEXT_MAX + 64)

static void fall_back(char why[WHY_MAX], const struct error *cause)
{
	reactor_system.ops = &backend_epoll;
	snprintf(why, WHY_MAX, "%s; using epoll and libaio", cause->text);
}

/* @why says in words what log_start() tells behind the backend's name. */
static int backend_choose(enum reactor_backend want, char why[WHY_MAX], struct error *err)
{
	struct error cause = ERROR_INIT;
	int rc;

	if (want == REACTOR_BACKEND_EPOLL) {
		reactor_system.ops = &backend_epoll;
		snprintf(why, WHY_MAX, "using epoll and libaio, as asked for");
		return 0;
	}
	rc = backend_uring.probe(&cause);
	if (rc == 0) {
		reactor_system.ops = &backend_uring;
		snprintf(why, WHY_MAX, "using io_uring");
		return 0;
	}
	if (want == REACTOR_BACKEND_URING)
		return error_set(err, rc, "io_uring was asked for, but: %s", cause.text);
	error_prefix(&cause, "io_uring: ");
	fall_back(why, &cause);
	return 0;
}

static void log_start(const char *why)
{
	const struct core_plan *plan = &reactor_system.plan;
	char text[CPU_SETSIZE / 4 + 8];
	cpu_set_t set;

	CPU_ZERO(&set);
	for (unsigned int i = 0; i < plan->count; i++)
		CPU_SET(plan->cores[i], &set);
	cpuset_print(&set, text, sizeof(text));
	log_notice("%s; %u reactor%s, cores %s, %s", why, plan->count, plan->count > 1 ? "s" : "",
		   text,
		   plan->pinned	  ? "pinned"
		   : plan->shared ? "not pinned, giving way to others (all cores are held)"
				  : "not pinned");
}

/* --- a reactor ------------------------------------------------------------------------------ */

static void reactor_destroy(struct reactor *r)
{
	if (r->backend)
		r->ops->close(r);
	if (r->wake_fd >= 0)
		close(r->wake_fd);
	recv_buffers_fini(&r->recv);
	buffers_fini(r);
	timers_fini(r);
	messages_fini(r, reactor_system.count);
	free(r);
}

static int reactor_fill(struct reactor *r, struct error *err)
{
	int rc = messages_init(r, reactor_system.count);

	if (rc == 0)
		rc = timers_init(r);
	if (rc == 0)
		rc = buffers_init(r, &reactor_system.opts);
	if (rc == 0)
		rc = recv_buffers_init(&r->recv, RECV_BUFFERS_MAX);
	if (rc < 0)
		return error_set(err, rc, "reactor %u: no memory for its pools", r->index);
	/* Blocking: io_uring answers a read of a non-blocking one with -EAGAIN instead of waiting.
	 */
	r->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (r->wake_fd < 0)
		return error_set(err, -errno, "reactor %u: eventfd: %s", r->index,
				 error_errno_text(-errno));
	return r->ops->open(r, err);
}

static struct reactor *reactor_create(unsigned int index, struct error *err)
{
	struct reactor *r = aligned_alloc(CACHE_LINE, sizeof(*r));

	if (!r) {
		error_set(err, -ENOMEM, "reactor %u: no memory", index);
		return NULL;
	}
	memset(r, 0, sizeof(*r));
	r->index = index;
	r->core = reactor_system.plan.cores[index];
	r->ops = reactor_system.ops;
	r->wake_fd = -1;
	flushes_init(r);
	if (reactor_fill(r, err) < 0) {
		reactor_destroy(r);
		return NULL;
	}
	return r;
}

static void reactor_begin(struct reactor *r)
{
	core_plan_pin(&reactor_system.plan, r->index);
	reactor_current = r;
	r->now_ns = clock_ns();
	r->ops->begin(r);
}

static void *reactor_thread(void *arg)
{
	struct reactor *r = arg;

	reactor_begin(r);
	reactor_loop(r);
	fiber_fini();
	return NULL;
}

/* Signals are for the main thread. */
static int reactor_spawn(struct reactor *r, struct error *err)
{
	sigset_t all, before;
	char name[16];
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&r->thread, NULL, reactor_thread, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return error_set(err, -rc, "reactor %u: cannot make its thread: %s", r->index,
				 error_errno_text(-rc));
	snprintf(name, sizeof(name), "reactor_%u", r->index);
	(void)pthread_setname_np(r->thread, name);
	r->started = true;
	return 0;
}

/* --- the program's reactors ----------------------------------------------------------------- */

static void reactors_destroy(void)
{
	for (unsigned int i = 0; i < reactor_system.count; i++) {
		if (reactor_system.reactors[i])
			reactor_destroy(reactor_system.reactors[i]);
		reactor_system.reactors[i] = NULL;
	}
}

static int reactors_create(struct error *err)
{
	for (unsigned int i = 0; i < reactor_system.count; i++) {
		reactor_system.reactors[i] = reactor_create(i, err);
		if (!reactor_system.reactors[i]) {
			reactors_destroy();
			return err->code;
		}
	}
	return 0;
}

/*
 * One ring for the probe is not one for each reactor: locked memory is bounded for all programs of
 * a user together. Who left the choice to us gets epoll then.
 */
static int reactors_make(bool may_fall_back, char why[WHY_MAX], struct error *err)
{
	unsigned int count = reactor_system.plan.count;
	struct error cause = ERROR_INIT;
	int rc;

	reactor_system.reactors = calloc(count, sizeof(*reactor_system.reactors));
	if (!reactor_system.reactors)
		return error_set(err, -ENOMEM, "no memory for %u reactors", count);
	reactor_system.count = count;
	rc = reactors_create(&cause);
	if (rc < 0 && may_fall_back && reactor_system.ops == &backend_uring) {
		fall_back(why, &cause);
		rc = reactors_create(&cause);
	}
	if (rc < 0)
		return error_set(err, rc, "%s", cause.text);
	return 0;
}

static int reactors_spawn(struct error *err)
{
	for (unsigned int i = 1; i < reactor_system.count; i++) {
		int rc = reactor_spawn(reactor_system.reactors[i], err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int reactor_system_start(const struct reactor_options *opts, struct error *err)
{
	enum reactor_backend want = opts->backend;
	char why[WHY_MAX];
	int rc;

	assert(reactor_system.count == 0);
	reactor_system.opts = *opts;
	rc = core_plan_make(&reactor_system.plan, opts->cores, opts->share_cores, err);
	if (rc < 0)
		return rc;
	if (want == REACTOR_BACKEND_AUTO)
		rc = backend_from_env(&want, err);
	if (rc == 0)
		rc = backend_choose(want, why, err);
	if (rc == 0)
		rc = reactors_make(want == REACTOR_BACKEND_AUTO, why, err);
	if (rc == 0)
		rc = reactors_spawn(err);
	if (rc < 0) {
		reactor_system_fini();
		return rc;
	}
	log_start(why);
	return 0;
}

void reactor_thread_unpin(void)
{
	core_plan_unpin(&reactor_system.plan);
}

void reactor_system_run(void (*start)(void *arg), void *arg)
{
	struct reactor *r = reactor_system.reactors[0];

	reactor_begin(r);
	start(arg);
	reactor_loop(r);
	fiber_fini();
	reactor_current = NULL;
	core_plan_unpin(&reactor_system.plan);
}

static void reactor_stop(struct reactor *r)
{
	atomic_store_explicit(&r->stop, true, memory_order_relaxed);
	reactor_wake(r);
}

void reactor_system_stop(void)
{
	reactor_stop(reactor_system.reactors[0]);
}

void reactor_system_fini(void)
{
	for (unsigned int i = 1; i < reactor_system.count; i++) {
		struct reactor *r = reactor_system.reactors[i];

		if (!r || !r->started)
			continue;
		reactor_stop(r);
		pthread_join(r->thread, NULL);
	}
	/* What is being done still answers to a reactor. */
	work_fini();
	reactors_destroy();
	free(reactor_system.reactors);
	reactor_system.reactors = NULL;
	reactor_system.count = 0;
	core_plan_release(&reactor_system.plan);
}

int reactor_cores_lock(struct error *err)
{
	return core_plan_lock(&reactor_system.plan, err);
}

void reactor_cores_unlock(void)
{
	core_plan_unlock(&reactor_system.plan);
}

struct reactor *reactor_self(void)
{
	return reactor_current;
}

unsigned int reactor_count(void)
{
	return reactor_system.count;
}

struct reactor *reactor_at(unsigned int index)
{
	assert(index < reactor_system.count);
	return reactor_system.reactors[index];
}

unsigned int reactor_index(const struct reactor *r)
{
	return r->index;
}

unsigned int reactor_core(const struct reactor *r)
{
	return r->core;
}

const char *reactor_backend_name(void)
{
	return reactor_system.ops->name;
}
