# The addon, as node-gyp builds it on Windows with MSVC, for x64 and arm64. Nobody has built it this way yet: here it is cross-compiled with
# MinGW (scripts/test-windows.mjs). What ends in `-plumbing` goes on where a step did not read back, and `tell` and `try-job` are what the tests run: none is shipped.
{
  'target_defaults': {
    'defines': ['NAPI_VERSION=8', 'UNICODE', '_UNICODE', '_WIN32_WINNT=0x0A00', 'WIN32_LEAN_AND_MEAN', 'NOMINMAX', "CODEX_SANDBOX_VERSION=<!(node -p \"require('../../package.json').version\")"],
    'msvs_settings': {
      'VCCLCompilerTool': {'WarningLevel': 4, 'WarnAsError': 'true', 'ExceptionHandling': 1, 'AdditionalOptions': ['/std:c++17', '/guard:cf']},
      'VCLinkerTool': {'AdditionalOptions': ['/guard:cf', '/CETCOMPAT:NO']},
    },
  },
  'variables': {
    'sources_of_the_addon': ['addon.cc', 'token.cc', 'access_list.cc', 'secret.cc', 'file_identity.cc', 'machine.cc', 'entry.cc', 'descriptor_text.cc', 'unseen.cc', 'accounts.cc', 'account_names.cc', 'groups.cc', 'logon_rights.cc', 'logon_screen.cc', 'firewall.cc', 'firewall_rules.cc', 'objects.cc', 'elevation.cc', 'places.cc', 'read_back.cc'],
    'sources_of_the_runner': ['runner.cc', 'broker.cc', 'channel.cc', 'command.cc', 'job.cc', 'desktop.cc', 'descriptor.cc', 'terminal.cc', 'token.cc', 'secret.cc', 'read_back.cc'],
    'libraries_of_the_addon': ['advapi32.lib', 'crypt32.lib', 'ole32.lib', 'shell32.lib', 'netapi32.lib', 'userenv.lib', 'oleaut32.lib'],
    'libraries_of_the_runner': ['advapi32.lib', 'crypt32.lib', 'user32.lib'],
  },
  'targets': [
    {
      'target_name': 'addon',
      'sources': ['<@(sources_of_the_addon)'],
      'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
      'defines': ['NAPI_CPP_EXCEPTIONS'],
      'libraries': ['<@(libraries_of_the_addon)'],
    },
    {
      'target_name': 'addon-plumbing',
      'sources': ['<@(sources_of_the_addon)'],
      'include_dirs': ["<!(node -p \"require('node-addon-api').include_dir\")"],
      'defines': ['NAPI_CPP_EXCEPTIONS', 'CODEX_SANDBOX_TEST_PAST_READ_BACK'],
      'libraries': ['<@(libraries_of_the_addon)'],
    },
    {
      'target_name': 'codex-sandbox-runner',
      'type': 'executable',
      'sources': ['<@(sources_of_the_runner)'],
      'libraries': ['<@(libraries_of_the_runner)'],
      'msvs_settings': {'VCLinkerTool': {'SubSystem': 1}},
    },
    {
      'target_name': 'codex-sandbox-runner-plumbing',
      'type': 'executable',
      'sources': ['<@(sources_of_the_runner)'],
      'defines': ['CODEX_SANDBOX_TEST_PAST_READ_BACK'],
      'libraries': ['<@(libraries_of_the_runner)'],
      'msvs_settings': {'VCLinkerTool': {'SubSystem': 1}},
    },
    {
      'target_name': 'try-job',
      'type': 'executable',
      'sources': ['../../test/windows/programs/try-job.cc', 'job.cc', 'read_back.cc'],
      'libraries': ['advapi32.lib'],
      'msvs_settings': {'VCLinkerTool': {'SubSystem': 1}},
    },
    {
      'target_name': 'tell',
      'type': 'executable',
      'sources': ['../../test/windows/programs/tell.cc'],
      'msvs_settings': {'VCLinkerTool': {'SubSystem': 1}},
    },
  ],
}
