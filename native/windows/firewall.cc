#include "firewall.h"

#include <windows.h>

#include <netfw.h>
#include <oleauto.h>

#include <optional>
#include <string>
#include <vector>

#include "failure.h"
#include "values.h"
#include "work.h"

namespace {

void require_com(HRESULT result, const char *step)
{
	if (FAILED(result))
		throw StepFailure(step, static_cast<DWORD>(result));
}

/* Of the thread that works. */
class Com {
public:
	explicit Com(const char *step) : result_(CoInitializeEx(nullptr, COINIT_MULTITHREADED))
	{
		if (FAILED(result_) && result_ != RPC_E_CHANGED_MODE)
			require_com(result_, step);
	}
	~Com()
	{
		if (SUCCEEDED(result_))
			CoUninitialize();
	}
	Com(const Com &) = delete;
	Com &operator=(const Com &) = delete;

private:
	HRESULT result_;
};

/* What COM counts. */
template <typename T> class Reference {
public:
	Reference() = default;
	Reference(Reference &&other) noexcept : pointer_(other.pointer_) { other.pointer_ = nullptr; }
	Reference(const Reference &) = delete;
	Reference &operator=(const Reference &) = delete;
	~Reference()
	{
		if (pointer_ != nullptr)
			pointer_->Release();
	}
	T *operator->() const { return pointer_; }
	T *get() const { return pointer_; }
	T **out() { return &pointer_; }

private:
	T *pointer_ = nullptr;
};

class Text {
public:
	Text() = default;
	explicit Text(const std::wstring &text) : text_(SysAllocStringLen(text.data(), static_cast<UINT>(text.size()))) {}
	Text(const Text &) = delete;
	Text &operator=(const Text &) = delete;
	~Text() { SysFreeString(text_); }
	BSTR get() const { return text_; }
	BSTR *out() { return &text_; }
	std::wstring value() const { return text_ == nullptr ? std::wstring() : std::wstring(text_, SysStringLen(text_)); }

private:
	BSTR text_ = nullptr;
};

class Variant {
public:
	Variant() { VariantInit(&value_); }
	~Variant() { VariantClear(&value_); }
	Variant(const Variant &) = delete;
	Variant &operator=(const Variant &) = delete;
	VARIANT *out() { return &value_; }
	const VARIANT &get() const { return value_; }

private:
	VARIANT value_;
};

template <typename T, typename From> Reference<T> as(From *from, const char *step)
{
	Reference<T> found;
	require_com(from->QueryInterface(__uuidof(T), reinterpret_cast<void **>(found.out())), step);
	return found;
}

template <typename T> Reference<T> create(const CLSID &which, const char *step)
{
	Reference<T> made;
	require_com(CoCreateInstance(which, nullptr, CLSCTX_INPROC_SERVER, __uuidof(T), reinterpret_cast<void **>(made.out())), step);
	return made;
}

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

/* ---- state ---- */

struct State {
	/* NET_FW_MODIFY_STATE. */
	long modify = 0;
	/* NET_FW_PROFILE_TYPE2 of those in which it is off. */
	std::vector<long> off;
};

State firewall_state()
{
	const char *step = "firewall_state";
	Com com(step);
	auto policy = open_policy(step);
	State state;
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

/* ---- rules ---- */

struct Rule {
	std::wstring name, description, grouping, application, service, interface_types, local_addresses, local_ports, remote_addresses, remote_ports, local_user, package;
	long direction = 0, protocol = 0, profiles = 0, action = 0;
	bool enabled = false, some_interfaces = false;
};

template <typename Get> std::wstring text_from(Get get, const char *step)
{
	Text text;
	require_com(get(text.out()), step);
	return text.value();
}

Rule read_rule(INetFwRule *found, const char *step)
{
	auto third = as<INetFwRule3>(found, step);
	Rule rule;
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

/* All of this name: the firewall lets several have one. */
std::vector<Rule> read_rules(const std::wstring &name)
{
	const char *step = "read_firewall_rules";
	Com com(step);
	auto policy = open_policy(step);
	auto rules = rules_of(policy.get(), step);
	Reference<IUnknown> unknown;
	require_com(rules->get__NewEnum(unknown.out()), step);
	auto each = as<IEnumVARIANT>(unknown.get(), step);
	std::vector<Rule> found;
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

/* Protocol before ports: ports of a rule for any protocol are refused. */
void fill_rule(INetFwRule *target, const Rule &rule, const char *step)
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

/* One that is there is changed in its place, so that at no time there is none. */
void put_rule(const Rule &rule)
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

void remove_rule(const std::wstring &name)
{
	const char *step = "remove_firewall_rule";
	Com com(step);
	auto policy = open_policy(step);
	auto rules = rules_of(policy.get(), step);
	require_com(rules->Remove(Text(name).get()), step);
}

/* ---- to JavaScript ---- */

Napi::Value FirewallState(const Napi::CallbackInfo &info)
{
	return Work<State>::start(info.Env(), firewall_state, [](Napi::Env env, const State &found) -> Napi::Value {
		auto state = Napi::Object::New(env);
		auto off = Napi::Array::New(env, found.off.size());
		for (size_t i = 0; i < found.off.size(); i++)
			off.Set(static_cast<uint32_t>(i), Napi::Number::New(env, found.off[i]));
		state.Set("modifyState", Napi::Number::New(env, found.modify));
		state.Set("offIn", off);
		return state;
	});
}

Napi::Value ReadFirewallRules(const Napi::CallbackInfo &info)
{
	auto name = wide(info[0]);
	return Work<std::vector<Rule>>::start(info.Env(), [name] { return read_rules(name); }, [](Napi::Env env, const std::vector<Rule> &found) -> Napi::Value {
		auto rules = Napi::Array::New(env, found.size());
		for (size_t i = 0; i < found.size(); i++) {
			const auto &rule = found[i];
			auto one = Napi::Object::New(env);
			one.Set("name", text(env, rule.name));
			one.Set("description", text(env, rule.description));
			one.Set("grouping", text(env, rule.grouping));
			one.Set("application", text(env, rule.application));
			one.Set("service", text(env, rule.service));
			one.Set("interfaceTypes", text(env, rule.interface_types));
			one.Set("localAddresses", text(env, rule.local_addresses));
			one.Set("localPorts", text(env, rule.local_ports));
			one.Set("remoteAddresses", text(env, rule.remote_addresses));
			one.Set("remotePorts", text(env, rule.remote_ports));
			one.Set("localUser", text(env, rule.local_user));
			one.Set("package", text(env, rule.package));
			one.Set("direction", Napi::Number::New(env, rule.direction));
			one.Set("protocol", Napi::Number::New(env, rule.protocol));
			one.Set("profiles", Napi::Number::New(env, rule.profiles));
			one.Set("action", Napi::Number::New(env, rule.action));
			one.Set("enabled", Napi::Boolean::New(env, rule.enabled));
			one.Set("someInterfaces", Napi::Boolean::New(env, rule.some_interfaces));
			rules.Set(static_cast<uint32_t>(i), one);
		}
		return rules;
	});
}

Napi::Value PutFirewallRule(const Napi::CallbackInfo &info)
{
	auto given = info[0].As<Napi::Object>();
	Rule rule;
	rule.name = wide(given.Get("name"));
	rule.description = wide(given.Get("description"));
	rule.grouping = wide(given.Get("grouping"));
	rule.remote_addresses = wide(given.Get("remoteAddresses"));
	rule.remote_ports = wide(given.Get("remotePorts"));
	rule.local_user = wide(given.Get("localUser"));
	rule.direction = static_cast<long>(number(given, "direction"));
	rule.protocol = static_cast<long>(number(given, "protocol"));
	return start_doing(info.Env(), [rule] { put_rule(rule); });
}

Napi::Value RemoveFirewallRule(const Napi::CallbackInfo &info)
{
	auto name = wide(info[0]);
	return start_doing(info.Env(), [name] { remove_rule(name); });
}

} // namespace

void register_firewall(Napi::Env env, Napi::Object exports)
{
	exports.Set("firewallState", Napi::Function::New(env, FirewallState));
	exports.Set("readFirewallRules", Napi::Function::New(env, ReadFirewallRules));
	exports.Set("putFirewallRule", Napi::Function::New(env, PutFirewallRule));
	exports.Set("removeFirewallRule", Napi::Function::New(env, RemoveFirewallRule));
}
