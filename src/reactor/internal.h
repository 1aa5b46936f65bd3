/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the reactor room share: the reactor itself and its parts.
 *
 * Threading: a struct reactor belongs to its own thread, except for the fields under "others".
 */
#ifndef REACTOR_INTERNAL_H
#define REACTOR_INTERNAL_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/container_of.h"
#include "base/log.h"
#include "base/ring.h"
#include "reactor/backend.h"
#include "reactor/io.h"
#include "reactor/reactor.h"

LOG_FLAG_DECLARE(reactor);

#define REACTOR_MAX  128u
#define REACTOR_RING 1024u
#define CACHE_LINE   64

/** struct msg_list - messages in order; @tail is valid only while @head is not NULL */
struct msg_list {
	struct reactor_msg *head;
	struct reactor_msg *tail;
};

static inline void msg_list_add(struct msg_list *l, struct reactor_msg *msg)
{
	msg->next = NULL;
	if (l->head)
		l->tail->next = msg;
	else
		l->head = msg;
	l->tail = msg;
}

static inline struct reactor_msg *msg_list_take(struct msg_list *l)
{
	struct reactor_msg *msg = l->head;

	if (msg)
		l->head = msg->next;
	return msg;
}

/**
 * struct buffer_pool - buffers of one size
 * @fresh: buffers from this index on were never handed out, so their pages are untouched
 * @free_head: given back, last first, linked through their first bytes
 */
struct buffer_pool {
	uint8_t *base;
	size_t mapped;
	uint32_t size;
	uint32_t total;
	uint32_t fresh;
	uint32_t used;
	void *free_head;
	struct reactor_buffer_wait *wait_head;
	struct reactor_buffer_wait *wait_tail;
	uint32_t waiting;
	bool serving;
	struct reactor_msg serve;
};

/**
 * struct recv_buffers - the pieces that sockets are received into
 * @issued: buffers that are in use at all; the rest of the mapping was never touched
 * @held: of those, how many are with a consumer
 * @free_head: given back (epoll; io_uring's are in its ring)
 * @starved: receivers that found no buffer, in order
 */
struct recv_buffers {
	uint8_t *base;
	uint32_t total;
	uint32_t issued;
	uint32_t held;
	void *free_head;
	struct reactor_recv *starved;
	struct reactor_recv *starved_tail;
};

#define RECV_BUFFERS_MAX   512u
#define RECV_BUFFERS_START 16u

struct timer_heap {
	struct reactor_timer **at;
	uint32_t count;
	uint32_t capacity;
};

struct reactor {
	const struct backend_ops *ops;
	void *backend;
	uint64_t now_ns;
	struct msg_list deferred;
	struct reactor_flush *flushes;
	struct reactor_flush **flushes_tail;
	struct reactor_poller *pollers;
	struct reactor_poller *poller_next; /* the one pollers_run() looks at after this one */
	struct timer_heap timers;
	struct ring *from;	  /* [sender]: messages to this reactor */
	struct msg_list *backlog; /* [receiver]: did not fit into the ring */
	unsigned int backlogged;  /* receivers with a backlog */
	bool *touched;		  /* [receiver]: got a message in this turn */
	unsigned int *touched_list;
	unsigned int touched_count;
	struct buffer_pool small, large;
	struct recv_buffers recv;
	struct reactor_stats stats;
	unsigned int index;
	unsigned int core;
	bool started;
	pthread_t thread;
	int wake_fd;

	/* Others: read and written by any thread. */
	_Alignas(CACHE_LINE) _Atomic bool sleeping;
	_Atomic bool stop;
	_Atomic bool foreign_pending;
	pthread_mutex_t foreign_lock;
	struct msg_list foreign;
};

/* cores.c */
/**
 * struct core_plan - the cores of a program
 * @pinned: each reactor is held on its core
 * @shared: there are fewer cores than programs that spin: give way while spinning
 * @allowed: the affinity mask at start, for threads that are no reactors
 */
struct core_plan {
	unsigned int count;
	unsigned int cores[REACTOR_MAX];
	int locks[REACTOR_MAX];
	bool pinned;
	bool shared;
	cpu_set_t allowed;
};

int core_plan_make(struct core_plan *plan, const char *text, bool share, struct error *err);
/** core_plan_lock() - hold all locks that are not held; -EBUSY, and none more is held then */
int core_plan_lock(struct core_plan *plan, struct error *err);
void core_plan_unlock(struct core_plan *plan);
void core_plan_release(struct core_plan *plan);
void core_plan_pin(const struct core_plan *plan, unsigned int index);
void core_plan_unpin(const struct core_plan *plan);

/* system.c */
struct reactor_system {
	struct reactor_options opts;
	struct core_plan plan;
	struct reactor **reactors;
	unsigned int count;
	const struct backend_ops *ops;
};
extern struct reactor_system reactor_system;
extern _Thread_local struct reactor *reactor_current;

/* loop.c */
void reactor_loop(struct reactor *r);
void flushes_init(struct reactor *r);

/* msg.c */
int messages_init(struct reactor *r, unsigned int count);
void messages_fini(struct reactor *r, unsigned int count);
bool messages_run(struct reactor *r);
bool messages_pending(struct reactor *r);
void messages_wake(struct reactor *r);
void reactor_wake(struct reactor *r);

/* work.c */
void work_fini(void);

/* timer.c */
int timers_init(struct reactor *r);
void timers_fini(struct reactor *r);
bool timers_run(struct reactor *r);

/* buffer.c */
int buffers_init(struct reactor *r, const struct reactor_options *opts);
void buffers_fini(struct reactor *r);
int recv_buffers_init(struct recv_buffers *b, uint32_t total);
void recv_buffers_fini(struct recv_buffers *b);

/*
 * A full barrier: stores before it are visible before loads behind it are made. Only the way to
 * sleep needs it; msg.c tells with whom it pairs.
 */
static inline void full_barrier(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

#endif
