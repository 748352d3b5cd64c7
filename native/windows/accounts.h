// Local accounts and groups, their rights to log on, and whether the logon screen shows them.
#pragma once

#include <napi.h>

/* accountPolicy, nameOfSid, readGroup, addGroup, removeGroup, addMember, removeMember, readAccount, addAccount, setAccount, removeAccount,
 * logOn, readRights, addRights, removeRights, isHidden, hide, unhide. */
void register_accounts(Napi::Env env, Napi::Object exports);
