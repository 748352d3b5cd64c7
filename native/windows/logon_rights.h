// The rights to log on that the local security policy gives an account or group.
#pragma once

#include <napi.h>

/* readRights, addRights, removeRights. */
void register_logon_rights(Napi::Env env, Napi::Object exports);
