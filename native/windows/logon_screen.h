// Whether the logon screen shows an account.
#pragma once

#include <napi.h>

/* isHidden, hide, unhide. */
void register_logon_screen(Napi::Env env, Napi::Object exports);
