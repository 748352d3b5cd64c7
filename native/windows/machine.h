// What a machine is like: its drives, accounts and folders, and what stands at a path. Reads only.
#pragma once

#include <napi.h>

/* machineFacts, lookAt, readDescriptor. */
void register_machine(Napi::Env env, Napi::Object exports);
