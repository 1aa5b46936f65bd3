/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling a service manager that we are up, and that we leave (sd_notify(3)).
 *
 * Threading: any thread.
 */
#ifndef TGT_NOTIFY_H
#define TGT_NOTIFY_H

/** tgt_notify() - send @state ("READY=1") to $NOTIFY_SOCKET; nothing happens when there is none */
void tgt_notify(const char *state);

#endif
