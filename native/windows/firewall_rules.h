// Rules of the firewall, and whether it is on. Each function throws StepFailure, and takes its time: it belongs into a Work (work.h).
#pragma once

#include <string>
#include <vector>

struct FirewallState {
	/* NET_FW_MODIFY_STATE. */
	long modify = 0;
	/* NET_FW_PROFILE_TYPE2 of those in which it is off. */
	std::vector<long> off;
};

FirewallState firewall_state();

struct FirewallRule {
	std::wstring name, description, grouping, application, service, interface_types, local_addresses, local_ports, remote_addresses, remote_ports, local_user, package;
	long direction = 0, protocol = 0, profiles = 0, action = 0;
	bool enabled = false, some_interfaces = false;
};

/* All of this name: the firewall lets several have one. */
std::vector<FirewallRule> read_firewall_rules(const std::wstring &name);

/* One that is there is changed in its place, so that at no time there is none. */
void put_firewall_rule(const FirewallRule &rule);

void remove_firewall_rule(const std::wstring &name);
