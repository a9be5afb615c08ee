package winpe_test

import (
	"debug/pe"
	"testing"

	"muster/internal/guest/wine/winpe"
)

const leanWhy = "a console program without services, COM or windows"

func TestDecide(t *testing.T) {
	kernel := imp("KERNEL32.dll", "ExitProcess", "LoadLibraryA", "GetProcAddress")
	with := func(more ...winpe.Import) file { return file{imports: append([]winpe.Import{kernel}, more...)} }
	holding := func(texts ...string) file {
		f := with()
		for _, s := range texts {
			f.data = append(append(f.data, s...), 0)
		}
		return f
	}
	tests := []struct {
		name string
		f    file
		why  string // "": lean
	}{
		{"kernel32 only", with(), ""},
		{"nothing at all", file{}, ""},
		{"mingw", with(imp("msvcrt.dll", "printf", "_execute_onexit_table", "abort")), ""},
		{"MSVC", with(imp("VCRUNTIME140.dll", "memcpy"), imp("MSVCP140.dll", "?x@@"), imp("api-ms-win-crt-runtime-l1-1-0.dll", "exit"), imp("api-ms-win-core-synch-l1-2-0.dll", "WaitOnAddress")), ""},
		{"registry and random numbers", with(imp("ADVAPI32.dll", "RegOpenKeyExW", "CryptGenRandom", "OpenProcessToken"), imp("bcrypt.dll", "BCryptGenRandom")), ""},
		{"strings of user32 and oleaut32, as 7-Zip", with(imp("USER32.dll", "CharUpperW", "CharPrevExA", "wsprintfW"), imp("OLEAUT32.dll", "#2", "#4", "#6", "#9", "SysFreeString")), ""},
		{"known folders", with(imp("SHELL32.dll", "CommandLineToArgvW", "SHGetFolderPathW")), ""},
		{"byte order and clocks", with(imp("WS2_32.dll", "#9", "htonl"), imp("WINMM.dll", "timeGetTime", "timeBeginPeriod")), ""},

		{"services", with(imp("ADVAPI32.dll", "RegCloseKey", "OpenSCManagerA")), "imports OpenSCManagerA from ADVAPI32.dll (services)"},
		{"services by API set", with(imp("api-ms-win-service-management-l1-1-0.dll", "OpenServiceW")), "imports OpenServiceW from api-ms-win-service-management-l1-1-0.dll (services)"},
		{"COM", with(imp("ole32.dll", "CoTaskMemFree", "CoCreateInstance")), "imports CoCreateInstance from ole32.dll (COM)"},
		{"COM by API set", with(imp("api-ms-win-core-com-l1-1-0.dll", "CoInitializeEx")), "imports CoInitializeEx from api-ms-win-core-com-l1-1-0.dll (COM)"},
		{"COM by ordinal", with(imp("OLEAUT32.dll", "#2", "#161")), "imports function #161 from OLEAUT32.dll (COM)"},
		{"RPC", with(imp("RPCRT4.dll", "UuidCreate", "UuidCreateSequential")), "imports UuidCreateSequential from RPCRT4.dll (RPC)"},
		{"windows", with(imp("USER32.dll", "CharUpperW", "MessageBoxA")), "imports MessageBoxA from USER32.dll (windows)"},
		{"graphics", with(imp("GDI32.dll", "CreateCompatibleDC")), "imports CreateCompatibleDC from GDI32.dll (graphics)"},
		{"shell", with(imp("SHELL32.dll", "ShellExecuteW")), "imports ShellExecuteW from SHELL32.dll (the shell)"},
		{"volumes", with(imp("kernel32", "GetVolumeInformationW")), "imports GetVolumeInformationW from kernel32 (drives and volumes)"},
		{"the computer's name", with(imp("KERNEL32.DLL", "GetComputerNameExW", "SetComputerNameExW")), "imports SetComputerNameExW from KERNEL32.DLL (the computer's name)"},
		{"children", with(imp("kernel32.dll", "CreateProcessW")), "imports CreateProcessW from kernel32.dll (starts other programs)"},
		{"children by C", with(imp("msvcrt.dll", "_spawnvp")), "imports _spawnvp from msvcrt.dll (starts other programs)"},
		{"sockets", with(imp("WS2_32.dll", "socket")), "imports socket from WS2_32.dll (the network)"},
		{"sound", with(imp("WINMM.dll", "waveOutOpen")), "imports waveOutOpen from WINMM.dll (sound)"},
		{"printing", with(imp("WINSPOOL.DRV", "OpenPrinterA")), "imports OpenPrinterA from WINSPOOL.DRV (printing)"},
		{"devices", with(imp("SETUPAPI.dll", "SetupDiGetClassDevsW")), "imports SetupDiGetClassDevsW from SETUPAPI.dll (devices)"},
		{"installer", with(imp("msi.dll", "#8")), "imports function #8 from msi.dll (the installer)"},
		{"an unknown DLL", with(imp("strange.dll", "f")), "imports f from strange.dll (not known to do without services)"},
		{"a DLL for its own sake", with(imp("comctl32.dll")), "imports comctl32.dll (windows)"},
		{"delayed", file{imports: []winpe.Import{kernel}, delayed: []winpe.Import{imp("ole32.dll", "CoInitialize")}}, "imports CoInitialize from ole32.dll (COM)"},
		{"delayed but harmless", file{imports: []winpe.Import{kernel}, delayed: []winpe.Import{imp("user32.dll", "CharLowerW")}}, ""},
		{"hostile names", with(imp("a\xffb.dll", "\x1b[2J")), "imports ?[2J from a?b.dll (not known to do without services)"},

		{"a DLL by name", holding("Ole32.dll"), `holds the text "ole32.dll" (COM)`},
		{"a DLL by name in UTF-16", holding("x", string(wide("OLE32.DLL"))), `holds the text "ole32.dll" (COM)`},
		{"a DLL by name in UTF-16 at an odd place", holding("", string(wide("ole32.dll"))), `holds the text "ole32.dll" (COM)`},
		{"a DLL by name without extension", holding("", "shell32"), `holds the text "shell32.dll" (the shell)`},
		{"a DLL within a blob", holding("onetwouser32.dllthree"), `holds the text "user32.dll" (windows)`},
		{"part of another word", holding("the ole32 library", "shell32x", "pdhf", "amsi"), ""},
		{"a driver", holding("winspool.drv"), `holds the text "winspool.dll" (printing)`},
		{"a function by name", holding("OpenSCManagerW"), `holds the text "openscmanager" (services)`},
		{"the computer's name, to read it", holding("COMPUTERNAME", "GetComputerNameW"), ""},
		{"the computer's name, to write it", holding("SetComputerNameW"), `holds the text "setcomputername" (the computer's name)`},
		{"a key", holding(string(wide(`HARDWARE\DESCRIPTION\System\CentralProcessor\0`))), `holds the text "hardware\\description" (the hardware's description)`},
		{"a device", holding(`\\.\PhysicalDrive0`), `holds the text "\\\\.\\physicaldrive" (devices)`},
		{"the message box of old C runtimes", holding("MessageBoxA", "GetActiveWindow", "GetLastActivePopup", "GetProcessWindowStation", "USER32.DLL"), ""},
		{"the message box of new C runtimes", holding(string(wide("ext-ms-win-ntuser-windowstation-l1-1-0\x00user32\x00"))), ""},
		{"in debug information", file{imports: []winpe.Import{kernel}, section: ".debug_s", data: []byte("ole32.dll\x00")}, ""},
		{"in a section that is thrown away", file{imports: []winpe.Import{kernel}, sectionFlags: pe.IMAGE_SCN_MEM_DISCARDABLE, data: []byte("ole32.dll\x00")}, ""},

		{"a GUI program", file{subsystem: pe.IMAGE_SUBSYSTEM_WINDOWS_GUI, imports: []winpe.Import{kernel}}, "a program with windows"},
		{"native", file{subsystem: pe.IMAGE_SUBSYSTEM_NATIVE, imports: []winpe.Import{imp("ntdll.dll", "NtClose")}}, "a native program"},
		{".NET", file{net: true, imports: []winpe.Import{imp("mscoree.dll", "_CorExeMain")}}, "a .NET program, whose needs cannot be seen"},
		{"packed by name", file{imports: []winpe.Import{kernel}, section: "UPX1"}, "is packed, so that its needs cannot be seen"},
		{"packed by its looks", file{imports: []winpe.Import{kernel}, sectionFlags: pe.IMAGE_SCN_MEM_WRITE | pe.IMAGE_SCN_MEM_EXECUTE}, "is packed, so that its needs cannot be seen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i, err := parse(tt.f, "a.exe")
			if err != nil {
				t.Fatal(err)
			}
			want, why := winpe.Full, tt.why
			if why == "" {
				want, why = winpe.Lean, leanWhy
			}
			if got, said := winpe.Decide(i); got != want || said != why {
				t.Errorf("got %s: %s\nwant %s: %s", got, said, want, why)
			}
		})
	}
	if got, why := winpe.Decide(winpe.Info{Script: true}); got != winpe.Full || why != "a batch file, which may start anything" {
		t.Errorf("a batch file: %s: %s", got, why)
	}
}

