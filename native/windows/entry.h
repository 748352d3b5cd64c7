// What stands at a path: its kind, which file it is, and where a link leads. Reads only.
#pragma once

#include <napi.h>

/* lookAt. */
void register_entry(Napi::Env env, Napi::Object exports);
