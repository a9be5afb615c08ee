package winpe

import "strings"

// What a DLL of Windows needs to be up, beyond the Wine server. The lists come from
// making some 150 calls in a lean and in a fully booted Wine 8.0 and comparing the
// answers; functions of the same kind as those compared are put beside them, and what was not
// compared counts as in need. Without its services Wine lacks: the service control
// manager, and with it RPC and COM servers; the manager of drives and volumes; the
// drivers for devices and for the network's interfaces; what wineboot writes into HKLM\HARDWARE
// at each boot. A lean instance's registry also lacks
// COM's classes and interfaces and the rules of time zones in past years.
//
// It matters: mingw's ftruncate64, which C++'s std::filesystem brings along, lists the
// volumes first, and fails with "file too large" where there are none.
const (
	whyServices = "services"
	whyCOM      = "COM"
	whyRPC      = "RPC"
	whyWindows  = "windows"
	whyGraphics = "graphics"
	whyShell    = "the shell"
	whyDrives   = "drives and volumes"
	whyDevices  = "devices"
	whyNetwork  = "the network"
	whyAccounts = "accounts"
	whyComputer = "the computer's name"
	whyHardware = "the hardware's description"
	whyStarts   = "starts other programs"
	whySound    = "sound"
	whyPrinting = "printing"
	whyInstall  = "the installer"
	whyData     = "data sources"
	whyZones    = "time zones in other years"
	whyUnknown  = "not known to do without services"
)

// rule says which functions of a DLL need a full boot. A pattern is a function's name,
// its -A and -W forms included, or ends in "*".
type rule struct {
	why   string   // for everything but what is in allow; "": nothing but what is in deny
	allow []string // needs no more than the server
	deny  []denied
}

type denied struct {
	why      string
	patterns []string
}

var lean = rule{}

var kernelRule = rule{deny: []denied{
	{whyDrives, []string{
		"GetLogicalDrives", "GetLogicalDriveStrings", "GetVolumeInformation", "GetVolumeInformationByHandleW", "GetVolumeNameForVolumeMountPoint",
		"GetVolumePathNamesForVolumeName", "FindFirstVolume*", "FindNextVolume*", "SetVolumeLabel", "SetVolumeMountPoint", "DeleteVolumeMountPoint",
		"QueryDosDevice", "DefineDosDevice",
	}},
	{whyComputer, []string{"SetComputerName*"}},
	{whyStarts, []string{"CreateProcess", "CreateProcessInternal", "WinExec"}},
	// Lean instances have no past years' rules in their registry.
	{whyZones, []string{
		"GetTimeZoneInformationForYear", "GetDynamicTimeZoneInformationEffectiveYears", "SystemTimeToTzSpecificLocalTimeEx", "TzSpecificLocalTimeToSystemTimeEx",
	}},
}}

var runtimeRule = rule{deny: []denied{
	{whyStarts, []string{"system", "_wsystem", "_spawn*", "_wspawn*", "_execl*", "_wexecl*", "_execv*", "_wexecv*", "_popen", "_wpopen"}},
	{whyDrives, []string{"_getdrives"}},
}}

var advapiRule = rule{deny: []denied{
	{whyServices, []string{
		"OpenSCManager", "OpenService", "CreateService", "StartService*", "ControlService*", "QueryService*", "EnumServices*", "EnumDependentServices",
		"ChangeServiceConfig*", "DeleteService", "RegisterServiceCtrlHandler*", "SetServiceStatus", "SetServiceObjectSecurity", "NotifyServiceStatus*",
		"LockServiceDatabase", "UnlockServiceDatabase", "GetServiceDisplayName", "GetServiceKeyName", "NotifyBootConfigStatus", "SubscribeServiceChangeNotifications",
	}},
	{whyAccounts, []string{"LookupAccount*", "Lsa*", "LogonUser*", "SaferCreateLevel"}},
	{whyStarts, []string{"CreateProcessAsUser", "CreateProcessWithLogonW", "CreateProcessWithTokenW"}},
	{whyComputer, []string{"InitiateSystemShutdown*", "InitiateShutdown", "AbortSystemShutdown", "RegConnectRegistry*"}},
}}