// What stands beside the program counts with it, and its name is no hint.
func TestDecideBeside(t *testing.T) {
	program, err := parse(file{imports: []winpe.Import{imp("Tool.dll", "f")}, data: []byte("tool.dll\x00winmm.dll\x00")}, "/p/a.exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		tool file
		boot winpe.Boot
		why  string
	}{
		{"harmless", file{imports: []winpe.Import{imp("KERNEL32.dll", "Sleep"), imp("winmm.dll", "f")}}, winpe.Lean, leanWhy},
		{"COM", file{imports: []winpe.Import{imp("ole32.dll", "CoInitialize")}}, winpe.Full, "tool.dll beside it imports CoInitialize from ole32.dll (COM)"},
		{"a text", file{data: []byte("ole32.dll\x00")}, winpe.Full, `tool.dll beside it holds the text "ole32.dll" (COM)`},
	} {
		tool, err := parse(tt.tool, "/p/tool.dll")
		if err != nil {
			t.Fatal(err)
		}
		winmm, err := parse(file{}, "/p/WinMM.dll")
		if err != nil {
			t.Fatal(err)
		}
		if boot, why := winpe.Decide(program, tool, winmm); boot != tt.boot || why != tt.why {
			t.Errorf("%s: %s: %s", tt.name, boot, why)
		}
	}
}

// Texts are found across the pieces in which a file is read.
func TestTextsEverywhere(t *testing.T) {
	const piece = 1 << 20
	for _, at := range []int{0, 1, piece - 300, piece - 10, piece - 9, piece - 4, piece - 1, piece, piece + 1, piece + 255, 2*piece - 3} {
		for _, word := range []string{"ole32.dll", string(wide("ole32.dll")), string(wide("ole32")) + "\x00\x00"} {
			f := file{data: make([]byte, 2*piece+100)}
			copy(f.data[at:], word)
			i, err := parse(f, "a.exe")
			if err != nil {
				t.Fatal(err)
			}
			if len(i.Hints) != 1 || i.Hints[0].Text != "ole32.dll" {
				t.Errorf("%q at %d: hints %v", word, at, i.Hints)
			}
		}
	}
}
