#include "firewall.h"

#include <string>
#include <vector>

#include "firewall_rules.h"
#include "values.h"
#include "work.h"

namespace {

Napi::Value AskFirewallState(const Napi::CallbackInfo &info)
{
	return Work<FirewallState>::start(info.Env(), firewall_state, [](Napi::Env env, const FirewallState &found) -> Napi::Value {
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
	return Work<std::vector<FirewallRule>>::start(info.Env(), [name] { return read_firewall_rules(name); }, [](Napi::Env env, const std::vector<FirewallRule> &found) -> Napi::Value {
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
	FirewallRule rule;
	rule.name = wide(given.Get("name"));
	rule.description = wide(given.Get("description"));
	rule.grouping = wide(given.Get("grouping"));
	rule.remote_addresses = wide(given.Get("remoteAddresses"));
	rule.remote_ports = wide(given.Get("remotePorts"));
	rule.local_user = wide(given.Get("localUser"));
	rule.direction = static_cast<long>(number(given, "direction"));
	rule.protocol = static_cast<long>(number(given, "protocol"));
	return start_doing(info.Env(), [rule] { put_firewall_rule(rule); });
}

Napi::Value RemoveFirewallRule(const Napi::CallbackInfo &info)
{
	auto name = wide(info[0]);
	return start_doing(info.Env(), [name] { remove_firewall_rule(name); });
}

} // namespace

void register_firewall(Napi::Env env, Napi::Object exports)
{
	exports.Set("firewallState", Napi::Function::New(env, AskFirewallState));
	exports.Set("readFirewallRules", Napi::Function::New(env, ReadFirewallRules));
	exports.Set("putFirewallRule", Napi::Function::New(env, PutFirewallRule));
	exports.Set("removeFirewallRule", Napi::Function::New(env, RemoveFirewallRule));
}
