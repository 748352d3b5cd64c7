// Local groups and who is in them.
#pragma once

#include <napi.h>

/* readGroup, addGroup, removeGroup, addMember, removeMember. */
void register_groups(Napi::Env env, Napi::Object exports);
