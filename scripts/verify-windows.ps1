# For a person with Windows: builds the package and its addon with Visual Studio's compiler, runs every test of the addon, those of enforcement
# included, sets the sandbox up in both modes, runs the conformance table through it, takes it away again, compares what was there before with
# what is there after, and prints a report to send. Nobody has run it yet.
#
#   powershell -ExecutionPolicy Bypass -File scripts\verify-windows.ps1            # without set-up: builds, and runs the addon's tests
#   powershell -ExecutionPolicy Bypass -File scripts\verify-windows.ps1 -SetUp     # all of it: in a window that runs as administrator
#
# Needs Node 20.19 or newer, npm, Python 3, and Visual Studio's build tools with C++ (winget install Microsoft.VisualStudio.2022.BuildTools).
#
# Without -SetUp it makes tokens, processes, jobs and files in its own temporary folders: no account, no firewall rule, no access list outside.
# With -SetUp it asks once and then makes two accounts (CsbxOffline, CsbxOnline), a group, firewall rules and entries in access lists of folders
# of its own, of your profile and of folders that everybody may write; at the end all of it is removed. Where the sandbox is set up on this
# machine already it stops before it changes anything.
param([switch] $SetUp, [switch] $Yes)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 2
$root = Split-Path -Parent $PSScriptRoot
$report = Join-Path ([System.IO.Path]::GetTempPath()) 'codex-sandbox-windows.txt'
$arch = (node -p 'process.arch')
$build = Join-Path $root 'build\windows'
$failed = New-Object System.Collections.Generic.List[string]
Set-Location $root

function Write-Report([string] $text) { Add-Content -Encoding utf8 -Path $report -Value $text }

# A step that has to work before others make sense: the first that fails ends the script.
function Invoke-Step([string] $name, [scriptblock] $work) {
	Write-Host "== $name"
	Write-Report "== $name"
	$global:LASTEXITCODE = 0
	& $work
	if ($LASTEXITCODE -ne 0) { throw "$name failed with exit code $LASTEXITCODE" }
}

# A step whose failure is part of the report. What it prints goes into it.
function Invoke-Check([string] $name, [scriptblock] $work) {
	Write-Host "== $name"
	Write-Report "== $name"
	$global:LASTEXITCODE = 0
	# Native programs write progress to stderr: that is no error.
	$before = $ErrorActionPreference
	$ErrorActionPreference = 'Continue'
	$lines = @()
	try { & $work 2>&1 | ForEach-Object { "$_" } | Tee-Object -Variable lines | Out-Host } finally { $ErrorActionPreference = $before }
	foreach ($line in $lines) { Write-Report $line }
	Write-Report "exit code $LASTEXITCODE"
	if ($LASTEXITCODE -ne 0) { $failed.Add($name) }
}

# Each path with its whole descriptor, as text that can be compared.
function Get-Lists([string[]] $paths) {
	$found = @{}
	foreach ($path in $paths) {
		if (-not (Test-Path -LiteralPath $path)) { continue }
		try { $found[$path] = (Get-Acl -LiteralPath $path).Sddl } catch { $found[$path] = "cannot be read: $($_.Exception.Message)" }
	}
	$found
}

