// Files and folders that nobody removes or moves while they are held.
#pragma once

#include <napi.h>

/* holdPlace. */
void register_places(Napi::Env env, Napi::Object exports);
