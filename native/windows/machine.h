// What a machine is like: its drives, its folders, and the account of this process. Reads only.
#pragma once

#include <napi.h>

/* machineFacts. */
void register_machine(Napi::Env env, Napi::Object exports);