# Every line of it stands for something that set-up may touch.
function Get-Places {
	$places = @("$env:SystemDrive\", $env:SystemRoot, "$env:SystemRoot\Temp", $env:ProgramData, $env:ProgramFiles, "$env:SystemDrive\Users", $env:PUBLIC, $env:USERPROFILE, $env:TEMP)
	foreach ($above in @("$env:SystemDrive\", $env:ProgramData, $env:PUBLIC, $env:USERPROFILE)) {
		$places += @(Get-ChildItem -LiteralPath $above -Force -ErrorAction SilentlyContinue | ForEach-Object { $_.FullName })
	}
	foreach ($entry in ($env:Path -split ';')) { if ($entry -ne '' -and (Test-Path -LiteralPath $entry)) { $places += $entry } }
	$places | Select-Object -Unique | Where-Object { $_ -notmatch 'codex-sandbox-(scene|temp|verify)' }
}

function Get-Machine {
	$accounts = @(Get-LocalUser -ErrorAction SilentlyContinue | ForEach-Object { "account $($_.Name) enabled $($_.Enabled)" })
	$groups = @(Get-LocalGroup -ErrorAction SilentlyContinue | ForEach-Object { "group $($_.Name)" })
	$rules = @(Get-NetFirewallRule -Name 'csbx*' -ErrorAction SilentlyContinue | ForEach-Object { "rule $($_.Name)" }) + @(Get-NetFirewallRule -DisplayName 'csbx*' -ErrorAction SilentlyContinue | ForEach-Object { "rule $($_.DisplayName)" })
	$hidden = @()
	$key = Get-Item -Path 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon\SpecialAccounts\UserList' -ErrorAction SilentlyContinue
	if ($null -ne $key) { $hidden = @($key.Property | ForEach-Object { "hidden $_" }) }
	@($accounts + $groups + $rules + $hidden) | Sort-Object -Unique
}

# What does not depend on a build comes first, so that a report says at least that.
$os = Get-CimInstance Win32_OperatingSystem
$isAdmin = ([Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()).IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
@(
	"codex-sandbox on Windows, $(Get-Date -Format o)"
	"$($os.Caption) $($os.Version), $env:PROCESSOR_ARCHITECTURE, node $(node --version) $arch, PowerShell $($PSVersionTable.PSVersion)"
	"domain: $((Get-CimInstance Win32_ComputerSystem).PartOfDomain), elevated: $isAdmin, file system of the profile: $((Get-Volume -DriveLetter $env:USERPROFILE.Substring(0, 1)).FileSystem)"
	"commit: $(git rev-parse HEAD 2>$null)"
) | Set-Content -Encoding utf8 $report

try {
	Invoke-Step 'install' { npm ci --ignore-scripts }
	Invoke-Step 'build the package' { node scripts/build.mjs --if-stale }
	Invoke-Step 'build the addon' { node scripts/build-windows-addon.mjs }

	New-Item -ItemType Directory -Force $build | Out-Null
	Invoke-Step 'bundle the tests' {
		$options = @('--bundle', '--platform=node', '--format=esm', '--log-level=warning')
		npx esbuild 'test/windows/product.ts' @options "--outfile=$build\product.mjs"
		if ($LASTEXITCODE -eq 0) { npx esbuild 'test/conformance/on-windows.ts' @options "--outfile=$build\on-windows.mjs" }
	}
	Copy-Item test\windows\*.test.mjs $build -Force
	$gyp = Join-Path $root 'native\windows\build\Release'
	$env:CODEX_SANDBOX_ADDON = "$gyp\addon.node"
	$env:CODEX_SANDBOX_ADDON_PLUMBING = "$gyp\addon-plumbing.node"
	$env:CODEX_SANDBOX_TELL = "$gyp\tell.exe"
	$env:CODEX_SANDBOX_TRY_JOB = "$gyp\try-job.exe"
	$env:CODEX_SANDBOX_RUNNER = "$gyp\codex-sandbox-runner.exe"
	$env:CODEX_SANDBOX_RUNNER_PLUMBING = "$gyp\codex-sandbox-runner-plumbing.exe"
	$env:CODEX_SANDBOX_VERSION = (node -p "require('./package.json').version")
	# As an administrator who has asked for it, the addon's tests make accounts and rules too, and remove them.
	if ($SetUp -and $isAdmin) { $env:CODEX_SANDBOX_TEST_MACHINE = '1' }
	$env:CODEX_SANDBOX_RUNNER_PLUMBING = "$gyp\codex-sandbox-runner-plumbing.exe"
	$env:CODEX_SANDBOX_VERSION = (Get-Content package.json -Raw | ConvertFrom-Json).version
	$env:CODEX_SANDBOX_PACKAGE = $root
	$env:CODEX_SANDBOX_PRODUCT = './product.mjs'
	Remove-Item Env:CODEX_SANDBOX_WINE -ErrorAction SilentlyContinue
	$tests = @(Get-ChildItem "$build\*.test.mjs" | ForEach-Object { $_.FullName })
	$runner = @('--test', '--test-reporter=tap') + $tests
	Invoke-Check 'tests of the addon' { node @runner }

	# A Codex home of its own: what the user's own says is neither read nor changed.
	$codexHome = Join-Path $env:USERPROFILE 'codex-sandbox-verify-home'
	$work = Join-Path $env:USERPROFILE 'codex-sandbox-verify-work'
	New-Item -ItemType Directory -Force $codexHome, $work | Out-Null
	$env:CODEX_HOME = $codexHome
	Invoke-Check 'doctor before set-up' { node dist\cli.cjs doctor; $global:LASTEXITCODE = 0 }
	Invoke-Check 'status before set-up' { node dist\cli.cjs windows status; $global:LASTEXITCODE = 0 }

	if ($SetUp) {
		$machineBefore = Get-Machine
		if ($machineBefore -match 'Csbx|csbx') { throw 'the sandbox is set up on this machine already: run `codex-sandbox windows uninstall` with the Codex home that has it, and start again' }
		if (-not $isAdmin) { throw '-SetUp needs a window that runs as administrator: each row of the table is set up by itself, and each would ask for consent' }
		if (-not $Yes) {
			$answer = Read-Host 'This makes accounts, firewall rules and access list entries, and removes them again. Type yes to go on'
			if ($answer -ne 'yes') { throw 'no consent was given' }
		}
		$places = Get-Places
		$listsBefore = Get-Lists $places
		try {
			foreach ($mode in @('unelevated', 'elevated')) {
				Invoke-Check "set up $mode" { node dist\cli.cjs windows setup --mode $mode --root $work }
				Invoke-Check "set up $mode once more" { node dist\cli.cjs windows setup --mode $mode --root $work }
				Invoke-Check "status after $mode" { node dist\cli.cjs windows status }
				$command = @('dist\cli.cjs', 'run', '--windows-mode', $mode, '-C', $work)
				foreach ($name in @('network', 'denied-reads', 'absent-paths', 'world-writable')) { $command += @('--allow-degraded', $name) }
				$command += @('--', 'cmd.exe', '/d', '/c', 'echo hello from inside')
				Invoke-Check "a command, $mode" { node @command }
				Invoke-Check "conformance, $mode" { node "$build\on-windows.mjs" $mode }
			}
			Invoke-Check 'doctor after set-up' { node dist\cli.cjs doctor; $global:LASTEXITCODE = 0 }
		} finally {
			Invoke-Check 'uninstall' { node dist\cli.cjs windows uninstall }
		}

		Write-Host '== compare'
		Write-Report '== compare'
		$differences = 0
		$machineAfter = Get-Machine
		foreach ($difference in @(Compare-Object @($machineBefore) @($machineAfter))) { $differences++; Write-Report "machine $($difference.SideIndicator) $($difference.InputObject)" }
		$listsAfter = Get-Lists $places
		foreach ($path in $listsBefore.Keys) {
			if (-not $listsAfter.ContainsKey($path)) { continue }
			if ($listsBefore[$path] -ne $listsAfter[$path]) {
				$differences++
				Write-Report "list of $path"
				Write-Report "  before: $($listsBefore[$path])"
				Write-Report "  after:  $($listsAfter[$path])"
			}
		}
		Write-Report "compared $($listsBefore.Count) access lists, and $(@($machineBefore).Count) accounts, groups, rules and hidden names: $differences differences"
		if ($differences -gt 0) { $failed.Add('compare') }
	} else {
		Write-Report 'set-up: not asked for (-SetUp)'
	}
	Remove-Item -Recurse -Force $codexHome, $work -ErrorAction SilentlyContinue
} catch {
	$failed.Add('stopped')
	Write-Report "stopped: $_"
	Write-Report $_.ScriptStackTrace
	Write-Host "stopped: $_"
}

if ($failed.Count -eq 0) { Write-Report 'all of it passed' } else { Write-Report "failed: $($failed -join ', ')" }
Write-Host ''
Get-Content $report | Select-Object -Last 1
Write-Host "The report is in $report. It has the name of your account and of your folders in it: look it through before you send it."
if ($failed.Count -gt 0) { exit 1 }
