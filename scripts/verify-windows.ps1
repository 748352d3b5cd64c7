# For a person with Windows: builds the addon with Visual Studio's compiler, runs every test of it, those of enforcement included, and prints a
# report to send. It makes a token, processes, jobs and files in its own temporary folder; no account, no firewall rule, no list outside of it.
# Nobody has run it yet.
#
#   powershell -ExecutionPolicy Bypass -File scripts\verify-windows.ps1
#
# Needs Node 20.19 or newer, npm, and Visual Studio's build tools with C++ (winget install Microsoft.VisualStudio.2022.BuildTools).
$ErrorActionPreference = 'Stop'
$root = Split-Path -Parent $PSScriptRoot
$report = Join-Path ([System.IO.Path]::GetTempPath()) 'codex-sandbox-windows.txt'
Set-Location $root

function Step([string] $name, [scriptblock] $work) {
	Write-Host "== $name"
	& $work
	if ($LASTEXITCODE -ne 0) { throw "$name failed with exit code $LASTEXITCODE" }
}

# What does not depend on a build comes first, so that a report says at least that.
$os = Get-CimInstance Win32_OperatingSystem
@(
	"codex-sandbox on Windows, $(Get-Date -Format o)"
	"$($os.Caption) $($os.Version), $env:PROCESSOR_ARCHITECTURE, node $(node --version)"
	"elevated: $(([Security.Principal.WindowsPrincipal][Security.Principal.WindowsIdentity]::GetCurrent()).IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator))"
	"commit: $(git rev-parse HEAD 2>$null)"
) | Set-Content -Encoding utf8 $report

try {
	Step 'install' { npm ci --ignore-scripts }
	Step 'build the addon' { npx --yes node-gyp@12 rebuild -C native/windows }
	$build = Join-Path $root 'native\windows\build\Release'
	$folder = Join-Path $root 'build\windows'
	New-Item -ItemType Directory -Force $folder | Out-Null
	Step 'bundle' { npx esbuild test/windows/product.ts --bundle --platform=node --format=esm --log-level=warning "--outfile=$folder\product.mjs" }
	Copy-Item test\windows\addon.test.mjs $folder -Force
	$env:CODEX_SANDBOX_ADDON = "$build\addon.node"
	$env:CODEX_SANDBOX_ADDON_PLUMBING = "$build\addon-plumbing.node"
	$env:CODEX_SANDBOX_TELL = "$build\tell.exe"
	$env:CODEX_SANDBOX_PRODUCT = './product.mjs'
	Remove-Item Env:CODEX_SANDBOX_WINE -ErrorAction SilentlyContinue
	# A failed test is part of the report.
	node --test --test-reporter=tap "$folder\addon.test.mjs" 2>&1 | Tee-Object -FilePath $report -Append
} catch {
	"stopped: $_" | Tee-Object -FilePath $report -Append
}
Write-Host "`nThe report is in $report. It has the name of your account and of your folders in it: look it through before you send it."
