// The firewall's rules and its state, for JavaScript.
#pragma once

#include <napi.h>

/* firewallState, readFirewallRules, putFirewallRule, removeFirewallRule. */
void register_firewall(Napi::Env env, Napi::Object exports);