// rules holds what is known, by lower-case name of the DLL.
var rules = map[string]rule{
	"ntdll.dll": lean, "kernel32.dll": kernelRule, "kernelbase.dll": kernelRule,
	"msvcrt.dll": runtimeRule, "ucrtbase.dll": runtimeRule, "crtdll.dll": runtimeRule,
	"advapi32.dll": advapiRule, "sechost.dll": advapiRule,
	"version.dll": lean, "psapi.dll": lean, "dbghelp.dll": lean, "imagehlp.dll": lean, "normaliz.dll": lean, "lz32.dll": lean,
	"cabinet.dll": lean, "zlib1.dll": lean, "xmllite.dll": lean, "bcrypt.dll": lean, "bcryptprimitives.dll": lean, "cryptsp.dll": lean, "rsaenh.dll": lean,
	"crypt32.dll": lean, "msvcirt.dll": lean, "powrprof.dll": lean,

	"ole32.dll": {why: whyCOM, allow: []string{
		"CoTaskMem*", "CoCreateGuid", "StringFromGUID2", "StringFromCLSID", "StringFromIID", "CLSIDFromString", "IIDFromString", "PropVariantClear",
	}},
	"combase.dll": {why: whyCOM, allow: []string{"CoTaskMem*", "CoCreateGuid", "StringFromGUID2"}},
	// Strings, variants and arrays are plain memory. Ordinals are how most programs
	// import them.
	"oleaut32.dll": {why: whyCOM, allow: []string{
		"SysAllocString*", "SysReAllocString*", "SysFreeString", "SysString*", "VariantInit", "VariantClear", "VariantCopy", "SafeArray*",
		"#2", "#3", "#4", "#5", "#6", "#7", "#8", "#9", "#10", "#15", "#16", "#17", "#18", "#19", "#20", "#21", "#22", "#23", "#24", "#25", "#26", "#149", "#150",
	}},
	"rpcrt4.dll": {why: whyRPC, allow: []string{
		"UuidCreate", "UuidCreateNil", "UuidToString", "UuidFromString", "UuidCompare", "UuidEqual", "UuidIsNil", "UuidHash", "RpcStringFree",
	}},
	// Text functions that have always lived in user32.
	"user32.dll": {why: whyWindows, allow: []string{
		"CharUpper*", "CharLower*", "CharNext*", "CharPrev*", "CharToOem*", "OemToChar*", "IsCharAlpha*", "IsCharLower", "IsCharUpper", "wsprintf", "wvsprintf", "LoadString",
	}},
	"shell32.dll": {why: whyShell, allow: []string{"CommandLineToArgvW", "SHGetFolderPath", "SHGetSpecialFolderPath"}},
	"shlwapi.dll": {why: whyShell, allow: []string{"Path*", "Str*", "Chr*", "wnsprintf", "wvnsprintf", "Hash*", "Url*", "SHReg*"}},
	"userenv.dll": {why: whyAccounts, allow: []string{"ExpandEnvironmentStringsForUser", "CreateEnvironmentBlock", "DestroyEnvironmentBlock", "GetProfilesDirectory"}},
	"winmm.dll":   {why: whySound, allow: []string{"time*"}},
	// Byte order, and what only looks at memory.
	"ws2_32.dll": {why: whyNetwork, allow: []string{
		"htons", "htonl", "ntohs", "ntohl", "gethostname", "inet_addr", "inet_ntoa", "InetPton", "InetNtop", "inet_pton", "inet_ntop", "WSAStartup", "WSACleanup", "WSAGetLastError", "WSASetLastError",
		"#8", "#9", "#11", "#12", "#14", "#15", "#57", "#111", "#112", "#115", "#116",
	}},

	"gdi32.dll": {why: whyGraphics}, "gdiplus.dll": {why: whyGraphics}, "opengl32.dll": {why: whyGraphics}, "glu32.dll": {why: whyGraphics},
	"dxgi.dll": {why: whyGraphics}, "d3d9.dll": {why: whyGraphics}, "d3d11.dll": {why: whyGraphics}, "d3d12.dll": {why: whyGraphics}, "ddraw.dll": {why: whyGraphics},
	"vulkan-1.dll": {why: whyGraphics}, "dwmapi.dll": {why: whyWindows}, "uxtheme.dll": {why: whyWindows}, "comctl32.dll": {why: whyWindows}, "comdlg32.dll": {why: whyWindows},
	"imm32.dll": {why: whyWindows}, "msctf.dll": {why: whyWindows}, "shcore.dll": {why: whyShell}, "shdocvw.dll": {why: whyShell}, "mshtml.dll": {why: whyCOM},
	"iphlpapi.dll": {why: whyNetwork}, "wsock32.dll": {why: whyNetwork}, "winhttp.dll": {why: whyNetwork}, "wininet.dll": {why: whyNetwork}, "urlmon.dll": {why: whyNetwork},
	"dnsapi.dll": {why: whyNetwork}, "netapi32.dll": {why: whyAccounts}, "secur32.dll": {why: whyAccounts}, "wtsapi32.dll": {why: whyServices}, "mpr.dll": {why: whyDrives},
	"setupapi.dll": {why: whyDevices}, "cfgmgr32.dll": {why: whyDevices}, "hid.dll": {why: whyDevices}, "winusb.dll": {why: whyDevices},
	"wbemprox.dll": {why: whyCOM}, "msi.dll": {why: whyInstall}, "winspool.drv": {why: whyPrinting}, "dsound.dll": {why: whySound}, "mmdevapi.dll": {why: whySound},
	"odbc32.dll": {why: whyData}, "pdh.dll": {why: whyServices}, "wevtapi.dll": {why: whyServices}, "mscoree.dll": {why: ".NET"},
	"service": {why: whyServices},
}

