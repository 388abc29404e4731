/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tokio 1.24 and newer, by its task vtables. What a version keeps where is in docs/runtimes.md. */
#ifndef RUNTIME_TOKIO_H
#define RUNTIME_TOKIO_H

#include "runtime/runtime.h"

#define TOKIO_MIN_MINOR 24 /* tokio/src/runtime/task/raw.rs has had this vtable since 1.24 */

extern const struct runtime_ops tokio_runtime;

#endif
