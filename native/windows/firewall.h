// Rules of the firewall, each for one account.
#pragma once

#include <napi.h>

/* firewallState, readFirewallRules, putFirewallRule, removeFirewallRule. */
void register_firewall(Napi::Env env, Napi::Object exports);
