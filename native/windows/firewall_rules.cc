#include "firewall_rules.h"

#include <windows.h>

#include <netfw.h>

#include "com.h"
#include "failure.h"

namespace {

Reference<INetFwPolicy2> open_policy(const char *step)
{
	return create<INetFwPolicy2>(__uuidof(NetFwPolicy2), step);
}

Reference<INetFwRules> rules_of(INetFwPolicy2 *policy, const char *step)
{
	Reference<INetFwRules> rules;
	require_com(policy->get_Rules(rules.out()), step);
	return rules;
}

template <typename Get> std::wstring text_from(Get get, const char *step)
{
	Text text;
	require_com(get(text.out()), step);
	return text.value();
}

FirewallRule read_rule(INetFwRule *found, const char *step)
{
	auto third = as<INetFwRule3>(found, step);
	FirewallRule rule;
	rule.name = text_from([&](BSTR *out) { return found->get_Name(out); }, step);
	rule.description = text_from([&](BSTR *out) { return found->get_Description(out); }, step);
	rule.grouping = text_from([&](BSTR *out) { return found->get_Grouping(out); }, step);
	rule.application = text_from([&](BSTR *out) { return found->get_ApplicationName(out); }, step);
	rule.service = text_from([&](BSTR *out) { return found->get_ServiceName(out); }, step);
	rule.interface_types = text_from([&](BSTR *out) { return found->get_InterfaceTypes(out); }, step);
	rule.local_addresses = text_from([&](BSTR *out) { return found->get_LocalAddresses(out); }, step);
	rule.remote_addresses = text_from([&](BSTR *out) { return found->get_RemoteAddresses(out); }, step);
	rule.local_ports = text_from([&](BSTR *out) { return found->get_LocalPorts(out); }, step);
	rule.remote_ports = text_from([&](BSTR *out) { return found->get_RemotePorts(out); }, step);
	rule.local_user = text_from([&](BSTR *out) { return third->get_LocalUserAuthorizedList(out); }, step);
	rule.package = text_from([&](BSTR *out) { return third->get_LocalAppPackageId(out); }, step);
	NET_FW_RULE_DIRECTION direction = NET_FW_RULE_DIR_IN;
	NET_FW_ACTION action = NET_FW_ACTION_ALLOW;
	VARIANT_BOOL enabled = VARIANT_FALSE;
	Variant interfaces;
	require_com(found->get_Direction(&direction), step);
	require_com(found->get_Protocol(&rule.protocol), step);
	require_com(found->get_Profiles(&rule.profiles), step);
	require_com(found->get_Action(&action), step);
	require_com(found->get_Enabled(&enabled), step);
	require_com(found->get_Interfaces(interfaces.out()), step);
	rule.direction = direction;
	rule.action = action;
	rule.enabled = enabled != VARIANT_FALSE;
	rule.some_interfaces = interfaces.get().vt != VT_EMPTY && interfaces.get().vt != VT_NULL;
	return rule;
}

/* Protocol before ports: ports of a rule for any protocol are refused. */
void fill_rule(INetFwRule *target, const FirewallRule &rule, const char *step)
{
	auto third = as<INetFwRule3>(target, step);
	require_com(target->put_Description(Text(rule.description).get()), step);
	require_com(target->put_Grouping(Text(rule.grouping).get()), step);
	require_com(target->put_Protocol(rule.protocol), step);
	if (!rule.remote_ports.empty())
		require_com(target->put_RemotePorts(Text(rule.remote_ports).get()), step);
	require_com(target->put_RemoteAddresses(Text(rule.remote_addresses).get()), step);
	require_com(target->put_LocalAddresses(Text(L"*").get()), step);
	require_com(target->put_Direction(static_cast<NET_FW_RULE_DIRECTION>(rule.direction)), step);
	require_com(target->put_InterfaceTypes(Text(L"All").get()), step);
	require_com(target->put_Profiles(NET_FW_PROFILE2_ALL), step);
	require_com(target->put_Action(NET_FW_ACTION_BLOCK), step);
	require_com(third->put_LocalUserAuthorizedList(Text(rule.local_user).get()), step);
	require_com(target->put_Enabled(VARIANT_TRUE), step);
}

/* Null where there is none of this name. */
Reference<INetFwRule> find_rule(INetFwRules *rules, const std::wstring &name, const char *step)
{
	Reference<INetFwRule> found;
	HRESULT result = rules->Item(Text(name).get(), found.out());
	if (result != HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND))
		require_com(result, step);
	return found;
}

} // namespace

FirewallState firewall_state()
{
	const char *step = "firewall_state";
	Com com(step);
	auto policy = open_policy(step);
	FirewallState state;
	NET_FW_MODIFY_STATE modify = NET_FW_MODIFY_STATE_OK;
	require_com(policy->get_LocalPolicyModifyState(&modify), step);
	state.modify = modify;
	for (auto profile : { NET_FW_PROFILE2_DOMAIN, NET_FW_PROFILE2_PRIVATE, NET_FW_PROFILE2_PUBLIC }) {
		VARIANT_BOOL enabled = VARIANT_FALSE;
		require_com(policy->get_FirewallEnabled(profile, &enabled), step);
		if (enabled == VARIANT_FALSE)
			state.off.push_back(profile);
	}
	return state;
}

std::vector<FirewallRule> read_firewall_rules(const std::wstring &name)
{
	const char *step = "read_firewall_rules";
	Com com(step);
	auto policy = open_policy(step);
	auto rules = rules_of(policy.get(), step);
	Reference<IUnknown> unknown;
	require_com(rules->get__NewEnum(unknown.out()), step);
	auto each = as<IEnumVARIANT>(unknown.get(), step);
	std::vector<FirewallRule> found;
	for (;;) {
		Variant item;
		ULONG count = 0;
		HRESULT next = each->Next(1, item.out(), &count);
		require_com(next, step);
		if (next != S_OK || count == 0)
			return found;
		if (item.get().vt != VT_DISPATCH || item.get().pdispVal == nullptr)
			throw StepFailure(step, ERROR_INVALID_DATA, "an entry that is no rule");
		auto rule = as<INetFwRule>(item.get().pdispVal, step);
		if (text_from([&](BSTR *out) { return rule->get_Name(out); }, step) == name)
			found.push_back(read_rule(rule.get(), step));
	}
}

void put_firewall_rule(const FirewallRule &rule)
{
	const char *step = "put_firewall_rule";
	Com com(step);
	auto policy = open_policy(step);
	auto rules = rules_of(policy.get(), step);
	auto there = find_rule(rules.get(), rule.name, step);
	if (there.get() != nullptr) {
		fill_rule(there.get(), rule, step);
		return;
	}
	auto made = create<INetFwRule>(__uuidof(NetFwRule), step);
	require_com(made->put_Name(Text(rule.name).get()), step);
	fill_rule(made.get(), rule, step);
	long before = 0, after = 0;
	require_com(rules->get_Count(&before), step);
	require_com(rules->Add(made.get()), step);
	require_com(rules->get_Count(&after), step);
	require_read_back(after == before + 1, step, std::to_string(after) + " rules after " + std::to_string(before));
}

void remove_firewall_rule(const std::wstring &name)
{
	const char *step = "remove_firewall_rule";
	Com com(step);
	auto policy = open_policy(step);
	auto rules = rules_of(policy.get(), step);
	require_com(rules->Remove(Text(name).get()), step);
}
