package winpe

// hintWord is a text that texts looks for. Words are lower case; with dll they are
// DLL names without extension.
type hintWord struct {
	word string
	why  string // "": only a mark that texts itself needs
	dll  bool
}

// hintWords are the texts that suggest a need for a full boot: the DLLs of rules
// that programs load by name, functions that every program can look up because
// their DLL is always there, and names of keys, variables and devices that exist after a
// full boot only.
var hintWords = []hintWord{
	{"ole32", whyCOM, true}, {"combase", whyCOM, true}, {"oleaut32", whyCOM, true}, {"mshtml", whyCOM, true}, {"wbemprox", whyCOM, true},
	{"wbemscripting", whyCOM, false}, {"root\\cimv2", whyCOM, false}, {"rpcrt4", whyRPC, true},
	{"user32", whyWindows, true}, {"comctl32", whyWindows, true}, {"comdlg32", whyWindows, true}, {"uxtheme", whyWindows, true}, {"dwmapi", whyWindows, true},
	{"gdi32", whyGraphics, true}, {"gdiplus", whyGraphics, true}, {"opengl32", whyGraphics, true}, {"d3d9", whyGraphics, true}, {"d3d11", whyGraphics, true},
	{"d3d12", whyGraphics, true}, {"dxgi", whyGraphics, true}, {"ddraw", whyGraphics, true}, {"vulkan-1", whyGraphics, true},
	{"shell32", whyShell, true}, {"shdocvw", whyShell, true}, {"shcore", whyShell, true},
	{"setupapi", whyDevices, true}, {"cfgmgr32", whyDevices, true}, {"winusb", whyDevices, true}, {"hid", whyDevices, true},
	{"winmm", whySound, true}, {"dsound", whySound, true}, {"mmdevapi", whySound, true},
	{"ws2_32", whyNetwork, true}, {"wsock32", whyNetwork, true}, {"iphlpapi", whyNetwork, true}, {"winhttp", whyNetwork, true}, {"wininet", whyNetwork, true},
	{"urlmon", whyNetwork, true}, {"dnsapi", whyNetwork, true},
	{"netapi32", whyAccounts, true}, {"secur32", whyAccounts, true}, {"userenv", whyAccounts, true}, {"wtsapi32", whyServices, true}, {"wevtapi", whyServices, true}, {"pdh", whyServices, true},
	{"mpr", whyDrives, true}, {"msi", whyInstall, true}, {"winspool", whyPrinting, true}, {"odbc32", whyData, true},

	{"openscmanager", whyServices, false}, {"cocreateinstance", whyCOM, false}, {"shellexecute", whyShell, false},
	{"createprocessw", whyStarts, false}, {"createprocessa", whyStarts, false}, {"lookupaccount", whyAccounts, false},
	{"getvolumeinformation", whyDrives, false}, {"getlogicaldrive", whyDrives, false}, {"querydosdevice", whyDrives, false}, {"findfirstvolume", whyDrives, false},
	{"getvolumenameforvolume", whyDrives, false}, {"getvolumepathnamesforvolume", whyDrives, false},

	{"clsid\\", whyCOM, false}, {"typelib\\", whyCOM, false}, {"interface\\{", whyCOM, false},
	{"dynamic dst", whyZones, false}, {"gettimezoneinformationforyear", whyZones, false}, {"informationeffectiveyears", whyZones, false},
	{"localtimeex", whyZones, false}, {"localtimetosystemtimeex", whyZones, false},

	{"setcomputername", whyComputer, false}, {"hardware\\description", whyHardware, false}, {"hardware\\devicemap", whyHardware, false},
	{"\\\\.\\physicaldrive", whyDevices, false}, {"\\\\.\\mountpoint", whyDevices, false}, {"\\\\.\\c:", whyDevices, false}, {"\\\\.\\%", whyDevices, false}, {"\\\\.\\scsi", whyDevices, false},

	{"bcryptprimitives", "", true}, {"getlastactivepopup", "", false}, {"getprocesswindowstation", "", false}, {"ext-ms-win-ntuser-windowstation-l1-1-0", "", false},
}
