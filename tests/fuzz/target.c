/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libFuzzer target: each input is an image in the short form (image.h).
 *
 * Threading: libFuzzer has the main thread; reactor 0 has one of its own, to which inputs are sent
 * one at a time.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/log.h"
#include "image.h"
#include "kit.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

static struct work {
	struct reactor_msg msg;
	sem_t ready, done;
	const uint8_t *data;
	size_t size;
} work;

static void try_fiber(void *arg)
{
	(void)arg;
	image_try(work.data, work.size);
	sem_post(&work.done);
}

static void try_msg(struct reactor_msg *msg)
{
	(void)msg;
	kit_must(fiber_start(try_fiber, NULL), NULL);
}

/* A fiber that never ends, so that the reactor goes on. */
static void serve(void *arg)
{
	struct fiber_event never = FIBER_EVENT_INIT;

	(void)arg;
	image_open();
	sem_post(&work.ready);
	fiber_event_wait(&never);
}

static void *reactor_thread(void *arg)
{
	kit_fiber(1, serve, NULL);
	return arg;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	pthread_t thread;

	(void)argc;
	(void)argv;
	log_set_level(LOG_DISABLED);
	log_set_print_level(LOG_DISABLED);
	sem_init(&work.ready, 0, 0);
	sem_init(&work.done, 0, 0);
	if (pthread_create(&thread, NULL, reactor_thread, NULL) != 0)
		abort();
	sem_wait(&work.ready);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	work.data = data;
	work.size = size;
	work.msg.fn = try_msg;
	reactor_send_foreign(reactor_at(0), &work.msg);
	sem_wait(&work.done);
	return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	struct random random = { .state = seed };

	return image_mutate(data, size, max, &random);
}