// families are runtimes that come in versions, and API sets, by the beginning of
// their names; the first that fits counts.
var families = []struct{ prefix, host string }{
	{"msvcr", "msvcrt.dll"},
	{"msvcp", "ntdll.dll"},
	{"vcruntime", "ntdll.dll"},
	{"vcomp", "ntdll.dll"},
	{"concrt", "ntdll.dll"},
	{"api-ms-win-crt-", "msvcrt.dll"},
	{"api-ms-win-core-com-", "combase.dll"},
	{"api-ms-win-core-winrt-", "combase.dll"},
	{"api-ms-win-core-", "kernel32.dll"},
	{"api-ms-win-service-", "service"},
	{"api-ms-win-security-", "advapi32.dll"},
	{"api-ms-win-eventing-", "advapi32.dll"},
	{"api-ms-win-downlevel-advapi32-", "advapi32.dll"},
	{"api-ms-win-downlevel-kernel32-", "kernel32.dll"},
	{"api-ms-win-downlevel-ole32-", "ole32.dll"},
	{"api-ms-win-downlevel-shell32-", "shell32.dll"},
	{"api-ms-win-downlevel-shlwapi-", "shlwapi.dll"},
	{"api-ms-win-downlevel-user32-", "user32.dll"},
	{"api-ms-win-shcore-", "shcore.dll"},
	{"api-ms-win-shell-", "shell32.dll"},
	{"api-ms-win-ntuser-", "user32.dll"},
	{"ext-ms-win-ntuser-", "user32.dll"},
	{"d3dx", "d3d9.dll"},
	{"d3dcompiler", "d3d9.dll"},
	{"xaudio", "dsound.dll"},
}

// need says why a function of a DLL needs a full boot, or "".
func need(dll, function string) string {
	r, known := rules[hostOf(dll)]
	if !known {
		return whyUnknown
	}
	for _, d := range r.deny {
		if matches(d.patterns, function) {
			return d.why
		}
	}
	if r.why != "" && !matches(r.allow, function) {
		return r.why
	}
	return ""
}

// hostOf gives the DLL whose rule counts for dll.
func hostOf(dll string) string {
	dll = normal(dll)
	if _, ok := rules[dll]; ok {
		return dll
	}
	for _, f := range families {
		if strings.HasPrefix(dll, f.prefix) {
			return f.host
		}
	}
	return dll
}

func matches(patterns []string, function string) bool {
	for _, p := range patterns {
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasPrefix(function, prefix) {
			return true
		}
		if rest, ok := strings.CutPrefix(function, p); ok && (rest == "" || rest == "A" || rest == "W") {
			return true
		}
	}
	return false
}

// normal is the form in which DLL names are compared: lower case, ".dll" added
// where there is no extension, as LoadLibrary does.
func normal(dll string) string {
	dll = strings.ToLower(dll)
	if !strings.Contains(dll, ".") {
		dll += ".dll"
	}
	return dll
}
