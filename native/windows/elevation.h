// Starts a program with an administrator's consent, and holds the lock of set-up.
#pragma once

#include <napi.h>

/* runElevated, holdLock, releaseLock. */
void register_elevation(Napi::Env env, Napi::Object exports);
