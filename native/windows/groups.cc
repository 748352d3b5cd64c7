#include "groups.h"

#include <optional>
#include <vector>

#include "account_names.h"
#include "net_api.h"
#include "sid.h"
#include "work.h"

namespace {

struct Group {
	std::wstring sid, comment;
	std::vector<std::wstring> members;
};

std::optional<Group> read_group(const std::wstring &name)
{
	const char *step = "read_group";
	auto looked = look_up(on_this_machine(name, step), step);
	if (!looked)
		return std::nullopt;
	if (looked->use != SidTypeAlias)
		throw StepFailure(step, ERROR_ALIAS_EXISTS, "something of this name is there that is no local group");
	Group group;
	group.sid = looked->sid;
	NetBuffer<LOCALGROUP_INFO_1> about;
	require_net(NetLocalGroupGetInfo(nullptr, name.c_str(), 1, about.out()), step);
	group.comment = text_of(about.get()->lgrpi1_comment);
	NetBuffer<LOCALGROUP_MEMBERS_INFO_0> members;
	DWORD count = 0, total = 0;
	require_net(NetLocalGroupGetMembers(nullptr, name.c_str(), 0, members.out(), MAX_PREFERRED_LENGTH, &count, &total, nullptr), step);
	for (DWORD i = 0; i < count; i++)
		group.members.push_back(sid_text(members.get()[i].lgrmi0_sid, step));
	return group;
}

void add_group(const std::wstring &name, const std::wstring &comment)
{
	std::wstring own_name = name, own_comment = comment;
	LOCALGROUP_INFO_1 group = { own_name.data(), own_comment.data() };
	require_net(NetLocalGroupAdd(nullptr, 1, reinterpret_cast<LPBYTE>(&group), nullptr), "add_group");
}

void remove_group(const std::wstring &name)
{
	NET_API_STATUS status = NetLocalGroupDel(nullptr, name.c_str());
	if (status != NERR_GroupNotFound && status != ERROR_NO_SUCH_ALIAS)
		require_net(status, "remove_group");
}

/* Built-in groups have other names in other languages. */
std::wstring group_name(const std::wstring &sid, const char *step)
{
	auto named = name_of(Sid(sid, step).get(), step);
	if (!named)
		throw StepFailure(step, ERROR_NO_SUCH_ALIAS);
	return named->name;
}

/* `done`: what the call says where nothing is left to do. */
void change_member(const std::wstring &group, const std::wstring &member, const char *step, decltype(&NetLocalGroupAddMembers) call, NET_API_STATUS done)
{
	auto name = group_name(group, step);
	Sid sid(member, step);
	LOCALGROUP_MEMBERS_INFO_0 one = { sid.get() };
	NET_API_STATUS status = call(nullptr, name.c_str(), 0, reinterpret_cast<LPBYTE>(&one), 1);
	if (status != done)
		require_net(status, step);
}

void add_member(const std::wstring &group, const std::wstring &member)
{
	change_member(group, member, "add_member", &NetLocalGroupAddMembers, ERROR_MEMBER_IN_ALIAS);
}

void remove_member(const std::wstring &group, const std::wstring &member)
{
	change_member(group, member, "remove_member", &NetLocalGroupDelMembers, ERROR_MEMBER_NOT_IN_ALIAS);
}

Napi::Value ReadGroup(const Napi::CallbackInfo &info)
{
	auto name = wide(info[0]);
	return Work<std::optional<Group>>::start(info.Env(), [name] { return read_group(name); }, [](Napi::Env env, const std::optional<Group> &found) -> Napi::Value {
		if (!found)
			return env.Undefined();
		auto group = Napi::Object::New(env);
		group.Set("sid", text(env, found->sid));
		group.Set("comment", text(env, found->comment));
		group.Set("members", texts(env, found->members));
		return group;
	});
}

} // namespace

void register_groups(Napi::Env env, Napi::Object exports)
{
	exports.Set("readGroup", Napi::Function::New(env, ReadGroup));
	exports.Set("addGroup", Napi::Function::New(env, OfTwo<add_group>));
	exports.Set("removeGroup", Napi::Function::New(env, OfOne<remove_group>));
	exports.Set("addMember", Napi::Function::New(env, OfTwo<add_member>));
	exports.Set("removeMember", Napi::Function::New(env, OfTwo<remove_member>));
}
