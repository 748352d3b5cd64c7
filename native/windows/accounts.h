// Local accounts, and what this machine asks of them.
#pragma once

#include <napi.h>

/* accountPolicy, nameOfSid, readAccount, addAccount, setAccount, removeAccount, logOn. */
void register_accounts(Napi::Env env, Napi::Object exports);
